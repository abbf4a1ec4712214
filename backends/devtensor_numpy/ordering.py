"""Half types compared by their bits: integers in the same order, which NumPy compares many at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from devtensor.backend.protocol import Kernel
from devtensor_numpy.halves import HALVES, SMALL
from devtensor_numpy.leases import fresh

INFINITY = {name: int(np.array(np.inf, half).view(np.int16)) for name, half in HALVES.items()}
NEGATIVE_ZERO = -(1 << 15)
ORDERING = frozenset({"amax", "amin", "argmax", "argmin", "max_pool", "sort"})
"""Kernels of one array that compare, and compute nothing."""


def keys(x: ndarray, infinity: int) -> ndarray | None:
    """Integers in the order of the elements; None where NaN is among them, or a zero below another."""
    bits = x.view(np.int16)
    low = bits.min()
    if low == NEGATIVE_ZERO or bits.max() > infinity:
        return None
    if low >= 0:
        return bits
    found = turned(bits)
    return found if found.min() >= ~infinity else None


def turned(bits: ndarray) -> ndarray:
    """Bits as integers in their order, and back: those of negative numbers count the other way."""
    result = np.asarray(bits >> 15)
    result &= 0x7FFF
    result ^= bits
    return result


def by_keys(kernel: Kernel, wide: Kernel, dtype: str) -> Kernel:
    """The kernel run on integers in the elements' order; `wide` is the one for float32."""
    half, infinity = HALVES[dtype], INFINITY[dtype]

    def compared(x: ndarray, *arguments: Any) -> Any:
        ordered = keys(x, infinity) if x.size > SMALL else None
        if ordered is None:
            return wide(x, *arguments)
        result = kernel(ordered, *arguments)
        return tuple(map(value, result)) if isinstance(result, tuple) else value(result)

    def value(part: ndarray) -> ndarray:
        return turned(part).view(half) if part.dtype == np.int16 else part

    return compared


def maximum(wide: Kernel, dtype: str) -> Kernel:
    """The larger of two; at once where the other is one number that is not negative, as in ReLU."""
    infinity = INFINITY[dtype]
    lowest = infinity | 0x8000

    def kernel(x: ndarray, y: ndarray, out: ndarray | None = None) -> ndarray:
        if x.size <= SMALL or y.ndim or not 0 <= y.view(np.int16)[()] <= infinity:
            return wide(x, y, out)
        # All negative numbers are negative integers, those beyond minus infinity are NaN.
        if x.view(np.uint16).max() > lowest:
            return wide(x, y, out)
        if out is None and x.flags.c_contiguous:
            out = fresh(x.shape, x.dtype)
        if out is None:
            return np.maximum(x.view(np.int16), y.view(np.int16)).view(x.dtype)
        np.maximum(x.view(np.int16), y.view(np.int16), out=out.view(np.int16))
        return out

    return kernel
