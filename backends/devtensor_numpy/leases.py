"""Large arrays in memory that was used before.

The system clears memory that it hands out, and is told of each page at first touch: for megabytes that costs
more than filling them. What an array had is kept when it dies, and the next one of that size takes it over.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import ndarray

LARGE = 1 << 18
"""Bytes from which it pays; the C library keeps smaller pieces itself."""
LIMIT = 1 << 26
"""Bytes that are kept for arrays to come."""
GRAIN = 1 << 12
"""Sizes are rounded up to a multiple of this."""


class Memory(ndarray):
    """Bytes. A class of its own, since NumPy lets arrays skip what lies between them and a plain array."""


class Kept:
    """Memory that nobody uses now, by its size in bytes."""

    def __init__(self) -> None:
        self.free: dict[int, list[Memory]] = {}
        self.size = 0

    def take(self, size: int) -> Memory:
        """Memory of that size, used before if there is any."""
        try:
            found = self.free[size].pop()
        except (KeyError, IndexError):
            return Memory(size, np.uint8)
        self.size -= size
        return found

    def give_back(self, memory: Memory) -> None:
        """Keep memory for the next array of its size; where too much is kept, let go of all the rest."""
        if self.size + memory.size > LIMIT:
            self.free, self.size = {}, 0
        if memory.size <= LIMIT:
            self.free.setdefault(memory.size, []).append(memory)
            self.size += memory.size


kept = Kept()


class Lease(ndarray):
    """Memory on loan to one array and its views: with the last of them it goes back."""

    # Bound here, as a module's names may be gone when the last arrays die.
    def __del__(self, kept: Kept = kept) -> None:
        if isinstance(self.base, Memory):
            kept.give_back(self.base)


def fresh(shape: tuple[int, ...], dtype: Any) -> ndarray:
    """An array in rows whose contents are arbitrary."""
    dtype = np.dtype(dtype)
    count = math.prod(shape) * dtype.itemsize
    if count < LARGE:
        return np.empty(shape, dtype)
    memory: Any = kept.take(-(-count // GRAIN) * GRAIN).view(Lease)
    return ndarray(shape, dtype, memory)
