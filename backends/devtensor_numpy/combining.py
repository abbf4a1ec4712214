"""Arithmetic of three operands in one kernel, so that half types are rounded once."""

from __future__ import annotations

import numpy as np
from numpy import asarray, ndarray

from devtensor.backend.protocol import Kernel


def lerp(x: ndarray, end: ndarray, weight: ndarray) -> ndarray:
    """The point `weight` of the way from `x` to `end`, computed from the nearer of both."""
    way = end - x
    near = np.absolute(weight) < 0.5
    if near.ndim == 0:
        return asarray(x + way * weight if near else end - way * (1 - weight))
    return np.where(near, x + way * weight, end - way * (1 - weight))


def addcmul(x: ndarray, first: ndarray, second: ndarray, value: ndarray) -> ndarray:
    return asarray(x + scaled(first, value) * second)


def addcdiv(x: ndarray, first: ndarray, second: ndarray, value: ndarray) -> ndarray:
    return asarray(x + scaled(first, value) / second)


def add_scaled(x: ndarray, other: ndarray, alpha: ndarray) -> ndarray:
    return asarray(x + scaled(other, alpha))


def sub_scaled(x: ndarray, other: ndarray, alpha: ndarray) -> ndarray:
    return asarray(x - scaled(other, alpha))


def scaled(x: ndarray, factor: ndarray) -> ndarray:
    """A complex infinity times 1 would not be itself."""
    return x if factor.ndim == 0 and factor == 1 else x * factor


FUNCTIONS: dict[str, Kernel] = {
    "lerp": lerp,
    "addcmul": addcmul,
    "addcdiv": addcdiv,
    "add_scaled": add_scaled,
    "sub_scaled": sub_scaled,
}
