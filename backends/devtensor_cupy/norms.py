"""Layer norm, RMS norm and group norm: one launch each, three for a gradient with that of the weights."""

from __future__ import annotations

import math
from typing import Any

import cupy

from devtensor.backend.protocol import Kernel
from devtensor_cupy.arrays_in_rows import (
    by_length,
    common_dtype,
    converted,
    in_rows,
    launch,
    table_of,
    wide_dtype,
)

WANTED_THREADS = 1 << 17
"""As many as sums over rows are divided among, where there are so many numbers."""


def layer_norm(x: Any, weight: Any, bias: Any, count: int, eps: float) -> Any:
    return normalised("layer_norm", x, (weight, bias), table_of(x, count), eps)


def rms_norm(x: Any, weight: Any, count: int, eps: float) -> Any:
    return normalised("rms_norm", x, (weight,), table_of(x, count), eps)


def normalised(name: str, x: Any, weights: tuple, table: tuple[int, ...], eps: float) -> Any:
    """Weights in another dtype are computed with in the wider one, and the result is rounded."""
    common = common_dtype(x, *weights)
    if common != x.dtype:
        wide, *parts = converted(common, x, *weights)
        return normalised(name, wide, tuple(parts), table, eps).astype(x.dtype)
    x, weights = in_rows(x), tuple(map(in_rows, weights))
    result = cupy.empty(x.shape, x.dtype)
    if x.size:
        rows, columns = table[:2]
        launch(f"{by_length(columns)}_{name}", rows, x.dtype, x, *weights, result, *table, eps)
    return result


def group_norm(x: Any, weight: Any, bias: Any, groups: int, eps: float) -> Any:
    return normalised("group_norm", x, (weight, bias), groups_of(x, groups), eps)


def groups_of(x: Any, groups: int) -> tuple[int, int, int, int]:
    """The groups of all samples, the numbers of one, the groups of a sample, the numbers of a channel."""
    inner = math.prod(x.shape[2:])
    return x.shape[0] * groups, x.shape[1] // groups * inner, groups, inner


def layer_norm_gradient(g: Any, x: Any, weight: Any, count: int, eps: float) -> tuple[Any, Any]:
    return row_gradient("layer_norm", g, x, weight, count, eps)


def rms_norm_gradient(g: Any, x: Any, weight: Any, count: int, eps: float) -> tuple[Any, Any]:
    return row_gradient("rms_norm", g, x, weight, count, eps)


def row_gradient(name: str, g: Any, x: Any, weight: Any, count: int, eps: float) -> tuple[Any, Any]:
    """The input's gradient, and what the weight's is: the sum of `g` times the standardised rows."""
    table = rows, columns = table_of(x, count)
    shape, wide = x.shape[x.ndim - count :], wide_dtype(x)
    if not x.size:
        return cupy.empty(x.shape, g.dtype), cupy.zeros(shape, wide)
    given, seen, weight = alike(g, x, weight)
    slope, means, scales = input_gradient(name, given, seen, weight, table, eps)
    along = weight_gradient(given, seen, means, scales, rows, columns)
    return slope.astype(g.dtype, copy=False), along.astype(wide, copy=False).reshape(shape)


def alike(*arrays: Any) -> list[Any]:
    """All in rows and in one dtype, the widest in which they meet."""
    return [*map(in_rows, converted(common_dtype(*arrays), *arrays))]


def input_gradient(
    name: str, g: Any, x: Any, weight: Any, table: tuple[int, ...], eps: float
) -> tuple[Any, Any, Any]:
    """The input's gradient, and each row's mean and inverse deviation."""
    rows, columns = table[:2]
    result, statistics = cupy.empty(x.shape, x.dtype), cupy.empty((2, rows), cupy.float64)
    means, scales = statistics[0], statistics[1]
    kernel = f"{by_length(columns)}_{name}_backward"
    launch(kernel, rows, x.dtype, g, x, weight, result, means, scales, *table, eps)
    return result, means, scales


def weight_gradient(g: Any, x: Any, means: Any, scales: Any, rows: int, columns: int) -> Any:
    """Sums over parts of the rows, then over the parts: always in the same order."""
    parts = min(math.isqrt(rows - 1) + 1, -(-WANTED_THREADS // columns))
    chunk = -(-rows // parts)
    parts = -(-rows // chunk)
    sums = cupy.empty((parts, columns), wide_dtype(x))
    launch("norm_weight_parts", sums.size, x.dtype, g, x, means, scales, sums, rows, columns, chunk)
    if parts == 1:
        return sums
    result = cupy.empty(columns, sums.dtype)
    launch("sum_of_parts", columns, x.dtype, sums, result, parts, columns)
    return result


def group_norm_gradient(g: Any, x: Any, weight: Any, groups: int, eps: float) -> tuple[Any, Any, Any]:
    """The gradients of the input, of the weight and of the bias."""
    batch, channels, inner = x.shape[0], x.shape[1], math.prod(x.shape[2:])
    sums = cupy.zeros((2, channels), wide_dtype(x))
    if not x.size:
        return cupy.empty(x.shape, g.dtype), sums[0], sums[1]
    given, seen, weight = alike(g, x, weight)
    slope, means, scales = input_gradient("group_norm", given, seen, weight, groups_of(x, groups), eps)
    places = given, seen, means, scales, sums[1], sums[0]
    launch("channel_group_sums", channels, seen.dtype, *places, batch, channels, inner, groups)
    return slope.astype(g.dtype, copy=False), sums[0], sums[1]


KERNELS: dict[str, Kernel] = {
    "layer_norm": layer_norm,
    "layer_norm_gradient": layer_norm_gradient,
    "group_norm": group_norm,
    "group_norm_gradient": group_norm_gradient,
    "rms_norm": rms_norm,
    "rms_norm_gradient": rms_norm_gradient,
}
