"""Values without repetition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import int64
from devtensor.core.errors import DimensionError, ShapeError
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor, describe
from devtensor.ops import reduce, scans
from devtensor.ops import sort as ops
from devtensor.ops.compare import ne
from devtensor.ops.create import arange, cast, full
from devtensor.ops.index import index_put, index_select, nonzero
from devtensor.ops.join import cat
from devtensor.ops.refused import slices_kept
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
    if dim is not None and input.array.ndim > 1:
        return _unique_slices(
            input, normalize_dim("unique", dim, input.array.ndim), return_inverse, return_counts
        )
    if dim is not None:
        _some_dim("unique", input)
        normalize_dim("unique", dim, input.array.ndim)
    values, inverse, counts = ops.unique(input)
    return _asked(values, inverse, counts, return_inverse, return_counts)


def _asked(values: Tensor, inverse: Tensor, counts: Tensor, return_inverse: bool, return_counts: bool) -> Any:
    found = [values, *([inverse] if return_inverse else []), *([counts] if return_counts else [])]
    return found[0] if len(found) == 1 else tuple(found)


def _unique_slices(input: Tensor, dim: int, return_inverse: bool, return_counts: bool) -> Any:
    """Different slices along a dim, in the order of their elements: sorted by the last column first,
    stably."""
    table = _rows("unique", input, dim)
    order = arange(0, 1, table.array.shape[0], int64, input.device)
    for column in reversed(range(table.array.shape[1])):
        order = index_select(order, ops.sort(index_select(table[:, column], order, 0), 0, False)[1], 0)
    firsts, numbers, counts = _runs(index_select(table, order, 0))
    inverse = index_put(numbers, numbers, order, places=(0,), accumulate=False)
    found = slices_kept(input, index_select(order, firsts, 0), dim)
    return _asked(found, inverse, counts, return_inverse, return_counts)


def _some_dim(op: str, input: Tensor) -> None:
    if not input.array.ndim:
        raise DimensionError(f"[{op}] Dimension specified as 0 but tensor has no dimensions")


def _rows(op: str, input: Tensor, dim: int) -> Tensor:
    """The slices along a dim as the rows of a table.

    Errors: ShapeError for slices without elements.
    """
    moved = permute(input, (dim, *(d for d in range(input.array.ndim) if d != dim)))
    count = moved.array.shape[0]
    empty = [d for d, size in enumerate(input.array.shape) if not size]
    if empty and empty != [dim]:
        raise ShapeError(
            f"[{op}] {describe(input)}: There are 0 sized dimensions, and they aren't selected, so unique "
            "cannot be applied"
        )
    return as_shape(moved, (count, input.shape.numel() // max(1, count)))


def _runs(table: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of runs of equal rows: where each begins, for each row the number of its run, and how long each is."""
    count, device = table.array.shape[0], table.device
    if not count:
        nothing = full((0,), 0, int64, device)
        return nothing, nothing, nothing
    fresh = reduce.any(ne(table[1:], table[:-1]), 1)
    marks = cat(full((1,), 1, int64, device), cast(fresh, int64), dim=0)
    numbers = scans.cumsum(marks, 0) - 1
    firsts = nonzero(marks)[:, 0]
    ends = cat(firsts[1:], full((1,), count, int64, device), dim=0)
    return firsts, numbers, ends - firsts


def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """Values, or with `dim` slices along it, without those that repeat the one before."""
    if dim is None:
        flat = as_shape(input, (input.shape.numel(),))
        firsts, numbers, counts = _runs(as_shape(flat, (input.shape.numel(), 1)))
        inverse = as_shape(numbers, tuple(input.array.shape))
        return _asked(
            slices_kept(flat, firsts, 0, "unique_consecutive"), inverse, counts, return_inverse, return_counts
        )
    _some_dim("unique_consecutive", input)
    at = normalize_dim("unique_consecutive", dim, input.array.ndim)
    firsts, numbers, counts = _runs(_rows("unique_consecutive", input, at))
    return _asked(
        slices_kept(input, firsts, at, "unique_consecutive"), numbers, counts, return_inverse, return_counts
    )


METHODS: dict[str, Callable] = {"unique": unique, "unique_consecutive": unique_consecutive}
