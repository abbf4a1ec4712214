"""Masks: choosing between values, filling and reading where a condition holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import BOOL, FLOAT
from devtensor.core.errors import ArgumentTypeError, ShapeError
from devtensor.core.inplace import copy_into
from devtensor.core.spec import broadcast_shapes
from devtensor.core.tensor import Tensor
from devtensor.functions.arithmetic import into, number
from devtensor.functions.indexing import get
from devtensor.functions.selecting import nonzero
from devtensor.ops import compare
from devtensor.ops.index import index_select
from devtensor.ops.reduce import cumsum
from devtensor.ops.shape import as_shape, expand

__all__ = ["masked_fill", "masked_scatter", "masked_select", "where"]


def where(condition: Tensor, input: Any = None, other: Any = None, *, out: Tensor | None = None) -> Any:
    """`input` where `condition` holds, else `other`; with the condition alone, the places where it holds."""
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    return into(out, compare.where(condition, number(input), number(other)))


def where_method(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    """`self` where `condition` holds, else `other`."""
    return compare.where(condition, self, number(other))


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """`input` with `value` where `mask` holds.

    Errors: ArgumentTypeError for a value with dimensions.
    """
    return compare.where(mask, _single("masked_fill", input, value), input)


def masked_fill_(self: Tensor, mask: Tensor, value: Any) -> Tensor:
    """In-place form of `masked_fill`."""
    return copy_into(self, masked_fill(self, mask, value))


def _single(op: str, input: Tensor, value: Any) -> Any:
    """A value in the input's dtype, so that filling never widens."""
    value = number(value)
    if isinstance(value, Tensor):
        if value.array.ndim:
            raise ShapeError(
                f"[{op}] {op} only supports a 0-dimensional value tensor, but got tensor with "
                f"{value.array.ndim} dimension(s)"
            )
        return value.to(input.device, input.dtype)
    category = BOOL if isinstance(value, bool) else FLOAT if isinstance(value, float) else 1
    if category > input.dtype.category:
        raise ArgumentTypeError(
            f"[{op}] value {value!r} cannot be converted to type {input.dtype.name} without loss; convert "
            "the input first"
        )
    return value


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where `mask` holds, in C order, in one dim.

    Shapes: input (*A), mask (*B), broadcast together -> (count,)
    """
    shape = broadcast_shapes("masked_select", [tuple(input.array.shape), tuple(mask.array.shape)])
    return get(expand(input, shape), expand(mask, shape))


def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """`input` with the elements of `source`, in order, where `mask` holds.

    Errors: IndexingError if `source` has fewer elements than `mask` holds.
    """
    shape = broadcast_shapes("masked_scatter", [tuple(input.array.shape), tuple(mask.array.shape)])
    mask = expand(mask, shape)
    order = cumsum(as_shape(mask, (mask.shape.numel(),)), 0) - 1
    order = where(order < 0, 0, order)
    if not source.shape.numel():
        raise ShapeError("[masked_scatter] source is empty; it needs an element for each place of the mask")
    taken = index_select(as_shape(source, (source.shape.numel(),)), order, 0)
    return where(mask, as_shape(taken, shape), input)


def masked_scatter_(self: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """In-place form of `masked_scatter`."""
    return copy_into(self, masked_scatter(self, mask, source))


METHODS: dict[str, Callable] = {
    f.__name__: f for f in (masked_fill, masked_fill_, masked_scatter, masked_scatter_, masked_select)
} | {"where": where_method}
