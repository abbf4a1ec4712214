"""Values without repetition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import int64
from devtensor.core.errors import ArgumentError
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor
from devtensor.ops import reduce
from devtensor.ops import sort as ops
from devtensor.ops.compare import eq
from devtensor.ops.create import arange, cast, full
from devtensor.ops.index import index_select
from devtensor.ops.join import cat
from devtensor.ops.shape import as_shape, permute

__all__ = ["unique", "unique_consecutive"]


def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different values in ascending order, and on request where each went and how often each occurs.

    With `dim`, the different slices along it, ordered by their elements.
    """
    if dim is not None and input.array.ndim != 1:
        return _unique_slices(
            input, normalize_dim("unique", dim, input.array.ndim), return_inverse, return_counts
        )
    values, inverse, counts = ops.unique(input)
    return _asked(values, inverse, counts, return_inverse, return_counts)


def _asked(values: Tensor, inverse: Tensor, counts: Tensor, return_inverse: bool, return_counts: bool) -> Any:
    found = [values, *([inverse] if return_inverse else []), *([counts] if return_counts else [])]
    return found[0] if len(found) == 1 else tuple(found)


def _unique_slices(input: Tensor, dim: int, return_inverse: bool, return_counts: bool) -> Any:
    """Different slices along a dim, in the order of their elements: sorted by the last column first,
    stably."""
    rows = permute(input, (dim, *(d for d in range(input.array.ndim) if d != dim)))
    count = rows.array.shape[0]
    table = as_shape(rows, (count, rows.shape.numel() // max(1, count)))
    order = arange(0, 1, count, int64, input.device)
    for column in reversed(range(table.array.shape[1])):
        order = index_select(order, ops.sort(table[:, column][order], 0, False)[1], 0)
    in_order = index_select(table, order, 0)
    fresh = reduce.any(in_order[1:] != in_order[:-1], 1)
    numbers = reduce.cumsum(_with_first(fresh), 0) - 1
    inverse = full((count,), 0, int64, input.device)
    inverse[order] = numbers
    firsts = order[_with_first(fresh) != 0]
    total = reduce.sum(eq(numbers, arange(0, 1, firsts.array.shape[0], int64, input.device)[:, None]), 1)
    return _asked(index_select(input, firsts, dim), inverse, total, return_inverse, return_counts)


def _with_first(fresh: Tensor) -> Tensor:
    """Marks of elements that differ from the one before, the first always among them, as integers."""
    return cat(full((1,), 1, int64, fresh.device), cast(fresh, int64), dim=0)


def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """Values without those that repeat the one before."""
    if dim is not None and input.array.ndim != 1:
        raise ArgumentError("[unique_consecutive] dim is taken for one dimension only; loop over the slices")
    flat = as_shape(input, (input.shape.numel(),))
    if not flat.array.shape[0]:
        empty = full((0,), 0, int64, input.device)
        return _asked(flat, empty, empty, return_inverse, return_counts)
    marks = _with_first(flat[1:] != flat[:-1])
    values, numbers = flat[marks != 0], reduce.cumsum(marks, 0) - 1
    counts = reduce.sum(eq(numbers, numbers[marks != 0][:, None]), 1)
    return _asked(values, as_shape(numbers, tuple(input.array.shape)), counts, return_inverse, return_counts)


METHODS: dict[str, Callable] = {"unique": unique, "unique_consecutive": unique_consecutive}
