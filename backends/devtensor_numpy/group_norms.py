"""Group norm and its gradient: blocks of groups that stay in the cache, and weights channel by channel."""

from __future__ import annotations

import math

import numpy as np
from numpy import ndarray

from devtensor.backend.protocol import Kernel
from devtensor_numpy.blocks import spans
from devtensor_numpy.halves import NAMES, given_back, wide
from devtensor_numpy.leases import fresh
from devtensor_numpy.row_norms import STEP, centred
from devtensor_numpy.row_sums import sums_of_columns, sums_of_rows


def per_row(part: ndarray | None, batch: int, groups: int) -> ndarray | None:
    """A number for each channel, repeated for all samples: a row for each group of each."""
    return None if part is None else np.tile(part.reshape(groups, -1), (batch, 1))


def group_norm(x: ndarray, weight: ndarray | None, bias: ndarray | None, groups: int, eps: float) -> ndarray:
    result = fresh(x.shape, x.dtype)
    if not x.size:
        return result
    rows, inner = x.shape[0] * groups, math.prod(x.shape[2:])
    source, target = x.reshape(rows, -1), result.reshape(rows, -1)
    scale, shift = per_row(weight, x.shape[0], groups), per_row(bias, x.shape[0], groups)
    for span in spans(rows, max(STEP // source.shape[1], 1)):
        apart = target[span]
        inverse = centred(source[span], apart, eps)
        if scale is None:
            apart *= inverse
        else:
            by_channel(np.multiply, apart, inverse * scale[span], inner, apart)
        if shift is not None:
            by_channel(np.add, apart, shift[span], inner, apart)
    return result


def by_channel(function: np.ufunc, rows: ndarray, numbers: ndarray, inner: int, result: ndarray) -> None:
    """Apply to each channel, `inner` numbers of a row, the number that belongs to it."""
    channels = result.reshape(-1, inner)
    function(rows.reshape(-1, inner), numbers.reshape(-1, 1), out=channels, casting="same_kind")


def group_norm_gradient(
    g: ndarray, x: ndarray, weight: ndarray | None, groups: int, eps: float
) -> tuple[ndarray, ndarray, ndarray]:
    """The gradients of input, weight and bias; of half types those of the last two are in float32."""
    if g.dtype in NAMES or x.dtype in NAMES:
        slope, along, total = group_norm_gradient(wide(g), wide(x), wide(weight), groups, eps)
        return given_back(slope, g.dtype), along, total
    result = fresh(x.shape, x.dtype)
    if not x.size:
        along, total = np.zeros((2, x.shape[1]), x.dtype)
        return result, along, total
    rows = x.shape[0] * groups
    given, source, target = (part.reshape(rows, -1) for part in (g, x, result))
    scale = per_row(weight, x.shape[0], groups)
    sums = np.empty((2, rows, x.shape[1] // groups), x.dtype)
    step = min(max(STEP // source.shape[1], 1), rows)
    buffer = np.empty((step, source.shape[1]), x.dtype)
    for span in spans(rows, step):
        weights = None if scale is None else scale[span]
        groups_gradient(given[span], source[span], weights, eps, target[span], sums[:, span], buffer)
    along, total = (sums_of_columns(part.reshape(x.shape[0], -1)) for part in sums)
    return result, along, total


def groups_gradient(
    g: ndarray, x: ndarray, scale: ndarray | None, eps: float, result: ndarray, sums: ndarray, buffer: ndarray
) -> None:
    """The gradient of a block of groups into `result`; into `sums`, for each channel, the sum of `g` times
    the standardised numbers and that of `g`.

    Of y = w * c / d with c = x - mean(x) it is (w * g - mean(w * g) - c * mean(w * g * c) / d**2) / d.
    """
    apart, width = buffer[: len(x)], x.dtype.type(x.shape[1])
    slope = centred(x, apart, eps)
    along, total = sums
    inner = x.shape[1] // total.shape[1]
    product = np.multiply(g, apart, out=result)
    along[...] = sums_of_rows(product.reshape(-1, inner)).reshape(along.shape)
    total[...] = sums_of_rows(g.reshape(-1, inner)).reshape(total.shape)
    along *= slope
    weighted = (along, total) if scale is None else (along * scale, total * scale)
    share, mean = (sums_of_rows(part) * (slope / -width) for part in weighted)
    apart *= share * slope
    apart += mean
    if scale is None:
        np.multiply(g, slope, out=result)
    else:
        by_channel(np.multiply, g, slope * scale, inner, result)
    result += apart


FUNCTIONS: dict[str, Kernel] = {"group_norm": group_norm, "group_norm_gradient": group_norm_gradient}
