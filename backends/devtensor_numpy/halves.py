"""Casts between float32 and the half types float16 and bfloat16.

By machine code where there is any; else by passes of NumPy over blocks that stay in the cache, as its own
casts of float16 go from element to element.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
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
BLOCK = 1 << 15
"""Elements cast at once by NumPy's passes."""
# Arrays of no dimensions, as NumPy makes one anew of every Python number.
NOT_FINITE = np.array(65536, np.float32)
"""What becomes infinity when its exponent is moved like any other."""
OVERFLOW = np.float32(65520)
"""The least magnitude that rounds to infinity in float16."""
EXPONENT = np.array(0xFF << 23, np.int32)
LEAST_NORMAL = 113 << 23
"""The bits of 2**-14 in float32: below, float16 is subnormal."""
DROPPED = np.array(13, np.int32)
"""How many more digits float32 has."""
TO_THE_LAST_BIT = np.array(13 << 23, np.int32)
"""From a power of two to the one whose last bit in float32 is the first one's last bit in float16."""
REBIAS = np.array((126 << 10) & 0xFFFF, np.uint16)
TO_THE_SIGN = np.array(16, np.int32)
SIGN = np.array(0x8000, np.uint16)
MAGNITUDE, NOTHING = np.array(0x7FFF, np.uint16), np.array(0, np.uint16)
ONE = {half: np.array(1, half).view(np.uint16) for half in NAMES}
LARGEST, LARGEST_NEGATIVE = 0x7BFF, 0xFBFF
"""The bits of float16's largest numbers, beyond which infinities and NaN lie."""
FIELDS = np.array(-0x70002000, np.int32)
BIAS = np.array(2.0**112, np.float32)


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


def lowering(source: ndarray, target: ndarray) -> Callable[[int, int], None]:
    """What rounds the first `count` of a line of float32 to nearest even, into a half type from `start` on.

    Both are lines without gaps, and must live as long as what is given.
    """
    functions = casts.functions()
    if functions:
        native, read, written = functions[f"{NAMES[target.dtype]}_down"], address(source), address(target)
        return lambda start, count: native(read, written + 2 * start, count)
    if target.dtype != np.float16:
        return lambda start, count: np.copyto(target[start : start + count], source[:count], casting="unsafe")

    def by_passes(start: int, count: int) -> None:
        for span in spans(count, BLOCK):
            narrow(target[start + span.start : start + span.stop], source[span])

    return by_passes


def widen(target: ndarray, x: ndarray) -> None:
    """float16 to float32 by its bits: sign-extend, move to float32's fields, scale by the exponents' bias."""
    bits, halves = target.view(np.int32), x.view(np.int16)
    if halves.max() > LARGEST or x.view(np.uint16).max() > LARGEST_NEGATIVE:
        np.copyto(target, x)
        return
    np.copyto(bits, halves)
    bits <<= DROPPED
    bits &= FIELDS
    target *= BIAS


def narrow(target: ndarray, x: ndarray) -> None:
    """float32 to float16 by its bits.

    Adding the power of two whose last bit in float32 is the last bit of float16 makes float32 round there:
    the last bits of the sum are the rounded digits. Below 2**-14 that power stays the same: the result is
    subnormal.
    """
    size = np.absolute(x, out=scratch("narrow: size", x.size, np.float32))
    largest = size.max()
    if not largest < OVERFLOW:
        if np.isnan(largest):
            np.copyto(target, x, casting="same_kind")
            return
        np.minimum(size, NOT_FINITE, out=size)
    power = scratch("narrow: power", x.size, np.int32)
    np.bitwise_and(size.view(np.int32), EXPONENT, out=power)
    np.maximum(power, least_normals()[: x.size], out=power)
    power += TO_THE_LAST_BIT
    size += power.view(np.float32)
    result, part = target.view(np.uint16), scratch("narrow: part", x.size, np.uint16)
    np.copyto(result, size.view(np.int32), casting="unsafe")
    power >>= DROPPED
    np.copyto(part, power, casting="unsafe")
    result += part
    result -= REBIAS
    np.right_shift(x.view(np.int32), TO_THE_SIGN, out=power)
    np.copyto(part, power, casting="unsafe")
    part &= SIGN
    result |= part


@lru_cache(1)
def least_normals() -> ndarray:
    """An array of them: NumPy compares two arrays thrice as fast as an array and a number."""
    return np.full(BLOCK, LEAST_NORMAL, np.int32)


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
        lowering(source, target)(0, source.size)


def up(x: ndarray) -> ndarray:
    """A half array as float32, exactly; it lies as x does."""
    if x.size <= SMALL:
        return by_numpy(x, np.float32)
    return converted(x, None, np.float32)


def wide(x: Any) -> Any:
    """An array of a half type as float32; all else as it is."""
    return up(x) if x is not None and x.dtype in NAMES else x


def raised(x: ndarray, place: str) -> ndarray:
    """The same in scratch memory of that name."""
    if x.size <= SMALL:
        return by_numpy(x, np.float32)
    return converted(x, scratch(place, x.size, np.float32), np.float32)


def down(x: ndarray, half: Any) -> ndarray:
    """A floating array in a half type, rounded to nearest even; it lies as x does."""
    if x.size <= SMALL or x.dtype != np.float32:
        return by_numpy(x, half)
    return converted(x, None, half)


def given_back(x: ndarray, dtype: Any) -> ndarray:
    """What was computed in float32 for a half type, in it; for other dtypes as it is."""
    return down(x, dtype) if dtype in NAMES else x


def by_numpy(x: ndarray, dtype: Any) -> ndarray:
    """A copy in another dtype by NumPy's own cast; it lies as x does."""
    return x.astype(dtype) if x.flags.c_contiguous else x.astype(dtype, order=layout(x))


def cast(x: ndarray, dtype: str) -> ndarray:
    """Fresh array of another dtype; to a half type by way of float32, as PyTorch goes."""
    half = HALVES.get(dtype)
    if x.dtype in NAMES:
        return by_numpy(x, half) if half == x.dtype else from_half(x, dtype, half)
    if x.dtype.kind == "c" and dtype not in TAKING_BOTH_PARTS:
        x = np.real(x)
    if half is None:
        return by_numpy(x, dtype)
    if x.dtype == np.bool_ and x.size > SMALL:
        ones = np.asarray(x.astype(np.uint16, order=layout(x)))
        ones *= ONE[half]
        return ones.view(half)
    return down(x.astype(np.float32, order=layout(x), copy=False), half)


def from_half(x: ndarray, dtype: str, half: Any) -> ndarray:
    """A half array in another dtype: large ones by way of float32, which NumPy converts many at a time."""
    if dtype == "float32":
        return up(x)
    if half is not None:
        return down(up(x), half)
    if x.size <= SMALL:
        return by_numpy(x, dtype)
    if dtype == "bool":
        return np.asarray(np.not_equal(np.bitwise_and(x.view(np.uint16), MAGNITUDE), NOTHING))
    wide = raised(x, "cast")
    return wide.astype(dtype, order=layout(x))
