"""Activations in few passes, block by block: composites in one kernel each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy import ndarray

from devtensor.backend.protocol import Kernel
from devtensor_numpy.blocks import BLOCK, spans


def in_blocks_into(function: Callable[[ndarray, ndarray], None], x: ndarray) -> ndarray:
    """A fresh array that `function(x, result)` fills, on large arrays block by block."""
    if not x.flags.c_contiguous:
        # A ufunc's own result lies as every elementwise result does.
        function(x, result := np.positive(x))
        return result
    result = np.empty(x.shape, x.dtype)
    if x.size < 2 * BLOCK:
        function(x, result)
        return result
    source, target = x.reshape(-1), result.reshape(-1)
    for span in spans(x.size):
        function(source[span], target[span])
    return result


def leaky_relu(x: ndarray, negative_slope: float) -> ndarray:
    """The larger of `x` and `x` times a slope, where that is between 0 and 1."""
    slope = x.dtype.type(negative_slope)
    if not 0 < negative_slope <= 1:
        return np.asarray(np.where(x > 0, x, x * slope))

    def larger(part: ndarray, result: ndarray) -> None:
        np.multiply(part, slope, out=result)
        np.maximum(result, part, out=result)

    return in_blocks_into(larger, x)


def silu(x: ndarray) -> ndarray:
    """x / (1 + exp(-x))."""

    def gated(part: ndarray, result: ndarray) -> None:
        np.negative(part, out=result)
        np.exp(result, out=result)
        result += 1
        np.divide(part, result, out=result)

    return in_blocks_into(gated, x)


FUNCTIONS: dict[str, Kernel] = {"leaky_relu": leaky_relu, "silu": silu}
