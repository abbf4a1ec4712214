"""Sparse CUDA tensors: there are none."""
