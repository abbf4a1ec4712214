"""Convolution and pooling over any number of spatial dimensions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from devtensor.backend.arraylib.library import Library
from devtensor.backend.protocol import Array, Kernel

Sizes = tuple[int, ...]


def kernels(lib: Library) -> dict[str, Kernel]:
    """The window part of the table."""
    return lib.bind(FUNCTIONS)


def window_count(size: int, window: int, stride: int, padding: int, dilation: int, ceil: bool = False) -> int:
    """How many windows fit; with `ceil` also one that hangs over the end but starts before it."""
    room = size + 2 * padding - dilation * (window - 1) - 1
    if not ceil:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - 1 if (count - 1) * stride >= size + padding else count


def pad_planes(lib: Library, x: Array, before: Sizes, after: Sizes, value: float) -> Array:
    """x with a border around its spatial dimensions, x itself if there is none."""
    if not any(before) and not any(after):
        return x
    spatial = [n + b + a for n, b, a in zip(x.shape[2:], before, after, strict=True)]
    result = lib.xp.empty((*x.shape[:2], *spatial), x.dtype)
    result.fill(value)
    result[inner_planes(x.shape[2:], before)] = x
    return result


def inner_planes(shape: Sizes, before: Sizes) -> tuple[Any, ...]:
    """Index of the planes inside their border."""
    return (..., *(slice(b, b + n) for n, b in zip(shape, before, strict=True)))


@lru_cache(1024)
def taps(
    window: Sizes, counts: Sizes, stride: Sizes, dilation: Sizes
) -> tuple[tuple[Sizes, tuple[Any, ...]], ...]:
    """For each position inside the window, that position and the index of what all windows see there."""
    found = []
    for place in itertools.product(*(range(size) for size in window)):
        starts = [k * d for k, d in zip(place, dilation, strict=True)]
        cuts = (slice(a, a + (n - 1) * s + 1, s) for a, n, s in zip(starts, counts, stride, strict=True))
        found.append((place, (..., *cuts)))
    return tuple(found)


def columns(
    lib: Library, x: Array, window: Sizes, counts: Sizes, stride: Sizes, dilation: Sizes, groups: int
) -> Array:
    """Padded x (N, C, *S) as (N, groups, C/groups * prod(window), prod(counts)): one copied plane per tap."""
    samples, channels = x.shape[:2]
    result = lib.xp.empty((samples, channels, *window, *counts), x.dtype)
    for place, cut in taps(window, counts, stride, dilation):
        result[(slice(None), slice(None), *place)] = x[cut]
    depth = channels // groups * math.prod(window)
    return result.reshape(samples, groups, depth, math.prod(counts))


def output_counts(spatial: Sizes, window: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> Sizes:
    """How many windows there are in each spatial dimension."""
    return tuple(map(window_count, spatial, window, stride, padding, dilation))


def convolution(
    lib: Library, x: Array, w: Array, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Array:
    """Cross-correlation as one matrix product over columns.

    Shapes: x (N, C, *S), w (O, C/groups, *K) -> (N, O, *P)
    """
    window = w.shape[2:]
    counts = output_counts(x.shape[2:], window, stride, padding, dilation)
    padded = pad_planes(lib, x, padding, padding, 0)
    seen = columns(lib, padded, window, counts, stride, dilation, groups)
    result = lib.xp.matmul(grouped_weight(w, groups), seen)
    return result.reshape(x.shape[0], w.shape[0], *counts)


def grouped_weight(w: Array, groups: int) -> Array:
    """w as (groups, O/groups, C/groups * prod(K))."""
    return w.reshape(groups, w.shape[0] // groups, math.prod(w.shape[1:]))


def convolution_grad_input(
    lib: Library,
    g: Array,
    w: Array,
    input_shape: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> Array:
    """Gradient of `convolution` for x: columns of gradients, added back to where their taps came from."""
    samples, channels, *spatial = input_shape
    window, counts = w.shape[2:], g.shape[2:]
    weight = grouped_weight(w, groups).swapaxes(1, 2)
    grouped = g.reshape(samples, groups, g.shape[1] // groups, math.prod(counts))
    seen = lib.xp.matmul(weight, grouped).reshape(samples, channels, *window, *counts)
    padded = lib.xp.zeros(
        (samples, channels, *(n + 2 * p for n, p in zip(spatial, padding, strict=True))), g.dtype
    )
    for place, cut in taps(window, counts, stride, dilation):
        padded[cut] += seen[(slice(None), slice(None), *place)]
    return padded[inner_planes(tuple(spatial), padding)].copy() if any(padding) else padded


def convolution_grad_weight(
    lib: Library,
    g: Array,
    x: Array,
    weight_shape: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> Array:
    """Gradient of `convolution` for w: gradients times columns, summed over the samples."""
    window, counts = weight_shape[2:], g.shape[2:]
    padded = pad_planes(lib, x, padding, padding, 0)
    seen = columns(lib, padded, window, counts, stride, dilation, groups)
    grouped = g.reshape(g.shape[0], groups, g.shape[1] // groups, math.prod(counts))
    parts = lib.xp.matmul(grouped, seen.swapaxes(2, 3))
    return lib.total(parts, axis=0, dtype=x.dtype).reshape(weight_shape)


def max_pool(
    lib: Library, x: Array, size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> tuple[Array, Array]:
    """Maximum of each window and its flat index in the plane; the first maximum wins, NaN wins over all.

    Shapes: x (N, C, *S) -> (N, C, *P), (N, C, *P)
    """
    xp, spatial = lib.xp, x.shape[2:]
    geometry = list(zip(spatial, size, stride, padding, dilation, strict=True))
    counts = tuple(window_count(*axis, ceil=ceil_mode) for axis in geometry)
    after = tuple(
        max((n - 1) * s + d * (k - 1) + 1 - length - p, 0)
        for n, (length, k, s, p, d) in zip(counts, geometry, strict=True)
    )
    padded = pad_planes(lib, x, padding, after, lowest(x))
    values, index = None, None
    for place, cut in taps(size, counts, stride, dilation):
        seen = padded[cut]
        if values is None:
            values = seen.copy()
            index = xp.zeros(values.shape, lib.dtypes["int64"]) + plane_index(lib, counts, geometry, None)
            better = seen != seen
        else:
            better = (seen > values) | (seen != seen)
            values = xp.where(better, seen, values)
        index = xp.where(better, plane_index(lib, counts, geometry, place), index)
    return values, index


def lowest(x: Array) -> float:
    """What padding holds so that no maximum is taken from it."""
    if x.dtype.kind in "iu":
        bits = 8 * x.dtype.itemsize
        return -(2 ** (bits - 1)) if x.dtype.kind == "i" else 0
    return -math.inf


def plane_index(lib: Library, counts: Sizes, geometry: list[Sizes], place: Sizes | None) -> Array:
    """Flat index in the plane of what windows see at `place`; None is the first place that is no padding."""
    int64 = lib.dtypes["int64"]
    result = lib.xp.zeros((1,) * len(counts), int64)
    for axis, (length, _, stride, padding, dilation) in enumerate(geometry):
        position = lib.xp.arange(counts[axis], dtype=int64) * stride - padding
        if place is not None:
            position = position + place[axis] * dilation
        else:
            position = lib.xp.where(position < 0, position % dilation, position)
        shape = [1] * len(counts)
        shape[axis] = counts[axis]
        result = result * length + position.reshape(shape)
    return result


def max_pool_grad(lib: Library, g: Array, index: Array, input_shape: Sizes) -> Array:
    """Gradients added to where their maxima were taken."""
    planes = math.prod(input_shape[:2])
    plane = math.prod(input_shape[2:])
    result = lib.xp.zeros(planes * plane, g.dtype)
    starts = lib.xp.arange(planes, dtype=lib.dtypes["int64"]).reshape(-1, 1) * plane
    flat = index.reshape(planes, math.prod(index.shape[2:])) + starts
    lib.add_at(result, flat.reshape(-1), g.reshape(-1))
    return result.reshape(input_shape)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "convolution": convolution,
    "convolution_grad_input": convolution_grad_input,
    "convolution_grad_weight": convolution_grad_weight,
    "max_pool": max_pool,
    "max_pool_grad": max_pool_grad,
}
