"""Sizes, strides and paddings as users give them; batches of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from devtensor.core.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from devtensor.core.state import current
from devtensor.core.tensor import Tensor
from devtensor.ops.shape import as_shape

Sizes = tuple[int, ...]


def numbers(op: str, name: str, value: Any, count: int) -> Sizes:
    """One int for all dims, or one for each, as a tuple of `count`.

    Errors: ArgumentError for another number of them, ArgumentTypeError for what is no int.
    """
    if value.__class__ is int:
        return (value,) * count
    if not isinstance(value, Sequence) or isinstance(value, str):
        return (_whole(op, name, value),) * count
    found = tuple(_whole(op, name, item) for item in value)
    found = found * count if len(found) == 1 else found
    if len(found) != count:
        raise ArgumentError(f"[{op}] {name} is {value!r}; it needs an int or {count} ints")
    return found


def _whole(op: str, name: str, value: Any) -> int:
    try:
        if not isinstance(value, bool):
            return value.__index__()
    except (AttributeError, TypeError):
        pass
    raise ArgumentTypeError(f"[{op}] {name} is {value!r}; it needs an int, or one for each dim")


def floats_only(op: str, input: Tensor) -> None:
    """Refuse integers, truths and complex numbers.

    Errors: DTypeError that says what to do.
    """
    if not input.kind.dtype.is_floating_point:
        raise DTypeError(
            f"[{op}] is not implemented for {input.kind.dtype.name}; convert with .float() first"
        )


def with_batch(op: str, input: Tensor, count: int) -> tuple[Tensor, bool]:
    """`input` as (N, C, *S), and whether N had to be added.

    Errors: ShapeError for any other number of dims.
    """
    ndim = input.array.ndim
    if ndim not in (count + 1, count + 2):
        raise ShapeError(
            f"[{op}] Expected {count + 1}D (unbatched) or {count + 2}D (batched) input to {op}, but got "
            f"input of size: {list(input.array.shape)}"
        )
    return (input, False) if ndim == count + 2 else (as_shape(input, (1, *input.array.shape)), True)


def without_batch(output: Tensor, added: bool) -> Tensor:
    """Drop the batch dim that `with_batch` added."""
    return as_shape(output, tuple(output.array.shape[1:])) if added else output


def may_look(tensor: Tensor) -> bool:
    """Whether numbers can be looked at for free: on the host, and while nobody listens."""
    return tensor.kind.device.type == "cpu" and not current().layers and bool(tensor.shape.numel())
