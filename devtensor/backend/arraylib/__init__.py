"""Kernels for any NumPy-like namespace: the table that a backend starts from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.backend.arraylib import (
    decompositions,
    elementwise,
    fourier,
    index,
    linalg,
    movement,
    random,
    recurrent,
    reduce,
    resampling,
    scatter,
    special,
    windows,
)
from devtensor.backend.arraylib.halves import MOVING, in_float32
from devtensor.backend.arraylib.library import HALF_TYPES, Library, find_dtypes
from devtensor.backend.protocol import Kernel

FAMILIES = (
    elementwise, special, reduce, resampling, movement, index, scatter, linalg, decompositions, fourier,
    windows, random, recurrent,
)  # fmt: skip


def kernels(
    xp: Any, host: bool = True, add_at: Callable[[Any, Any, Any], None] | None = None
) -> dict[str, Kernel]:
    """Every kernel of the contract, written over `xp`, a namespace with NumPy's functions.

    `host=False` says that reading an array's values makes the caller wait for a device; kernels then check
    neither integer divisors nor indices. `add_at(target, index, values)` stands in for `xp.add.at`.

    Example:
    >>> import numpy
    >>> table = kernels(numpy)
    >>> table["sum"](numpy.ones((2, 3)), (0,), False)
    array([2., 2., 2.])
    """
    lib = Library(xp, host, add_at)
    table: dict[str, Kernel] = {}
    for family in FAMILIES:
        table |= family.kernels(lib)
    return table


def half_kernel(xp: Any, name: str, kernel: Kernel, dtype: str) -> Kernel:
    """What a `specialise` may return: for half types the kernel computed in float32, else the kernel."""
    if dtype not in HALF_TYPES or name in MOVING:
        return kernel
    known = find_dtypes(xp)
    return in_float32(
        kernel, known[dtype], lambda x: x.astype(known["float32"]), lambda x: x.astype(known[dtype])
    )
