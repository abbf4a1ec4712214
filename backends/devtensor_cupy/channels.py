"""Moments over all dims but some, batch norm and its gradient: one launch each."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import cupy

from devtensor.backend.protocol import Kernel
from devtensor_cupy.arrays_in_rows import common_dtype, converted, in_rows, launch, wide_dtype


class Channels(NamedTuple):
    """An array in rows, seen as (batch, channels, inner): channels are what is left over some dims.

    `order` is how the dims stand in it, if some were brought to the front.
    """

    array: Any
    sizes: tuple[int, int, int]
    shape: tuple[int, ...]
    order: list[int] | None


def channels_of(x: Any, dims: tuple[int, ...]) -> Channels:
    """Dims that are left but stand apart are brought together in front."""
    left = [d for d in range(x.ndim) if d not in dims]
    shape, order = tuple(x.shape[d] for d in left), None
    if left and left != [*range(left[0], left[-1] + 1)]:
        order, left = left + [d for d in range(x.ndim) if d in dims], [*range(len(left))]
        x = x.transpose(order)
    first, behind = (left[0], left[-1] + 1) if left else (0, 0)
    sizes = math.prod(x.shape[:first]), math.prod(shape), math.prod(x.shape[behind:])
    return Channels(in_rows(x), sizes, shape, order)


def moments(x: Any, dims: tuple[int, ...]) -> tuple[Any, Any]:
    """Mean and biased variance over dims, in float32 or wider."""
    seen = channels_of(x, dims)
    found = cupy.empty((2, seen.sizes[1]), wide_dtype(x))
    launch("channel_moments", seen.sizes[1], x.dtype, seen.array, found[0], found[1], *seen.sizes)
    return found[0].reshape(seen.shape), found[1].reshape(seen.shape)


def moments_gradient(x: Any, mean: Any, mean_slope: Any, var_slope: Any, dims: tuple[int, ...]) -> Any:
    seen = channels_of(x, dims)
    result = cupy.empty(seen.array.shape, x.dtype)
    parts = map(in_rows, converted(wide_dtype(x), mean, mean_slope, var_slope))
    launch("moments_backward", x.size, x.dtype, seen.array, *parts, result, *seen.sizes)
    if seen.order is None:
        return result
    return cupy.ascontiguousarray(result.transpose([seen.order.index(d) for d in range(x.ndim)]))


def batch_norm(x: Any, mean: Any, var: Any, weight: Any, bias: Any, eps: float) -> Any:
    x = in_rows(x)
    result = cupy.empty(x.shape, x.dtype)
    parts = map(in_rows, converted(wide_dtype(x), mean, var, weight, bias))
    channels, inner = x.shape[1], math.prod(x.shape[2:])
    launch("batch_norm", x.size, x.dtype, x, *parts, result, x.size, channels, inner, eps)
    return result


def batch_norm_gradients(g: Any, x: Any, mean: Any, var: Any, weight: Any, eps: float) -> tuple[Any, ...]:
    """Those of input, mean, var, weight and bias."""
    common, dtype = common_dtype(g, x), g.dtype
    g, x = map(in_rows, converted(common, g, x))
    parts = [*map(in_rows, converted(wide_dtype(g), mean, var, weight))]
    result, slopes = cupy.empty(g.shape, common), cupy.empty((4, g.shape[1]), wide_dtype(g))
    sizes = g.shape[0], g.shape[1], math.prod(g.shape[2:])
    launch("channel_batch_norm_backward", sizes[1], common, g, x, *parts, result, slopes, *sizes, eps)
    return result.astype(dtype, copy=False), *slopes


def running_average(running: Any, found: Any, momentum: float, factor: float) -> Any:
    running, (found,) = in_rows(running), map(in_rows, converted(wide_dtype(running), found))
    result = cupy.empty(running.shape, running.dtype)
    launch(
        "running_average", running.size, running.dtype, running, found, result, running.size, momentum, factor
    )
    return result


KERNELS: dict[str, Kernel] = {
    "moments": moments,
    "running_average": running_average,
    "batch_norm": batch_norm,
    "batch_norm_gradients": batch_norm_gradients,
    "moments_gradient": moments_gradient,
}
