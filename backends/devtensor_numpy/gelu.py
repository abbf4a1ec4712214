"""GELU and its gradient, block by block."""

from __future__ import annotations

import math

import numpy as np
from numpy import asarray, ndarray

from devtensor.backend.protocol import Kernel
from devtensor.formulas.error_functions import erf
from devtensor_numpy.blocks import BLOCK, spans

# A least-squares fit on Chebyshev nodes: log(2 * (1 - Phi(x))) in x from 0 to 5.6, highest power first. In
# float32 Phi is within 6e-8; the leading sign takes what lies beyond to 0.
LOG_TAIL = (
    -2.143098321027992e-08,
    6.257257609831868e-07,
    -7.855274816392921e-06,
    5.403106479207054e-05,
    -0.00019584366236813366,
    8.584686952417542e-07,
    0.004818023182451725,
    -0.036353785544633865,
    -0.3183055520057678,
    -0.7978849411010742,
    5.193756535959437e-09,
)
SLOPE = math.sqrt(2 / math.pi)
CUBE = 0.044715


def phi(x: ndarray) -> ndarray:
    """The probability that a standard normal lies below x."""
    if x.dtype != np.float32:
        return (erf(np, x * math.sqrt(0.5)) + 1) * 0.5
    size = np.absolute(x)
    result = size * np.float32(LOG_TAIL[0])
    result += np.float32(LOG_TAIL[1])
    for coefficient in LOG_TAIL[2:]:
        result *= size
        result += np.float32(coefficient)
    np.exp(result, out=result)
    result *= np.float32(-0.5)
    result += np.float32(0.5)
    np.copysign(result, x, out=result)
    result += np.float32(0.5)
    return result


def bent(x: ndarray) -> ndarray:
    """The tanh of the approximation."""
    inner = x * x
    inner *= CUBE
    inner += 1
    inner *= x
    inner *= SLOPE
    return np.tanh(inner, out=inner)


def value(x: ndarray, approximate: str) -> ndarray:
    share = phi(x) if approximate == "none" else (bent(x) + 1) * 0.5
    return share * x


def slope(x: ndarray, approximate: str) -> ndarray:
    """How fast GELU rises."""
    squares = x * x
    if approximate == "none":
        density = np.exp(squares * -0.5)
        density *= 1 / math.sqrt(2 * math.pi)
        density *= x
        density += phi(x)
        return density
    tangent = bent(x)
    rise = (squares * (3 * CUBE) + 1) * SLOPE
    return (tangent + 1 + x * (1 - tangent * tangent) * rise) * 0.5


def gelu(x: ndarray, approximate: str) -> ndarray:
    known(approximate)
    if not (x.ndim and x.flags.c_contiguous):
        return asarray(value(np.atleast_1d(x), approximate)).reshape(x.shape)
    result = np.empty(x.shape, x.dtype)
    source, target = x.reshape(-1), result.reshape(-1)
    for span in spans(x.size, BLOCK // 2):
        target[span] = value(source[span], approximate)
    return result


def gelu_gradient(g: ndarray, x: ndarray, approximate: str) -> ndarray:
    known(approximate)
    if not (x.ndim and x.flags.c_contiguous and g.shape == x.shape):
        return asarray(g * slope(np.atleast_1d(x), approximate).reshape(x.shape))
    result = np.empty(x.shape, x.dtype)
    given, source, target = (part.reshape(-1) for part in (np.ascontiguousarray(g), x, result))
    for span in spans(x.size, BLOCK // 2):
        np.multiply(given[span], slope(source[span], approximate), out=target[span])
    return result


def known(approximate: str) -> None:
    if approximate not in ("none", "tanh"):
        raise ValueError(f"approximate argument must be either none or tanh; got {approximate!r}")


FUNCTIONS: dict[str, Kernel] = {"gelu": gelu, "gelu_gradient": gelu_gradient}
