"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from devtensor.core.errors import ArgumentError, ArgumentTypeError, DeviceError, ShapeError
from devtensor.core.tensor import Tensor, describe
from devtensor.nn.parameter import rebind
from devtensor.ops.join import cat
from devtensor.ops.shape import as_shape


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters one after the other, as one vector.

    Errors: DeviceError if they are on several devices, ArgumentError if there are none.
    """
    found = list(parameters)
    if not found:
        raise ArgumentError("[parameters_to_vector] expected a non-empty list of Tensors; got none")
    _same_device(found)
    return cat(*(as_shape(p, (p.shape.numel(),)) for p in found), dim=0)


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Make the parameters see the parts of a vector, in order; what is left of it is not looked at.

    Errors: ShapeError unless the vector holds all their elements.
    """
    if not isinstance(vec, Tensor):
        raise ArgumentTypeError(f"[vector_to_parameters] expected Tensor, but got: {type(vec).__name__}")
    found = list(parameters)
    _same_device(found)
    wanted = sum(p.shape.numel() for p in found)
    if vec.array.ndim != 1 or vec.shape.numel() < wanted:
        raise ShapeError(f"[vector_to_parameters] vec {describe(vec)}; the parameters hold {wanted} elements")
    start = 0
    for param in found:
        part: Any = vec[start : start + param.shape.numel()]
        rebind(param, as_shape(part, tuple(param.array.shape)))
        start += param.shape.numel()


def _same_device(parameters: list[Tensor]) -> None:
    devices = {p.kind.device for p in parameters}
    if len(devices) > 1:
        names = " and ".join(sorted(map(str, devices)))
        raise DeviceError(
            f"[parameters_to_vector] Found parameters on different devices: {names}; move them to one"
        )
