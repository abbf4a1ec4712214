"""Machine code for the CPU, made by LLVM where the extra `fast` is installed.

Nothing else depends on it: without llvmlite, with DEVTENSOR_FAST=0, or where compiling fails, NumPy computes.
"""
