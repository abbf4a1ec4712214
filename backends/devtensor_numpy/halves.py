"""float16 and bfloat16 on the CPU: computed in float32, as NumPy's own half loops are far slower."""

from __future__ import annotations

import ml_dtypes
import numpy as np
from numpy import ndarray

from devtensor.backend.arraylib.elementwise import TAKING_BOTH_PARTS, layout
from devtensor.backend.arraylib.halves import MOVING, in_float32
from devtensor.backend.protocol import Kernel
from devtensor_numpy.blocks import in_blocks

HALVES = {"float16": np.dtype(np.float16), "bfloat16": np.dtype(ml_dtypes.bfloat16)}
SMALL = 1 << 13
"""Below this many elements NumPy's own conversion of float16 costs less than a dozen passes."""
NOT_FINITE = np.float32(65536)
"""Where float16's infinities and NaNs land when their exponent is moved like any other."""
OVERFLOW = np.float32(65520)
"""The least magnitude that rounds to infinity in float16."""


def up(x: ndarray) -> ndarray:
    """A half array as float32, exactly."""
    if x.dtype == np.float16 and x.size > SMALL:
        return float16_up(x)
    return x.astype(np.float32, order=layout(x))


def widen(x: ndarray) -> ndarray:
    """float16 to float32 by its bits: sign-extend, move to float32's fields, scale by the exponents' bias."""
    bits = x.view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= -0x70002000
    result = bits.view(np.float32)
    result *= np.float32(2.0**112)
    if result.max() >= NOT_FINITE or result.min() <= -NOT_FINITE:
        return x.astype(np.float32)
    return result


def narrow(x: ndarray) -> ndarray:
    """float32 to float16 by its bits, to nearest even.

    A magnitude below 2**-14 becomes a subnormal, whose unit is 2**-24: adding 0.5 makes float32 round there.
    Above, the lowest 13 bits of the significand go, after half of the unit that stays was added.
    """
    magnitude = np.abs(x)
    if not magnitude.max() < OVERFLOW:
        return x.astype(np.float16)
    bits = magnitude.view(np.int32)
    normal = bits >> 13
    normal &= 1
    normal += bits
    normal += 0xFFF - (112 << 23)
    normal >>= 13
    small = (magnitude + np.float32(0.5)).view(np.int32)
    small -= 0x3F000000
    np.copyto(normal, small, where=magnitude < np.float32(2.0**-14))
    sign = x.view(np.uint32) >> 16
    sign &= 0x8000
    normal |= sign.view(np.int32)
    return normal.astype(np.uint16).view(np.float16)


float16_up = in_blocks(widen, np.float32)
float16_down = in_blocks(narrow, np.float16)


def down_to_float16(x: ndarray) -> ndarray:
    """A floating array as float16, rounded to nearest even."""
    if x.dtype == np.float32 and x.size > SMALL:
        return float16_down(x)
    return x.astype(np.float16)


def down_to_bfloat16(x: ndarray) -> ndarray:
    return x.astype(ml_dtypes.bfloat16)


DOWN = {"float16": down_to_float16, "bfloat16": down_to_bfloat16}


def half_kernel(name: str, kernel: Kernel, dtype: str) -> Kernel:
    """The kernel for inputs of a half type."""
    if name in MOVING:
        return kernel
    return in_float32(kernel, HALVES[dtype], up, DOWN[dtype])


def half_ufunc(name: str, kernel: Kernel, dtype: str, inputs: int) -> Kernel:
    """The kernel for inputs of a half type where it is a ufunc, which takes an array to write into."""
    if name in MOVING:
        return kernel
    computed = half_kernel(name, kernel, dtype)

    def into(result: ndarray, out: ndarray | None) -> ndarray:
        if out is None:
            return result
        out[...] = result
        return out

    def unary(x: ndarray, out: ndarray | None = None) -> ndarray:
        return into(computed(x), out)

    def binary(x: ndarray, y: ndarray, out: ndarray | None = None) -> ndarray:
        return into(computed(x, y), out)

    return unary if inputs == 1 else binary


def cast(x: ndarray, dtype: str) -> ndarray:
    """Fresh array of another dtype, with the fast ways between float16 and float32."""
    if dtype == "float32" and x.dtype == np.float16:
        return up(x)
    if x.dtype.kind == "c" and dtype not in TAKING_BOTH_PARTS:
        x = np.real(x)
    if dtype == "float16":
        return down_to_float16(x)
    return x.astype(HALVES.get(dtype) or dtype, order=layout(x))
