"""The softmaxes, a block of rows at a time, so that each row is read from memory once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from devtensor.backend.protocol import Kernel
from devtensor_numpy.blocks import BLOCK, spans

largest: Any = np.maximum.reduce
total: Any = np.add.reduce


def softmax_rows(x: ndarray, result: ndarray) -> None:
    """softmax of the rows of `x` into `result`."""
    np.subtract(x, largest(x, 1, None, None, True), out=result)
    np.exp(result, out=result)
    result /= total(result, 1, None, None, True)


def log_softmax_rows(x: ndarray, result: ndarray) -> None:
    """log_softmax of the rows of `x` into `result`."""
    np.subtract(x, largest(x, 1, None, None, True), out=result)
    result -= np.log(total(np.exp(result), 1, None, None, True))


def along_rows(rows: Callable[[ndarray, ndarray], None]) -> Kernel:
    """The kernel that brings `dim` to the end, if it is not there, and goes through the rows in blocks."""

    def kernel(x: ndarray, dim: int) -> ndarray:
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
