"""Casts between float32 and the half types float16 and bfloat16.

By machine code where there is any; else by passes of NumPy over blocks that stay in the cache, as its own
casts of float16 go from element to element.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
from numpy import ndarray

from devtensor.backend.arraylib.elementwise import TAKING_BOTH_PARTS, layout
from devtensor_numpy.blocks import spans
from devtensor_numpy.compile.casts import casts
from devtensor_numpy.leases import fresh
from devtensor_numpy.scratch import scratch

HALVES = {"float16": np.dtype(np.float16), "bfloat16": np.dtype(ml_dtypes.bfloat16)}
NAMES = {dtype: name for name, dtype in HALVES.items()}
SMALL = 1 << 11
"""Elements up to which NumPy's own casts cost less than what precedes another way."""
BLOCK = 1 << 14
"""Elements cast at once by NumPy's passes."""
NOT_FINITE = np.float32(65536)
"""Where float16's infinities and NaNs land when their exponent is moved like any other."""
OVERFLOW = np.float32(65520)
"""The least magnitude that rounds to infinity in float16."""
LEAST_NORMAL = 113 << 23
"""The bits of 2**-14 in float32: below, float16 is subnormal."""
TO_THE_LAST_BIT = 13 << 23
"""From a power of two to the one whose last bit in float32 is the first one's last bit in float16."""
REBIAS = np.uint16((126 << 10) & 0xFFFF)
UPPER = 1 if sys.byteorder == "little" else 0
"""Which half of a float32 holds the sign."""


def address(x: ndarray) -> int:
    return x.__array_interface__["data"][0]


def raising(source: ndarray, target: ndarray) -> Callable[[int, int], None]:
    """What puts `count` elements of a half type from `start` on into the beginning of `target`, as float32.

    Both are lines without gaps, and must live as long as what is given.
    """
    functions = casts.functions()
    if functions:
        native, read, written = functions[f"{NAMES[source.dtype]}_up"], address(source), address(target)
        return lambda start, count: native(read + 2 * start, written, count)
    if source.dtype != np.float16:
        return lambda start, count: np.copyto(target[:count], source[start : start + count])

    def by_passes(start: int, count: int) -> None:
        for span in spans(count, BLOCK):
            widen(target[span], source[start + span.start : start + span.stop])

    return by_passes


def lowering(target: ndarray) -> Callable[[ndarray, int], None]:
    """What rounds a line of float32 to nearest even, into a line of a half type from `start` on."""
    functions = casts.functions()
    if functions:
        native, written = functions[f"{NAMES[target.dtype]}_down"], address(target)
        return lambda source, start: native(address(source), written + 2 * start, source.size)
    if target.dtype != np.float16:
        return lambda source, start: np.copyto(target[start : start + source.size], source, casting="unsafe")

    def by_passes(source: ndarray, start: int) -> None:
        for span in spans(source.size, BLOCK):
            narrow(target[start + span.start : start + span.stop], source[span])

    return by_passes


def widen(target: ndarray, x: ndarray) -> None:
    """float16 to float32 by its bits: sign-extend, move to float32's fields, scale by the exponents' bias."""
    bits = target.view(np.int32)
    np.copyto(bits, x.view(np.int16))
    bits <<= 13
    bits &= -0x70002000
    target *= np.float32(2.0**112)
    if target.max() >= NOT_FINITE or target.min() <= -NOT_FINITE:
        np.copyto(target, x)


def narrow(target: ndarray, x: ndarray) -> None:
    """float32 to float16 by its bits.

    Adding the power of two whose last bit in float32 is the last bit of float16 makes float32 round there;
    what was added is taken off the bits again. Below 2**-14 that power stays the same: the result is
    subnormal.
    """
    size = np.absolute(x, out=scratch("narrow: size", x.size, np.float32))
    largest = size.max()
    if not largest < OVERFLOW:
        if np.isnan(largest):
            np.copyto(target, x, casting="same_kind")
            return
        np.minimum(size, NOT_FINITE, out=size)
    bits, power = size.view(np.int32), scratch("narrow: power", x.size, np.int32)
    np.bitwise_and(bits, 0xFF << 23, out=power)
    np.maximum(power, LEAST_NORMAL, out=power)
    power += TO_THE_LAST_BIT
    size += power.view(np.float32)
    bits -= power
    power >>= 13
    bits += power
    result = target.view(np.uint16)
    np.copyto(result, bits, casting="unsafe")
    result -= REBIAS
    sign = scratch("narrow: sign", x.size, np.uint16)
    np.bitwise_and(x.view(np.uint16)[UPPER::2], np.uint16(0x8000), out=sign)
    result |= sign


def memory_order(x: ndarray) -> tuple[int, ...]:
    """x's axes from the one with the longest steps to that with the shortest; unchanged where x repeats."""
    if x.flags.c_contiguous or min(x.strides) <= 0:
        return tuple(range(x.ndim))
    return tuple(sorted(range(x.ndim), key=lambda axis: -x.strides[axis]))


def converted(x: ndarray, target: ndarray | None, dtype: Any) -> ndarray:
    """x in another dtype, in the same order in memory; in a line of memory if there is one given."""
    if target is None:
        target = fresh((x.size,), dtype)
    if x.flags.c_contiguous:
        convert(x.reshape(-1), target)
        return target.reshape(x.shape)
    axes = memory_order(x)
    turned = x.transpose(axes)
    convert(np.ascontiguousarray(turned).reshape(-1), target)
    return target.reshape(turned.shape).transpose(np.argsort(axes))


def convert(source: ndarray, target: ndarray) -> None:
    """A line of a half type into one of float32, or the other way."""
    if target.dtype == np.float32:
        raising(source, target)(0, source.size)
    else:
        lowering(target)(source, 0)


def up(x: ndarray) -> ndarray:
    """A half array as float32, exactly; it lies as x does."""
    if x.size <= SMALL:
        return x.astype(np.float32, order=layout(x))
    return converted(x, None, np.float32)


def raised(x: ndarray, place: str) -> ndarray:
    """The same in scratch memory of that name."""
    if x.size <= SMALL:
        return x.astype(np.float32, order=layout(x))
    return converted(x, scratch(place, x.size, np.float32), np.float32)


def down(x: ndarray, half: Any) -> ndarray:
    """A floating array in a half type, rounded to nearest even; it lies as x does."""
    if x.size <= SMALL or x.dtype != np.float32:
        return x.astype(half, order=layout(x))
    return converted(x, None, half)


def cast(x: ndarray, dtype: str) -> ndarray:
    """Fresh array of another dtype, with the fast ways between the half types and float32."""
    half = HALVES.get(dtype)
    if dtype == "float32" and x.dtype in NAMES:
        return up(x)
    if half is not None and x.dtype in NAMES and x.dtype != half:
        return down(up(x), half)
    if x.dtype.kind == "c" and dtype not in TAKING_BOTH_PARTS:
        x = np.real(x)
    if half is not None:
        return down(x, half)
    return x.astype(dtype, order=layout(x))
