"""Tensors from nothing, in PyTorch's spellings."""

from __future__ import annotations

from typing import Any

from devtensor.core.device import resolve
from devtensor.core.dtype import as_dtype, default_dtype
from devtensor.core.tensor import Tensor
from devtensor.functions.shaping import sizes
from devtensor.ops import create as ops

__all__ = ["full", "ones", "ones_like", "zeros", "zeros_like"]


def _finish(made: Tensor, requires_grad: bool) -> Tensor:
    return made.requires_grad_() if requires_grad else made  # type: ignore[attr-defined]


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of one number; without `dtype` that of the number decides."""
    dtype = as_dtype(type(fill_value)) if dtype is None else as_dtype(dtype)
    return _finish(ops.full(sizes((size,)), fill_value, dtype, resolve(device)), requires_grad)


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros."""
    return full(sizes(size), 0, dtype=dtype or default_dtype(), device=device, requires_grad=requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones."""
    return full(sizes(size), 1, dtype=dtype or default_dtype(), device=device, requires_grad=requires_grad)


def zeros_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros in the shape of `input`."""
    return full_like(input, 0, dtype=dtype, device=device, requires_grad=requires_grad)


def ones_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones in the shape of `input`."""
    return full_like(input, 1, dtype=dtype, device=device, requires_grad=requires_grad)


def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of one number in the shape of `input`."""
    dtype = input.dtype if dtype is None else dtype
    device = input.device if device is None else device
    return full(tuple(input.array.shape), fill_value, dtype=dtype, device=device, requires_grad=requires_grad)
