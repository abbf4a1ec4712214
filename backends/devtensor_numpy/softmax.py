"""The softmaxes, a block of rows at a time, so that each row is read from memory once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from devtensor.backend.protocol import Kernel
from devtensor_numpy.blocks import BLOCK, spans
from devtensor_numpy.row_sums import sums_of_rows

largest: Any = np.maximum.reduce


def softmax_rows(x: ndarray, result: ndarray) -> None:
    """softmax of the rows of `x` into `result`."""
    np.subtract(x, largest(x, 1, None, None, True), out=result)
    np.exp(result, out=result)
    result /= sums_of_rows(result)


def log_softmax_rows(x: ndarray, result: ndarray) -> None:
    """log_softmax of the rows of `x` into `result`."""
    np.subtract(x, largest(x, 1, None, None, True), out=result)
    result -= np.log(sums_of_rows(np.exp(result)))


def safe_softmax_rows(x: ndarray, result: ndarray) -> None:
    """softmax of the rows of `x` into `result`; zeros for rows of minus infinity."""
    top = largest(x, 1, None, None, True)
    top[np.isneginf(top)] = 0
    np.subtract(x, top, out=result)
    np.exp(result, out=result)
    sums = sums_of_rows(result)
    sums[sums == 0] = 1
    result /= sums


def softmax_slopes(g: ndarray, shares: ndarray, result: ndarray, scale: float = 1.0) -> None:
    """The gradient of what a softmax of `scale` times it made rows of shares of, into `result`."""
    np.multiply(g, shares, out=result)
    result -= shares * sums_of_rows(result)
    if scale != 1.0:
        result *= result.dtype.type(scale)


def log_softmax_slopes(g: ndarray, logarithms: ndarray, result: ndarray) -> None:
    """The gradient of what a log_softmax made rows of logarithms of, into `result`."""
    np.exp(logarithms, out=result)
    result *= sums_of_rows(g)
    np.subtract(g, result, out=result)


def slopes_along_rows(rows: Callable[..., None]) -> Kernel:
    """The kernel of a gradient from that of an output and the output, by blocks of rows along `dim`."""

    def kernel(g: ndarray, output: ndarray, dim: int, *rest: float) -> ndarray:
        if g.ndim and dim != g.ndim - 1:
            turned = kernel(g.swapaxes(dim, -1), output.swapaxes(dim, -1), g.ndim - 1, *rest)
            return np.ascontiguousarray(turned.swapaxes(dim, -1))
        result = np.empty(g.shape, g.dtype)
        if not g.size:
            return result
        width = g.shape[-1] if g.ndim else 1
        source, given, target = (a.reshape(-1, width) for a in (g, output, result))
        for span in spans(source.shape[0], max(BLOCK // width, 1)):
            rows(source[span], given[span], target[span], *rest)
        return result

    return kernel


def along_rows(rows: Callable[[ndarray, ndarray], None]) -> Kernel:
    """The kernel that brings `dim` to the end, if it is not there, and goes through the rows in blocks."""

    def kernel(x: ndarray, dim: int) -> ndarray:
        if x.ndim == 2 and dim == 1 and 0 < x.size <= BLOCK:
            rows(x, result := np.empty(x.shape, x.dtype))
            return result
        if x.ndim == 0:
            return kernel(x.reshape(1), 0).reshape(())
        if dim != x.ndim - 1:
            return np.ascontiguousarray(kernel(x.swapaxes(dim, -1), x.ndim - 1).swapaxes(dim, -1))
        result = np.empty(x.shape, x.dtype)
        if not x.size:
            return result
        width = x.shape[-1]
        source, target = x.reshape(-1, width), result.reshape(-1, width)
        for span in spans(source.shape[0], max(BLOCK // width, 1)):
            rows(source[span], target[span])
        return result

    return kernel


softmax = along_rows(softmax_rows)
log_softmax = along_rows(log_softmax_rows)
safe_softmax = along_rows(safe_softmax_rows)
softmax_gradient = slopes_along_rows(softmax_slopes)
log_softmax_gradient = slopes_along_rows(log_softmax_slopes)
