"""Means, variances, lengths and what is normalised by them: composites in one kernel each."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import asarray, ndarray

from devtensor.backend.protocol import Kernel
from devtensor_numpy.blocks import BLOCK, spans

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


def standardised(x: ndarray, result: ndarray, eps: float) -> ndarray:
    """The rows of `x` less their mean, over their deviation, into `result`; gives the deviations."""
    width = x.dtype.type(x.shape[1])
    np.subtract(x, total(x, 1, None, None, True) / width, out=result)
    spread = total(result * result, 1, None, None, True)
    spread /= width
    spread += x.dtype.type(eps)
    result /= np.sqrt(spread, out=spread)
    return spread


def layer_norm(x: ndarray, weight: ndarray | None, bias: ndarray | None, count: int, eps: float) -> ndarray:
    """Blocks of rows that stay in the cache."""
    result = np.empty(x.shape, x.dtype)
    if not x.size:
        return result
    width = math.prod(x.shape[x.ndim - count :])
    source, target = x.reshape(-1, width), result.reshape(-1, width)
    scale, shift = (None if part is None else part.reshape(width) for part in (weight, bias))
    for span in spans(source.shape[0], max(BLOCK // width, 1)):
        rows = target[span]
        standardised(source[span], rows, eps)
        if scale is not None:
            np.multiply(rows, scale, out=rows, casting="same_kind")
        if shift is not None:
            np.add(rows, shift, out=rows, casting="same_kind")
    return result


def layer_norm_gradient(
    g: ndarray, x: ndarray, weight: ndarray | None, count: int, eps: float
) -> tuple[ndarray, ndarray]:
    """Blocks of rows, of which all that is computed stays in the cache."""
    result, inner = np.empty(x.shape, x.dtype), x.shape[x.ndim - count :]
    width = math.prod(inner)
    along = np.zeros(width, x.dtype)
    if not x.size:
        return result, along.reshape(inner)
    given, source, target = (part.reshape(-1, width) for part in (g, x, result))
    scale = None if weight is None else weight.reshape(width)
    step = max(BLOCK // 4 // width, 1)
    buffers = np.empty((2, min(step, source.shape[0]), width), x.dtype)
    for span in spans(source.shape[0], step):
        rows, grad = target[span], given[span]
        standard, product = buffers[:, : rows.shape[0]]
        deviation = standardised(source[span], standard, eps)
        along += total(np.multiply(grad, standard, out=product), 0)
        weighted = grad if scale is None else np.multiply(grad, scale, out=rows)
        np.multiply(weighted, standard, out=product)
        standard *= total(product, 1, None, None, True) / x.dtype.type(width)
        np.subtract(weighted, total(weighted, 1, None, None, True) / x.dtype.type(width), out=rows)
        rows -= standard
        rows /= deviation
    return result, along.reshape(inner)


def batch_norm(
    x: ndarray, mean: ndarray, var: ndarray, weight: ndarray | None, bias: ndarray | None, eps: float
) -> ndarray:
    scale = 1 / np.sqrt(var + var.dtype.type(eps))
    if weight is not None:
        scale = scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    channels = (-1, *(1,) * (x.ndim - 2))
    result = x * scale.reshape(channels)
    result += shift.reshape(channels)
    return result.astype(x.dtype, copy=False)


FUNCTIONS: dict[str, Kernel] = {
    "mean": mean,
    "var": var,
    "std": std,
    "vector_norm": vector_norm,
    "layer_norm": layer_norm,
    "layer_norm_gradient": layer_norm_gradient,
    "batch_norm": batch_norm,
}
