"""Means, variances, lengths and what is normalised by them: composites in one kernel each."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy import asarray, ndarray

from devtensor.backend.protocol import Kernel
from devtensor_numpy.blocks import BLOCK, spans
from devtensor_numpy.half_blocks import HalfBlocks
from devtensor_numpy.half_kernels import in_float32
from devtensor_numpy.halves import NAMES, given_back, lowering, raised, wide
from devtensor_numpy.leases import fresh
from devtensor_numpy.scratch import scratch

Dims = tuple[int, ...]
total: Any = np.add.reduce


def counted(x: ndarray, dims: Dims) -> int:
    """How many elements meet in one over `dims`."""
    return math.prod([x.shape[d] for d in dims])


def mean(x: ndarray, dims: Dims, keepdim: bool) -> ndarray:
    count = counted(x, dims) or math.nan
    return asarray(total(x, dims, x.dtype, None, keepdim) / x.dtype.type(count), order="C")


def var(x: ndarray, dims: Dims, keepdim: bool, correction: float) -> ndarray:
    if x.dtype.kind == "c":
        parts = np.real(x), np.imag(x)
        return var(parts[0], dims, keepdim, correction) + var(parts[1], dims, keepdim, correction)
    count = counted(x, dims)
    apart = asarray(x - total(x, dims, x.dtype, None, True) / x.dtype.type(count or math.nan))
    apart *= apart
    found = total(apart, dims, x.dtype, None, keepdim)
    return asarray(found / x.dtype.type(max(0.0, count - correction)), order="C")


def std(x: ndarray, dims: Dims, keepdim: bool, correction: float) -> ndarray:
    return asarray(np.sqrt(var(x, dims, keepdim, correction)))


def vector_norm(x: ndarray, dims: Dims, keepdim: bool, p: float) -> ndarray:
    """The p-norm; the extremes for p = inf and -inf, the count of what is not 0 for p = 0."""
    if p == 0:
        return asarray(total(x != 0, dims, np.real(x).dtype, None, keepdim), order="C")
    size = np.absolute(x)
    if math.isinf(p):
        reduce: Any = np.maximum.reduce if p > 0 else np.minimum.reduce
        return asarray(reduce(size, dims, None, None, keepdim), order="C")
    if p == 1:
        return asarray(total(size, dims, size.dtype, None, keepdim), order="C")
    powers = size * size if p == 2 else size ** size.dtype.type(p)
    found = total(powers, dims, size.dtype, None, keepdim)
    return asarray(np.sqrt(found) if p == 2 else found ** size.dtype.type(1.0 / p), order="C")


def batch_norm(
    x: ndarray, mean: ndarray, var: ndarray, weight: ndarray | None, bias: ndarray | None, eps: float
) -> ndarray:
    mean, var, weight, bias = (wide(part) for part in (mean, var, weight, bias))
    scale = 1 / np.sqrt(var + var.dtype.type(eps))
    if weight is not None:
        scale = scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    channels = (-1, *(1,) * (x.ndim - 2))
    result = SCALED.get(x.dtype, scaled)(x, scale.reshape(channels), shift.reshape(channels))
    return result.astype(x.dtype, copy=False)


def scaled(x: ndarray, scale: ndarray, shift: ndarray, out: ndarray | None = None) -> ndarray:
    result = np.multiply(x, scale, out=out)
    result += shift
    return result


SCALED = {half: HalfBlocks(scaled, in_float32(scaled, half), half, True) for half in NAMES}


def batch_norm_gradient(
    g: ndarray, x: ndarray, mean: ndarray, scale: ndarray
) -> tuple[ndarray, ndarray, ndarray]:
    """Blocks of samples, of which all that is computed stays in the cache."""
    mean, scale = wide(mean), wide(scale)
    channels, dims = (-1, *(1,) * (x.ndim - 2)), (0, *range(2, x.ndim))
    mean, scale = mean.reshape(channels), scale.reshape(channels)
    kinds = {wide(part[:0]).dtype for part in (g, x)} | {mean.dtype, scale.dtype}
    if g.dtype != x.dtype or len(kinds) > 1 or not x.size:
        given = wide(g)
        products = total(given * (wide(x) - mean), dims)
        return (given * scale).astype(g.dtype), total(given, dims), asarray(products, given.dtype)
    return by_samples(g, x, mean, scale, dims)


def by_samples(
    g: ndarray, x: ndarray, mean: ndarray, scale: ndarray, dims: Dims
) -> tuple[ndarray, ndarray, ndarray]:
    half, kind = g.dtype in NAMES, mean.dtype
    slope = fresh(g.shape, g.dtype)
    given = seen = np.empty(0)
    sums, products = np.zeros((2, x.shape[1]), kind)
    for span in spans(x.shape[0], max(1, BLOCK // 2 // x[0].size)):
        given = raised(g[span], "gradient") if half else g[span]
        seen = raised(x[span], "input") if half else x[span]
        product = scratch("product", seen.size, kind.type).reshape(seen.shape)
        np.subtract(seen, mean, out=product)
        product *= given
        sums += total(given, dims)
        products += total(product, dims)
        if half:
            np.multiply(given, scale, out=product)
            lowering(product.reshape(-1), slope.reshape(-1))(span.start * x[0].size, product.size)
        else:
            np.multiply(given, scale, out=slope[span])
    return slope, sums, products


def batch_norm_gradients(
    g: ndarray, x: ndarray, mean: ndarray, var: ndarray, weight: ndarray | None, eps: float
) -> tuple[ndarray, ...]:
    """Those of input, mean, var, weight and bias."""
    mean, var, weight = (wide(part) for part in (mean, var, weight))
    inverse = 1 / np.sqrt(var + var.dtype.type(eps))
    scale = inverse if weight is None else inverse * weight
    slope, total, along = batch_norm_gradient(g, x, mean, scale)
    slopes = -scale * total, scale * inverse * inverse * along * -0.5, inverse * along
    return slope, *[part.astype(total.dtype, copy=False) for part in slopes], total


def moments_gradient(
    values: ndarray, mean: ndarray, mean_slope: ndarray, var_slope: ndarray, dims: Dims
) -> ndarray:
    """Blocks of samples, where the moments are the same for all."""
    dtype, values = values.dtype, wide(values)
    kept = [1 if d in dims else n for d, n in enumerate(values.shape)]
    count = max(1, counted(values, dims))
    parts = mean, wide(var_slope) * (2 / count), wide(mean_slope) / count
    middle, slope, shift = (wide(part).reshape(kept) for part in parts)
    result = np.empty(values.shape, values.dtype)
    pieces: Iterable[Any] = (...,)
    if 0 in dims and values.size > BLOCK:
        pieces = spans(len(values), max(1, BLOCK * len(values) // values.size))
    for span in pieces:
        made = np.subtract(values[span], middle, out=result[span], casting="same_kind")
        np.multiply(made, slope, out=made, casting="same_kind")
        np.add(made, shift, out=made, casting="same_kind")
    return given_back(result, dtype)


def running_average(running: ndarray, found: ndarray, momentum: float, factor: float) -> ndarray:
    kept = wide(running) * (1 - momentum)
    return given_back(asarray(kept + wide(found) * (momentum * factor), kept.dtype), running.dtype)


def moments(x: ndarray, dims: Dims) -> tuple[ndarray, ndarray]:
    """The mean, and the mean of the squares less it: of large arrays by blocks of samples."""
    count = x.dtype.type(counted(x, dims) or math.nan)
    mean = total(x, dims, x.dtype, None, True) / count
    if 0 not in dims or x.ndim < 2 or x.size <= BLOCK:
        apart = asarray(x - mean)
        apart *= apart
        squares = total(apart, dims, x.dtype, None, True)
    else:
        squares = np.zeros(mean.shape, x.dtype)
        for span in spans(x.shape[0], max(1, BLOCK * x.shape[0] // x.size)):
            seen = x[span]
            apart = scratch("apart", seen.size, x.dtype.type).reshape(seen.shape)
            np.subtract(seen, mean, out=apart)
            apart *= apart
            squares += total(apart, dims, x.dtype, None, True)
    rest = tuple([n for d, n in enumerate(x.shape) if d not in dims])
    return asarray(mean, order="C").reshape(rest), asarray(squares / count, order="C").reshape(rest)


FUNCTIONS: dict[str, Kernel] = {
    "moments": moments,
    "moments_gradient": moments_gradient,
    "running_average": running_average,
    "batch_norm_gradient": batch_norm_gradient,
    "batch_norm_gradients": batch_norm_gradients,
    "mean": mean,
    "var": var,
    "std": std,
    "vector_norm": vector_norm,
    "batch_norm": batch_norm,
}
