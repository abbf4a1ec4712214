"""Quotients and remainders that are exact, as PyTorch's are.

CuPy divides and then rounds down, so that 1 // 0.1 is 10 there instead of 9; it takes remainders from such
quotients, which gives NaN beside infinities; and its `fmod` sends integers through float64, which holds 53 of
their 64 bits.
"""

from __future__ import annotations

from typing import Any

import cupy

from devtensor.backend.arraylib import HALF_TYPES
from devtensor.backend.arraylib.library import dtype_name
from devtensor.backend.protocol import Kernel


def wide(kernel: Kernel) -> Kernel:
    """The kernel with halves computed in float32, of which one may be a number in float32 already."""

    def compute(x: Any, y: Any) -> Any:
        half = next((a.dtype for a in (x, y) if dtype_name(a) in HALF_TYPES), None)
        if half is None:
            return kernel(x, y)
        return kernel(x.astype(cupy.float32), y.astype(cupy.float32)).astype(half)

    return compute


def is_integer(x: Any) -> bool:
    return x.dtype.kind in "biu"


def fmod(x: Any, y: Any) -> Any:
    """The remainder with the dividend's sign; of integers 0 where they are divided by 0."""
    if not is_integer(x) or x.dtype.itemsize < 8:
        return cupy.fmod(x, y)
    rest = cupy.remainder(x, y)
    return rest if x.dtype.kind == "u" else cupy.where((rest != 0) & ((x < 0) != (y < 0)), rest - y, rest)


def crosses(rest: Any, y: Any) -> Any:
    """Where a remainder with the dividend's sign is not yet one with the divisor's."""
    return (rest != 0) & ((rest < 0) != (y < 0))


def remainder(x: Any, y: Any) -> Any:
    """The remainder with the divisor's sign."""
    if is_integer(x):
        return cupy.remainder(x, y)
    rest = cupy.fmod(x, y)
    return cupy.where(crosses(rest, y), rest + y, rest)


def floor_divide(x: Any, y: Any) -> Any:
    """The quotient rounded down; of integers 0 where they are divided by 0.

    The remainder is taken off before dividing, which leaves a multiple of the divisor.
    """
    if is_integer(x):
        return cupy.floor_divide(x, y)
    rest, plain = cupy.fmod(x, y), x / y
    quotient = (x - rest) / y
    quotient = cupy.where(crosses(rest, y), quotient - 1, quotient)
    below = cupy.floor(quotient)
    whole = cupy.where(quotient - below > 0.5, below + 1, below)
    # 0 has the sign that dividing gives it.
    whole = cupy.where(quotient == 0, plain * 0, whole)
    return cupy.where(y == 0, plain, whole)


KERNELS: dict[str, Kernel] = {
    "floor_divide": wide(floor_divide),
    "remainder": wide(remainder),
    "fmod": fmod,
}
"""Every kernel by its op's name."""
NAMES = frozenset(KERNELS)
