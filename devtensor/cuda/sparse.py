"""Sparse CUDA tensors: refused by the names of their types."""

from __future__ import annotations

from devtensor.core.refusal import refused_class

TYPES = (
    "BFloat16Tensor", "ByteTensor", "CharTensor", "DoubleTensor", "FloatTensor", "HalfTensor", "IntTensor",
    "LongTensor", "ShortTensor",
)  # fmt: skip

globals().update(
    (name, refused_class(f"cuda.sparse.{name}", "sparse tensors are not offered")) for name in TYPES
)
