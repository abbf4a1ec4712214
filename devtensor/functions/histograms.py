"""Counting values and intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from devtensor.core.dtype import FLOAT, float32, float64, int64
from devtensor.core.errors import ArgumentTypeError, DTypeError, OptionError, ShapeError
from devtensor.core.holding import refuse_unheld
from devtensor.core.tensor import Tensor, describe
from devtensor.functions import results
from devtensor.functions.formats import in_order
from devtensor.ops import reduce
from devtensor.ops.compare import where
from devtensor.ops.create import arange, cast, full
from devtensor.ops.elementwise import trunc
from devtensor.ops.gathering import scatter_add
from devtensor.ops.shape import as_shape, getitem
from devtensor.ops.sort import searchsorted

__all__ = ["bincount", "histc", "histogram", "histogramdd"]

histogram_result = results.declare("histogram", "hist bin_edges")
histogramdd_result = results.declare("histogramdd", "hist bin_edges")


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each number from 0 on occurs, or the sum of its weights.

    Shapes: input (N,), weights (N,) -> (max(input) + 1,), at least minlength
    Errors: OptionError for negative numbers.
    """
    if input.dtype.category >= FLOAT:
        raise DTypeError(f"[bincount] not implemented for {describe(input)}; it needs integers")
    if minlength < 0:
        raise OptionError(f"[bincount] minlength should be >= 0, got {minlength}")
    size = input.array.shape[0] if input.array.ndim == 1 else -1
    if input.array.ndim != 1 and input.shape.numel():
        raise ShapeError(f"[bincount] only supports 1-d non-negative integral inputs; got {describe(input)}")
    if weights is not None and tuple(weights.array.shape) != tuple(input.array.shape):
        raise ShapeError(
            f"[bincount] weights should be 1-d and have the same length as input; got {describe(weights)}"
        )
    if size < 1:
        return full((minlength,), 0, int64, input.device)
    if int(reduce.amin(input)) < 0:
        raise OptionError("[bincount] only supports 1-d non-negative integral inputs; got a negative number")
    size = max(int(reduce.amax(input)) + 1, minlength)
    counted = full(tuple(input.array.shape), 1, int64, input.device) if weights is None else weights
    if weights is not None and counted.dtype is not float32:
        counted = cast(counted, float64)
    return scatter_add(full((size,), 0, counted.dtype, input.device), cast(input, int64), counted, 0)


def _range(op: str, flat: Tensor, low: float, high: float, margin: float) -> tuple[float, float]:
    """The outer edges: those given, or those of the values if both are equal.

    Errors: OptionError unless they are finite and in order.
    """
    if low == high and flat.array.shape[0]:
        low, high = float(reduce.amin(flat)), float(reduce.amax(flat))
    if low == high:
        low, high = low - margin, high + margin
    if not (math.isfinite(low) and math.isfinite(high)):
        raise OptionError(f"[{op}] range of [{low}, {high}] is not finite")
    if low > high:
        raise OptionError(f"[{op}] max must be larger than min; got min={low}, max={high}")
    return low, high


def _only_floating(op: str, input: Tensor) -> None:
    if input.dtype.category != FLOAT:
        raise DTypeError(
            f"[{op}] got {describe(input)}; it needs floating point; convert with .float() first"
        )


def _count_bins(op: str, bins: int) -> None:
    if bins <= 0:
        raise OptionError(f"[{op}] bins must be > 0, but got {bins}")


def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of `bins` equal intervals of [min, max]; of the input's own range if both
    are equal.

    Shapes: input (*S) -> (bins,)
    """
    _only_floating("histc", input)
    _count_bins("histc", bins)
    refuse_unheld("histc", input.dtype, min, max)
    flat = as_shape(input.detach(), (input.shape.numel(),))
    low, high = _range("histc", flat, float(min), float(max), 1.0)
    inside = (flat >= low) & (flat <= high)
    steps = (where(inside, flat, low) - low) * bins / (high - low)
    place = cast(trunc(steps), int64)
    place = where(place >= bins, bins - 1, place)
    return scatter_add(full((bins,), 0, input.dtype, input.device), place, cast(inside, input.dtype), 0)


def histogram(
    input: Tensor,
    bins: Any = 100,
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Any:
    """How many elements, or how much weight, lies between each two edges, and the edges.

    `bins` is how many equal intervals of `range` there are, or the edges themselves. The last interval holds
    its right edge. With `density` the sum over all intervals, times their widths, is 1.

    Shapes: input (*S) -> hist (bins,), bin_edges (bins + 1,)
    """
    table = as_shape(input, (input.shape.numel(), 1))
    hist, edges = _histogram("histogram", table, [bins], range, weight, density)
    return histogram_result(hist, in_order(edges[0]))


def histogramdd(
    input: Tensor,
    bins: Any,
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Any:
    """`histogram` of points, whose coordinates lie in the last dim.

    Shapes: input (*S, D) -> hist (bins_1, ..., bins_D), bin_edges: D tensors (bins_d + 1,)
    """
    if input.array.ndim < 2:
        raise ShapeError(f"[histogramdd] {describe(input)}: input tensor should have at least 2 dimensions")
    width = input.array.shape[-1]
    parts = [bins] * width if isinstance(bins, int) else list(bins)
    if len(parts) != width:
        raise ShapeError(f"[histogramdd] got {len(parts)} bins for points of {width} coordinates")
    table = as_shape(input, (input.shape.numel() // max(width, 1), width))
    return histogramdd_result(*_histogram("histogramdd", table, parts, range, weight, density))


def _histogram(
    op: str, table: Tensor, bins: list, range: Any, weight: Tensor | None, density: bool
) -> tuple[Tensor, tuple[Tensor, ...]]:
    _only_floating(op, table)
    table = table.detach()
    if range is not None and len(range) != 2 * len(bins):
        raise OptionError(f"[{op}] range needs two limits for each of {len(bins)} dims, got {len(range)}")
    edges = tuple(
        _edges(
            op, getitem(table, (slice(None), d)), part, None if range is None else range[2 * d : 2 * d + 2]
        )
        for d, part in enumerate(bins)
    )
    amount = _weights(op, table, weight)
    place, inside = full((), 0, int64, table.device), None
    for d, line in enumerate(edges):
        found, within = _interval(getitem(table, (slice(None), d)), line)
        place = place * (line.array.shape[0] - 1) + found
        inside = within if inside is None else inside & within
    shape = tuple(line.array.shape[0] - 1 for line in edges)
    total = full((math.prod(shape),), 0, amount.dtype, table.device)
    hist = as_shape(scatter_add(total, where(inside, place, 0), where(inside, amount, 0.0), 0), shape)
    return (_as_density(hist, edges) if density else hist), edges


def _edges(op: str, line: Tensor, bins: Any, limits: Any) -> Tensor:
    """The edges of the intervals along one coordinate."""
    if isinstance(bins, Tensor):
        if bins.array.ndim != 1 or bins.kind.dtype is not line.kind.dtype or not bins.array.shape[0]:
            raise ShapeError(
                f"[{op}] bins {describe(bins)}: needs one dimension, elements, and dtype {line.dtype}"
            )
        if limits is not None:
            raise ArgumentTypeError(f"[{op}] range cannot be given with edges")
        return bins
    _count_bins(op, bins)
    if limits is None and not line.array.shape[0]:
        low, high = 0.0, 1.0
    else:
        low, high = (0.0, 0.0) if limits is None else (float(limits[0]), float(limits[1]))
        if limits is not None and low == high:
            low, high = low - 0.5, high + 0.5
        low, high = _range(op, line, low, high, 0.5)
    places = arange(0, 1, bins + 1, line.dtype, line.device)
    step = (high - low) / bins
    return where(places < (bins + 1) // 2, places * step + low, high - (bins - places) * step)


def _weights(op: str, table: Tensor, weight: Tensor | None) -> Tensor:
    count = table.array.shape[0]
    if weight is None:
        return full((count,), 1, table.dtype, table.device)
    if weight.shape.numel() != count or weight.kind.dtype is not table.kind.dtype:
        raise ShapeError(f"[{op}] weight {describe(weight)}: needs {count} elements of {table.dtype}")
    return as_shape(weight.detach(), (count,))


def _interval(line: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
    """Between which edges each value lies, and whether it does; the last interval holds its right edge."""
    last = edges.array.shape[0] - 1
    first, final = getitem(edges, (0,)), getitem(edges, (last,))
    inside = (line >= first) & (line <= final)
    found: Any = searchsorted(edges, line, True) - 1
    return where(found >= last, last - 1, found), inside


def _as_density(hist: Tensor, edges: tuple[Tensor, ...]) -> Tensor:
    made = hist / reduce.sum(hist)
    for d, line in enumerate(edges):
        widths = getitem(line, (slice(1, None),)) - getitem(line, (slice(0, -1),))
        made = made / as_shape(widths, (widths.array.shape[0], *(1,) * (len(edges) - d - 1)))
    return made


METHODS: dict[str, Callable] = {f.__name__: f for f in (bincount, histc, histogram)}
