"""Layer norm and its gradient: blocks of rows that stay in the cache, and few passes over each."""

from __future__ import annotations

import math

import numpy as np
from numpy import ndarray

from devtensor.backend.protocol import Kernel
from devtensor_numpy.blocks import spans
from devtensor_numpy.halves import NAMES, given_back, wide
from devtensor_numpy.leases import fresh
from devtensor_numpy.row_sums import sums_of_rows

STEP = 1 << 17
"""Elements in a block: large enough to hide the cost of a dozen calls, small enough for the caches."""


def centred(x: ndarray, result: ndarray, eps: float) -> ndarray:
    """The rows of `x` less their mean, into `result`; gives one over their deviations."""
    width = x.dtype.type(x.shape[1])
    np.subtract(x, sums_of_rows(x) / width, out=result)
    spread = np.vecdot(result, result)[:, None]
    spread /= width
    spread += x.dtype.type(eps)
    np.sqrt(spread, out=spread)
    return np.reciprocal(spread, out=spread)


def repeated(part: ndarray | None, rows: int, width: int, blocks: int) -> ndarray | None:
    """What every row is scaled or shifted by; for many blocks as a whole block, which NumPy multiplies
    twice as fast."""
    if part is None:
        return None
    row = part.reshape(1, width)
    return np.repeat(row, rows, 0) if blocks > 2 else row


def normalise(x: ndarray, scale: ndarray | None, shift: ndarray | None, eps: float, result: ndarray) -> None:
    """Layer norm of a block of rows into `result`."""
    np.multiply(result, centred(x, result, eps), out=result)
    if scale is not None:
        np.multiply(result, scale[: len(x)], out=result, casting="same_kind")
    if shift is not None:
        np.add(result, shift[: len(x)], out=result, casting="same_kind")


def layer_norm(x: ndarray, weight: ndarray | None, bias: ndarray | None, count: int, eps: float) -> ndarray:
    result = fresh(x.shape, x.dtype)
    if x.ndim == 2 and count == 1 and 0 < x.size <= STEP:
        scale, shift = (None if part is None else part[None] for part in (weight, bias))
        normalise(x, scale, shift, eps, result)
        return result
    if not x.size:
        return result
    width = math.prod(x.shape[x.ndim - count :])
    source, target = x.reshape(-1, width), result.reshape(-1, width)
    step = min(max(STEP // width, 1), source.shape[0])
    blocks = source.shape[0] // step
    scale, shift = repeated(weight, step, width, blocks), repeated(bias, step, width, blocks)
    for span in spans(source.shape[0], step):
        normalise(source[span], scale, shift, eps, target[span])
    return result


def layer_norm_gradient(
    g: ndarray, x: ndarray, weight: ndarray | None, count: int, eps: float
) -> tuple[ndarray, ndarray]:
    """The input's gradient, and what the weight's is: the sum of `g` times the standardised rows.

    Of half types the sum is in float32.
    """
    if g.dtype in NAMES or x.dtype in NAMES:
        slope, along = layer_norm_gradient(wide(g), wide(x), wide(weight), count, eps)
        return given_back(slope, g.dtype), along
    result, inner = fresh(x.shape, x.dtype), x.shape[x.ndim - count :]
    width = math.prod(inner)
    along = np.zeros(width, x.dtype)
    if not x.size:
        return result, along.reshape(inner)
    given, source, target = (part.reshape(-1, width) for part in (g, x, result))
    step = min(max(STEP // width, 1), source.shape[0])
    scale = repeated(weight, step, width, source.shape[0] // step)
    buffers = np.empty((2, step, width), x.dtype)
    for span in spans(source.shape[0], step):
        along += rows_gradient(given[span], source[span], scale, eps, target[span], buffers)
    return result, along.reshape(inner)


def rows_gradient(
    g: ndarray, x: ndarray, scale: ndarray | None, eps: float, result: ndarray, buffers: ndarray
) -> ndarray:
    """The gradient of a block of rows into `result`; gives the sum of `g` times the standardised rows.

    Of y = c / d with c = x - mean(x) it is (g - mean(g) - c * mean(g * c) / d**2) / d.
    """
    apart, product = buffers[:, : len(x)]
    width = x.dtype.type(x.shape[1])
    slope = centred(x, apart, eps)
    along = slope[:, 0] @ np.multiply(g, apart, out=product)
    weighted = g if scale is None else np.multiply(g, scale[: len(x)], out=product)
    share = np.vecdot(weighted, apart)[:, None]
    share *= slope * slope / width
    apart *= share
    np.subtract(weighted, apart, out=result)
    result -= sums_of_rows(weighted) / width
    result *= slope
    return along


FUNCTIONS: dict[str, Kernel] = {"layer_norm": layer_norm, "layer_norm_gradient": layer_norm_gradient}
