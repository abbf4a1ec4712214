"""How an op's entry brings parameters to their strict form."""

from __future__ import annotations

from typing import Any

from devtensor.core.device import resolve
from devtensor.core.dtype import as_dtype
from devtensor.core.errors import ArgumentTypeError, NotATensor
from devtensor.core.spec import normalize_dim, normalize_dims
from devtensor.core.tensor import Tensor, describe


def one_dim(op: str, source: Tensor, dim: int) -> int:
    """What an entry does with a parameter marked Dim."""
    if dim.__class__ is int and isinstance(source, Tensor):
        ndim = source.array.ndim
        if -ndim <= dim < ndim:
            return dim + ndim if dim < 0 else dim
    if dim.__class__ is not int:
        dim = as_index(op, "dim", dim)
    return normalize_dim(op, dim, tensor_only(op, source).array.ndim)


def many_dims(op: str, source: Tensor, dims: Any) -> tuple[int, ...]:
    """What an entry does with a parameter marked Dims: None means all."""
    if dims is None:
        return tuple(range(tensor_only(op, source).array.ndim))
    if dims.__class__ is bool or not isinstance(dims, (int, tuple, list)):
        dims = as_index(op, "dim", dims)
    if isinstance(dims, list):
        dims = tuple(dims)
    return normalize_dims(op, dims, tensor_only(op, source).array.ndim)


def as_index(op: str, name: str, value: Any) -> int:
    """A Python int from anything that can index.

    Errors: ArgumentTypeError that names the parameter.
    """
    try:
        if not isinstance(value, bool):
            return value.__index__()
    except (AttributeError, TypeError):
        pass
    raise ArgumentTypeError(
        f"[{op}] {name} is {describe(value)} of type {type(value).__name__}; it needs an int"
    )


def tensor_only(op: str, value: Any) -> Tensor:
    """The value, if it is a Tensor.

    Errors: NotATensor that says what it is instead.
    """
    if isinstance(value, Tensor):
        return value
    raise NotATensor(
        f"[{op}] got a {type(value).__name__}; it needs a Tensor; make one with devtensor.tensor(...)"
    )


# What an entry does with parameters marked Type and Place.
one_dtype = as_dtype
one_device = resolve


def is_scalar(value: Any) -> bool:
    """Whether `value` is another library's scalar, such as NumPy's: one number that cannot be written to."""
    return getattr(value, "ndim", None) == 0 and hasattr(value, "item") and not hasattr(value, "__setitem__")


def python_numbers(inputs: tuple) -> tuple:
    """Inputs with other libraries' scalars as Python numbers; the same tuple if there are none."""
    if any(is_scalar(value) for value in inputs):
        return tuple([value.item() if is_scalar(value) else value for value in inputs])
    return inputs
