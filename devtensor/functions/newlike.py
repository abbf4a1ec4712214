"""Tensors of the dtype and device of another: `x.new_zeros(...)` and its kin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import DType
from devtensor.core.errors import ArgumentTypeError
from devtensor.core.tensor import Tensor
from devtensor.functions.creation import empty, full, ones, zeros
from devtensor.interop import tensor

__all__: list[str] = []


def _new(name: str, function: Callable) -> Callable:
    """`x.new_zeros(...)`: like the function, with dtype and device of `x` where none is named."""

    def new(self: Tensor, *args: Any, dtype: Any = None, device: Any = None, **kwargs: Any) -> Tensor:
        dtype = self.dtype if dtype is None else dtype
        return function(*args, dtype=dtype, device=self.device if device is None else device, **kwargs)

    new.__name__ = new.__qualname__ = name
    new.__doc__ = (
        f"{str(function.__doc__).splitlines()[0]} Dtype and device as this tensor's where none is named."
    )
    return new


def new_tensor(
    self: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor with a copy of `data`, with dtype and device as this tensor's where none is named."""

    kind: DType = self.dtype if dtype is None else dtype
    return tensor(
        data, dtype=kind, device=self.device if device is None else device, requires_grad=requires_grad
    )


def new(self: Tensor, *args: Any) -> Tensor:
    """A tensor of this dtype and device: of zeros in a shape, or from data."""
    if len(args) == 1 and not isinstance(args[0], int) and not hasattr(args[0], "numel"):
        return new_tensor(self, args[0])
    if any(isinstance(a, float) for a in args):
        raise ArgumentTypeError(f"[new] got {args}; it takes sizes or a sequence of numbers")
    return (
        zeros(*args, dtype=self.dtype, device=self.device)
        if args
        else zeros(0, dtype=self.dtype, device=self.device)
    )


METHODS: dict[str, Callable] = {
    f"new_{f.__name__}": _new(f"new_{f.__name__}", f) for f in (empty, full, ones, zeros)
} | {"new_tensor": new_tensor, "new": new}  # fmt: skip
