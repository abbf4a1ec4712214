"""Tensors of the dtype and device of another: `x.new_zeros(...)` and its kin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import DType
from devtensor.core.naming import named
from devtensor.core.tensor import Tensor
from devtensor.functions.creation import empty, empty_strided, full, ones, zeros
from devtensor.functions.legacy import legacy
from devtensor.interop import tensor

__all__: list[str] = []


def _new(name: str, function: Callable) -> Callable:
    """`x.new_zeros(...)`: like the function, with dtype and device of `x` where none is named."""

    def new(self: Tensor, *args: Any, dtype: Any = None, device: Any = None, **kwargs: Any) -> Tensor:
        dtype = self.dtype if dtype is None else dtype
        return function(*args, dtype=dtype, device=self.kind.device if device is None else device, **kwargs)

    return named(
        new,
        name,
        f"{str(function.__doc__).splitlines()[0]} Dtype and device as this tensor's where none is named.",
    )


def new_tensor(
    self: Tensor,
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor with a copy of `data`, with dtype and device as this tensor's where none is named."""

    kind: DType = self.dtype if dtype is None else dtype
    place = self.kind.device if device is None else device
    return tensor(data, dtype=kind, device=place, requires_grad=requires_grad, pin_memory=pin_memory)


def new(self: Tensor, *args: Any, **facts: Any) -> Tensor:
    """A tensor of this dtype and device: of zeros in a shape, or from data, as the legacy constructors."""
    return legacy(self.dtype, args, {"device": self.device} | facts, self.device.type)


METHODS: dict[str, Callable] = {
    f"new_{f.__name__}": _new(f"new_{f.__name__}", f) for f in (empty, empty_strided, full, ones, zeros)
} | {"new_tensor": new_tensor, "new": new}  # fmt: skip
