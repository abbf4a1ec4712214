"""Reductions over stretches of one dim, one after the other and of any length."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from devtensor.core.dtype import INTEGER, int64
from devtensor.core.errors import DTypeError, OptionError, ShapeError, Unsupported
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.scattering import scatter_reduce
from devtensor.functions.selecting import values_are_free
from devtensor.ops import reduce as reductions
from devtensor.ops import scans
from devtensor.ops.compare import eq, where
from devtensor.ops.create import arange, cast, full
from devtensor.ops.shape import as_shape, expand, getitem
from devtensor.ops.sort import searchsorted

__all__ = ["segment_reduce"]

# How the rows of a segment are combined, and what comes of none.
KINDS = {
    "sum": ("sum", 0.0),
    "mean": ("sum", 0.0),
    "prod": ("prod", 1.0),
    "max": ("amax", -inf),
    "min": ("amin", inf),
}


def segment_reduce(
    data: Tensor,
    reduce: str,
    *,
    lengths: Tensor | None = None,
    indices: Tensor | None = None,
    offsets: Tensor | None = None,
    axis: int = 0,
    unsafe: bool = False,
    initial: float | None = None,
) -> Tensor:
    """The "sum", "mean", "prod", "max" or "min" of each of several segments that follow each other along
    `axis`.

    `lengths` says how long they are, or `offsets` where each begins and the last one ends. A segment starts
    from `initial`; without it an empty one is the reduction of nothing, and its mean NaN.

    Shapes: data (*B, S, *R) with S at `axis`, lengths (*B, K) or offsets (*B, K + 1) -> (*B, K, *R)
    Errors: ShapeError, unless `unsafe`, if lengths are negative or do not add up to S.
    """
    if reduce not in KINDS:
        raise OptionError(f"[segment_reduce] reduce is {reduce!r}; use one of {', '.join(KINDS)}")
    if not data.dtype.is_floating_point:
        raise DTypeError(f"[segment_reduce] {describe(data)}; data needs a floating-point dtype")
    if indices is not None:
        raise Unsupported("[segment_reduce] indices: not there in PyTorch either; give lengths or offsets")
    lengths, ends = _segments(data, lengths, offsets, axis)
    if not unsafe and values_are_free(lengths):
        _check_lengths(data, lengths, axis)
    how, nothing = KINDS[reduce]
    made = _combined(data, ends, how, nothing if initial is None else float(initial))
    return made if reduce != "mean" else _mean(made, lengths, initial)


def _segments(
    data: Tensor, lengths: Tensor | None, offsets: Tensor | None, axis: int
) -> tuple[Tensor, Tensor]:
    """How long segments are, and where each ends."""
    if (lengths is None) == (offsets is None):
        raise ShapeError("[segment_reduce] Either lengths or offsets must be defined; give one of them")
    given: Any = offsets if lengths is None else lengths
    if given.kind.dtype.category != INTEGER:
        raise DTypeError(f"[segment_reduce] {describe(given)}; lengths and offsets need an integer dtype")
    shape, batch = tuple(data.array.shape), tuple(given.array.shape[:-1])
    axis = normalize_dim("segment_reduce", axis, len(shape))
    if axis != len(batch) or shape[:axis] != batch:
        raise ShapeError(
            f"[segment_reduce] axis {axis}, data {shape}, lengths or offsets {tuple(given.array.shape)}; the "
            "latter need the dims of data before axis, and one more"
        )
    given = cast(given, int64)
    if lengths is not None:
        return given, scans.cumsum(given, -1)
    ends = getitem(given, (..., slice(1, None)))
    return ends - getitem(given, (..., slice(0, -1))), ends  # type: ignore[operator]


def _check_lengths(data: Tensor, lengths: Tensor, axis: int) -> None:
    size = data.array.shape[axis]
    if bool(reductions.any(lengths < 0)) or not bool(reductions.all(eq(reductions.sum(lengths, -1), size))):
        raise ShapeError(
            f"[segment_reduce] Expected all rows of lengths along axis to be positive and to sum to "
            f"data.size({axis}) = {size}; give others, or unsafe=True"
        )


def _combined(data: Tensor, ends: Tensor, how: str, start: float) -> Tensor:
    """The rows of each segment; those behind the last segment go into one that is cut off."""
    shape, count = tuple(data.array.shape), ends.array.shape[-1]
    axis = len(ends.array.shape) - 1
    rows = arange(0, 1, shape[axis], int64, data.kind.device)
    rows = expand(rows, shape[: axis + 1])
    places = searchsorted(ends, rows, True)
    places = expand(as_shape(places, (*places.array.shape, *(1,) * (len(shape) - axis - 1))), shape)
    whole = (*shape[:axis], count + 1, *shape[axis + 1 :])
    begun = full(whole, start, data.kind.dtype, data.kind.device)
    made = scatter_reduce(begun, axis, places, data, how)
    return getitem(made, (*(slice(None),) * axis, slice(0, count)))


def _mean(sums: Tensor, lengths: Tensor, initial: float | None) -> Tensor:
    shape = (*lengths.array.shape, *(1,) * (sums.array.ndim - lengths.array.ndim))
    counts = as_shape(lengths, shape)
    empty = eq(counts, 0)
    means = sums / cast(where(empty, 1, counts), sums.kind.dtype)  # type: ignore[operator]
    return means if initial is not None else where(empty, float("nan"), means)


METHODS: dict[str, Callable] = {}
