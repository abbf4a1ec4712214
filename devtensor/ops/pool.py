"""Pooling: one number for each window over the spatial dims."""

from __future__ import annotations

import math
from typing import Any

from devtensor.core.errors import ShapeError
from devtensor.core.op import Index, Plain, composite
from devtensor.core.placement import CHANNELS, PICTURES
from devtensor.core.rules import index64, numeric, only_floating, same
from devtensor.ops.compare import eq, isnan, logical_and, logical_or
from devtensor.ops.conv import check_geometry, gather_windows, padded, windows
from devtensor.ops.create import arange, cast, full
from devtensor.ops.elementwise import floor_divide, remainder
from devtensor.ops.examples import case, fails, index
from devtensor.ops.gathering import gather, scatter_add
from devtensor.ops.norm import in_dtype
from devtensor.ops.reduce import amax, argmax, widened
from devtensor.ops.reduce import sum as _sum
from devtensor.ops.shape import as_shape, expand, getitem

Sizes = tuple[int, ...]


def pooled_sizes(
    spatial: Sizes, size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> Sizes:
    """How many windows there are in each dim; with `ceil_mode` one more may hang over the end."""
    counts = []
    for n, k, s, p, d in zip(spatial, size, stride, padding, dilation, strict=True):
        room = n + 2 * p - d * (k - 1) - 1
        count = (-(-room // s) if ceil_mode else room // s) + 1
        counts.append(count - 1 if ceil_mode and (count - 1) * s >= n + p else count)
    return tuple(counts)


def _overhang(
    spatial: Sizes, size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, counts: Sizes
) -> Sizes:
    """What must be added after each dim so that the last window fits."""
    rows = zip(spatial, size, stride, padding, dilation, counts, strict=True)
    return tuple(max(0, (c - 1) * s + d * (k - 1) + 1 - n - p) for n, k, s, p, d, c in rows)


def _check(op: str, shape: Sizes, size: Sizes, padding: Sizes, **others: Sizes) -> None:
    check_geometry(op, len(shape) - 2, size=size, padding=padding, **others)
    if any(2 * p > k for p, k in zip(padding, size, strict=True)):
        raise ShapeError(
            f"[{op}] pad should be at most half of kernel size: padding {padding}, kernel size {size}"
        )


def _max_shape(op: str, inputs: Any, params: tuple) -> list:
    (source,), (size, stride, padding, dilation, ceil_mode) = inputs, params
    _check(op, source.shape, size, padding, stride=stride, dilation=dilation)
    counts = pooled_sizes(source.shape[2:], size, stride, padding, dilation, ceil_mode)
    return [_with_counts(op, source.shape, counts)] * 2


def _with_counts(op: str, shape: Sizes, counts: Sizes) -> Sizes:
    if any(n < 1 for n in counts):
        raise ShapeError(
            f"[{op}] input {shape}: Output size is too small: {counts}; the window must fit in the input"
        )
    return (*shape[:2], *counts)


def _lowest(dtype: Any) -> Any:
    """What no element is below."""
    if dtype.is_floating_point:
        return -math.inf
    return 0 if not dtype.is_signed else -(2 ** (8 * dtype.itemsize - 1))


def _flat(windows_: Any, count: int) -> Any:
    """The window dims made one."""
    shape = windows_.array.shape
    return as_shape(windows_, (*shape[:-count], math.prod(shape[-count:])))


@composite(dtype=(numeric, index64), shape=_max_shape, eager=True, placement=CHANNELS)
def max_pool(input, size: Plain, stride: Plain, padding: Plain, dilation: Plain, ceil_mode: Plain = False):
    """Largest element of each window, and its flat place in the plane; of equals the first; NaN is largest.

    Shapes: input (N, C, *S) -> (N, C, *P), (N, C, *P)
    Errors: ShapeError if no window fits, or padding exceeds half a window.
    """
    spatial, count = tuple(input.array.shape[2:]), len(size)
    counts = pooled_sizes(spatial, size, stride, padding, dilation, ceil_mode)
    after = _overhang(spatial, size, stride, padding, dilation, counts)
    kind = input.kind
    seen = _flat(windows(padded(input, padding, after, _lowest(kind.dtype)), size, stride, dilation), count)
    top = amax(seen, (2 + count,), True)
    inside = full((1, 1, *spatial), 1, "uint8", kind.device)
    inside = _flat(windows(padded(inside, padding, after), size, stride, dilation), count)
    hits = logical_and(logical_or(eq(seen, top), isnan(seen)), inside)
    winner = argmax(cast(hits, "uint8"), 2 + count)
    return as_shape(top, tuple(winner.array.shape)), _plane_places(
        winner, spatial, size, stride, padding, dilation
    )


def _plane_places(
    winner: Any, spatial: Sizes, size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> Any:
    """The number of a place in its window as the flat place in the plane."""
    place, count = 0, len(size)
    for dim in range(count):
        within = remainder(floor_divide(winner, math.prod(size[dim + 1 :])), size[dim])
        starts = arange(-padding[dim], stride[dim], winner.array.shape[2 + dim], "int64", winner.kind.device)
        starts = as_shape(starts, (starts.array.shape[0], *(1,) * (count - dim - 1)))
        place = (within * dilation[dim] + starts) + place * spatial[dim]
    return place


def _unpooled(op: str, inputs: Any, params: tuple) -> Sizes:
    g, places = inputs
    if g.shape != places.shape or g.shape[:2] != tuple(params[0][:2]):
        raise ShapeError(
            f"[{op}] grad_output {g.shape}, index {places.shape}, input_shape {params[0]} do not fit"
        )
    return tuple(params[0])


def planes(input: Any) -> Any:
    shape = input.array.shape
    return as_shape(input, (*shape[:2], math.prod(shape[2:])))


@composite(dtype=same, shape=_unpooled, eager=True)
def max_pool_grad(grad_output, index: Index, input_shape: Plain):
    """Elements of `grad_output` added up at the places of their plane that `index` names.

    Shapes: grad_output (N, C, *P), index (N, C, *P) -> input_shape (N, C, *S)
    """
    plane = (*input_shape[:2], math.prod(input_shape[2:]))
    zeros = full(plane, 0, grad_output.kind.dtype, grad_output.kind.device)
    return as_shape(scatter_add(zeros, planes(index), planes(grad_output), 2), tuple(input_shape))


max_pool.vjp(input=lambda g, second, like: max_pool_grad(g, second, like.input.shape))
max_pool_grad.vjp(
    grad_output=lambda g, index: as_shape(gather(planes(g), planes(index), 2), tuple(index.array.shape))
)


@max_pool.examples
def _(make):
    plain = {"size": (2, 2), "stride": (2, 2), "padding": (0, 0), "dilation": (1, 1)}
    yield case(make(2, 3, 4, 6, distinct=True), **plain)
    yield case(make(2, 3, 5, 5, distinct=True), **plain)
    yield case(make(2, 3, 5, 5, distinct=True), **plain, ceil_mode=True)
    yield case(
        make(1, 2, 7, 6, distinct=True),
        size=(3, 2),
        stride=(1, 2),
        padding=(1, 1),
        dilation=(2, 1),
        ceil_mode=True,
    )
    yield case(make(2, 1, 9, distinct=True), size=(3,), stride=(2,), padding=(1,), dilation=(1,))
    yield case(
        make(1, 2, 3, 4, 4, distinct=True),
        size=(2, 2, 2),
        stride=(1, 2, 2),
        padding=(0, 0, 0),
        dilation=(1, 1, 1),
    )
    yield case(make(0, 3, 4, 4), **plain)
    yield case(make(2, 3, 4, 6, distinct=True, layout="sliced"), **plain)
    yield fails(make(2, 3, 1, 4), error="Output size is too small", **plain)
    yield fails(make(2, 3, 4, 4), error="at most half of kernel size", **{**plain, "padding": (2, 2)})


@max_pool_grad.examples
def _(make):
    yield case(make(2, 3, 2, 2), index(2, 3, 2, 2, size=16), input_shape=(2, 3, 4, 4))
    yield case(make(2, 1, 3), index(2, 1, 3, size=7), input_shape=(2, 1, 7))
    yield fails(make(2, 3, 2, 2), index(2, 3, 2, 1, size=16), input_shape=(2, 3, 4, 4), error="do not fit")


def _mean_shape(op: str, inputs: Any, params: tuple) -> Sizes:
    (source,), (size, stride, padding, ceil_mode, _, divisor) = inputs, params
    _check(op, source.shape, size, padding, stride=stride)
    if divisor == 0:
        raise ShapeError(f"[{op}] divisor must be not zero; give another divisor_override, or None")
    counts = pooled_sizes(source.shape[2:], size, stride, padding, (1,) * len(size), ceil_mode)
    return _with_counts(op, source.shape, counts)


def _window_sums(input: Any, size: Sizes, stride: Sizes, before: Sizes, after: Sizes, value: Any = 0) -> Any:
    first = input.array.ndim
    seen = windows(padded(input, before, after, value), size, stride, (1,) * len(size))
    return _sum(seen, tuple(range(first, first + len(size))))


def _divisor(
    spatial: Sizes, kind: Any, size: Sizes, stride: Sizes, padding: Sizes, after: Sizes, counted: bool
) -> Any:
    """How many elements each window averages: a number, or a tensor where windows differ."""
    inside = not any(after) and not any(padding)
    if inside or (counted and all(a <= p for a, p in zip(after, padding, strict=True))):
        return math.prod(size)
    if not counted:
        return _window_sums(full((1, 1, *spatial), 1, kind.dtype, kind.device), size, stride, padding, after)
    whole = tuple(n + 2 * p for n, p in zip(spatial, padding, strict=True))
    beyond = tuple(max(0, a - p) for a, p in zip(after, padding, strict=True))
    ones = full((1, 1, *whole), 1, kind.dtype, kind.device)
    return _window_sums(ones, size, stride, (0,) * len(size), beyond)


def _average_geometry(shape: Sizes, size: Sizes, stride: Sizes, padding: Sizes, ceil_mode: bool) -> tuple:
    spatial, near = tuple(shape[2:]), (1,) * len(size)
    counts = pooled_sizes(spatial, size, stride, padding, near, ceil_mode)
    return spatial, counts, _overhang(spatial, size, stride, padding, near, counts)


@composite(dtype=only_floating, shape=_mean_shape, eager=True, placement=PICTURES)
def avg_pool(
    input,
    size: Plain,
    stride: Plain,
    padding: Plain,
    ceil_mode: Plain = False,
    count_include_pad: Plain = True,
    divisor_override: Plain = None,
):
    """Mean of each window; padding counts as zeros, or not at all; `divisor_override` is what to divide by.

    Shapes: input (N, C, *S) -> (N, C, *P)
    Errors: ShapeError if no window fits, or padding exceeds half a window.
    """
    spatial, _, after = _average_geometry(input.array.shape, size, stride, padding, ceil_mode)
    divisor = divisor_override or _divisor(
        spatial, input.kind, size, stride, padding, after, count_include_pad
    )
    sums = _window_sums(widened(input), size, stride, padding, after)
    return in_dtype(sums / divisor, input.kind.dtype)


def _average_gradient(
    g: Any,
    like: Any,
    size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: Any,
    count_include_pad: Any,
    divisor_override: Any,
) -> Any:
    spatial, counts, after = _average_geometry(like.input.shape, size, stride, padding, ceil_mode)
    divisor = divisor_override or _divisor(spatial, g.kind, size, stride, padding, after, count_include_pad)
    shape = (*like.input.shape[:2], *counts)
    shared = expand(as_shape(g / divisor, (*shape, *(1,) * len(size))), (*shape, *size))
    # What no window reaches is at the end of a dim; it is part of the size that gather_windows fills.
    whole = tuple(n + p + max(a, p) for n, p, a in zip(spatial, padding, after, strict=True))
    result = gather_windows(shared, whole, stride, (1,) * len(size))
    inside = tuple(slice(p, p + n) for p, n in zip(padding, spatial, strict=True))
    return getitem(result, (slice(None), slice(None), *inside)) if whole != spatial else result


avg_pool.vjp(input=_average_gradient)


@avg_pool.examples
def _(make):
    plain = {"size": (2, 2), "stride": (2, 2), "padding": (0, 0)}
    yield case(make(2, 3, 4, 6), **plain)
    yield case(make(2, 3, 5, 5), **plain)
    yield case(make(2, 3, 5, 5), **plain, ceil_mode=True)
    padded_ = {"size": (3, 2), "stride": (2, 1), "padding": (1, 1)}
    for facts in ({}, {"count_include_pad": False}, {"ceil_mode": True}, {"divisor_override": 3}):
        yield case(make(1, 2, 6, 5), **padded_, **facts)
    yield case(make(1, 2, 6, 5), **padded_, ceil_mode=True, count_include_pad=False)
    yield case(make(2, 1, 9), size=(3,), stride=(2,), padding=(1,))
    yield case(make(1, 2, 3, 4, 4), size=(2, 2, 2), stride=(1, 2, 2), padding=(0, 0, 0))
    yield case(make(0, 3, 4, 4), **plain)
    yield case(make(2, 3, 4, 6, layout="sliced"), **plain)
    yield fails(make(2, 3, 1, 4), error="Output size is too small", **plain)
    yield fails(make(2, 3, 4, 4), error="at most half of kernel size", **{**plain, "padding": (2, 2)})
