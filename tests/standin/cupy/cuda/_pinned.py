"""Pinned host memory: freed memory is poisoned, so that a copy that comes too late shows."""

from __future__ import annotations

import ctypes

from cupy._machine import POISON, alive

live: dict[int, int] = {}
"""Address and size of every block."""


graveyard: list[bytearray] = []
"""Freed blocks stay mapped: a late copy reads poison and not a stranger's memory."""


def holds(address: int) -> bool:
    """Whether an address lies in pinned memory."""
    return any(start <= address < start + size for start, size in live.items())


class PinnedMemoryPointer:
    """A place in pinned memory, which is freed when nobody holds it; those made here are buffers."""

    ptr = 0

    def size(self) -> int:
        return ctypes.sizeof(self)  # type: ignore[arg-type]

    def __del__(self) -> None:
        live.pop(self.ptr, None)
        ctypes.memset(self.ptr, POISON, self.size())


def alloc_pinned_memory(size: int) -> PinnedMemoryPointer:
    alive()
    graveyard.append(bytearray(max(size, 1)))
    kind = type("Pinned", (PinnedMemoryPointer, ctypes.c_ubyte * max(size, 1)), {})
    made = kind.from_buffer(graveyard[-1])
    made.ptr = ctypes.addressof(made)
    live[made.ptr] = made.size()
    return made


class PinnedMemoryPool:
    """The pool keeps nothing: what is freed is poisoned at once."""

    def n_free_blocks(self) -> int:
        return 0

    def free_all_blocks(self) -> None:
        alive()


pinned_pool = PinnedMemoryPool()
