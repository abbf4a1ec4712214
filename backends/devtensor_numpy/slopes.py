"""Gradients of activations in one kernel each."""

from __future__ import annotations

import numpy as np
from numpy import asarray, ndarray

from devtensor.backend.arraylib import Library
from devtensor.backend.arraylib.elementwise import sigmoid
from devtensor.backend.protocol import Kernel
from devtensor_numpy.blocks import BLOCK, spans
from devtensor_numpy.choosing import where

LIBRARY = Library(np)


def sigmoid_gradient(g: ndarray, output: ndarray) -> ndarray:
    result = asarray(1 - output)
    result *= output
    return asarray(g * result)


def tanh_gradient(g: ndarray, output: ndarray) -> ndarray:
    result = asarray(output * output)
    return asarray(g * (1 - result))


def relu_gradient(g: ndarray, output: ndarray) -> ndarray:
    return where(asarray(output <= 0), asarray(0, g.dtype), g)


def leaky_relu_gradient(g: ndarray, x: ndarray, negative_slope: float) -> ndarray:
    return where(asarray(x > 0), g, asarray(g * g.dtype.type(negative_slope)))


def silu_gradient(g: ndarray, x: ndarray) -> ndarray:
    """Of large arrays block by block."""
    if x.size < 2 * BLOCK or g.shape != x.shape or not (g.flags.c_contiguous and x.flags.c_contiguous):
        return gated(g, x)
    result = np.empty(x.shape, x.dtype)
    given, source, target = g.reshape(-1), x.reshape(-1), result.reshape(-1)
    for span in spans(x.size):
        target[span] = gated(given[span], source[span])
    return result


def gated(g: ndarray, x: ndarray) -> ndarray:
    gate = sigmoid(LIBRARY, x)
    inner = asarray(1 - gate)
    inner *= x
    inner += 1
    inner *= gate
    return asarray(g * inner)


FUNCTIONS: dict[str, Kernel] = {
    "sigmoid_gradient": sigmoid_gradient,
    "tanh_gradient": tanh_gradient,
    "relu_gradient": relu_gradient,
    "leaky_relu_gradient": leaky_relu_gradient,
    "silu_gradient": silu_gradient,
}
"""Half types go by the bodies, whose ops have kernels that take them as they are."""
