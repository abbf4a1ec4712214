"""Half types compared by their bits: integers in the same order, which NumPy compares many at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import asarray, ndarray

from devtensor.backend.protocol import Kernel
from devtensor_numpy.halves import HALVES, SMALL
from devtensor_numpy.leases import fresh

INFINITY = {name: int(np.array(np.inf, half).view(np.int16)) for name, half in HALVES.items()}
SIGN = 1 << 15
NEGATIVE_ZERO = -SIGN
ORDERING = frozenset({"amax", "amin", "argmax", "argmin", "extreme_places", "max_pool", "ranked", "sort"})
"""Kernels of one array that compare, and compute nothing."""
largest: Any = np.maximum.reduce
least: Any = np.minimum.reduce


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


def ordering(name: str, kernel: Kernel, wide: Kernel, dtype: str) -> Kernel:
    """The kernel of that name; `kernel` compares numbers of any dtype, `wide` halves as float32."""
    by_order = by_keys(kernel, wide, dtype)
    fast = EXTREMES.get(name)
    if fast is None:
        return by_order
    half, infinity = HALVES[dtype], INFINITY[dtype]

    def kernel_of_extremes(x: ndarray, *arguments: Any) -> ndarray:
        found = fast(x, infinity, *arguments) if x.size > SMALL else None
        if found is None:
            return by_order(x, *arguments)
        return found.view(half) if found.dtype.itemsize == half.itemsize else found

    return kernel_of_extremes


def amax(x: ndarray, infinity: int, dims: Any, keepdim: bool) -> ndarray | None:
    """The bits of the largest: as integers with a sign, those of any number that is not negative are above
    those of all that are, and among those alone the order of bits without a sign is turned round."""
    signed, plain = x.view(np.int16), x.view(np.uint16)
    if has_nan(signed, plain, infinity):
        return None
    found = asarray(largest(signed, dims, None, None, keepdim), order="C")
    below = found < 0
    if below.any():
        nearest = asarray(least(plain, dims, None, None, keepdim), order="C")
        np.copyto(found, nearest.view(np.int16), where=below)
    return found


def amin(x: ndarray, infinity: int, dims: Any, keepdim: bool) -> ndarray | None:
    """The bits of the least: the largest without a sign, if that is of a negative number."""
    signed, plain = x.view(np.int16), x.view(np.uint16)
    if has_nan(signed, plain, infinity):
        return None
    found = asarray(largest(plain, dims, None, None, keepdim), order="C")
    above = found < SIGN
    if above.any():
        np.copyto(found, asarray(least(plain, dims, None, None, keepdim)), where=above)
    return found


def argmax(x: ndarray, infinity: int, dim: int, keepdim: bool) -> ndarray | None:
    """Where the largest is first, if along each line some number is positive."""
    return extreme_places(x.view(np.int16), 0, infinity, dim, keepdim, x.view(np.uint16), infinity | SIGN)


def argmin(x: ndarray, infinity: int, dim: int, keepdim: bool) -> ndarray | None:
    """Where the least is first, if along each line some number is negative."""
    return extreme_places(x.view(np.uint16), SIGN, infinity | SIGN, dim, keepdim, x.view(np.int16), infinity)


def extreme_places(
    bits: ndarray, above: int, last: int, dim: int, keepdim: bool, others: ndarray, limit: int
) -> ndarray | None:
    """Where each line's largest bits are first, if they are above one number and up to another; no bits of
    the other kind may lie over their own limit."""
    places = bits.argmax(dim, keepdims=True)
    found = np.take_along_axis(bits, places, dim)
    if not above < found.min() <= found.max() <= last or others.max() > limit:
        return None
    return places if keepdim else places.squeeze(dim)


def has_nan(signed: ndarray, plain: ndarray, infinity: int) -> bool:
    """Whether bits lie beyond infinity's, among those of positive or of negative numbers."""
    return signed.max() > infinity or plain.max() > infinity | SIGN


EXTREMES: dict[str, Callable[..., ndarray | None]] = {
    "amax": amax,
    "amin": amin,
    "argmax": argmax,
    "argmin": argmin,
}
"""Kernels that read the bits as they are; None where NaN is among them, or a zero makes a difference."""


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
    lowest = infinity | SIGN

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
