"""Device memory in numbers: blocks of 512 bytes, a pool that keeps what was freed, a limit, an allocator."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from cupy._machine import DEVICE_BYTES, DEVICES, UNIT, Late, alive, counts, current, poison


class OutOfMemoryError(MemoryError):
    """The pool may not grow."""


class BaseMemory:
    """A block of device memory."""

    ptr = 0
    size = 0
    device_id = 0


class UnownedMemory(BaseMemory):
    """A block that something else owns."""

    def __init__(self, ptr: int, size: int, owner: object, device_id: int = -1) -> None:
        self.ptr, self.size, self.owner = ptr, size, owner
        self.device_id = current.device if device_id < 0 else device_id


class PooledMemory(BaseMemory):
    """A block of the pool, which takes it back when nobody holds it."""

    def __init__(self, pool: MemoryPool, size: int, device_id: int, ptr: int) -> None:
        self.pool, self.size, self.device_id, self.ptr = pool, size, device_id, ptr

    def __del__(self, is_over: Callable[[], bool] = sys.is_finalizing) -> None:
        if not is_over():
            self.pool.took_back(self)


class MemoryPointer:
    """A place in a block."""

    def __init__(self, mem: BaseMemory, offset: int) -> None:
        self.mem = mem
        self.ptr = mem.ptr + offset
        self.device_id = mem.device_id


class MemoryPool:
    """Blocks in use and free ones, for each device."""

    def __init__(self) -> None:
        self.used = [0] * DEVICES
        self.free = [0] * DEVICES
        self.limits = [0] * DEVICES
        self.next = 1 << 20

    def malloc(self, size: int) -> MemoryPointer:
        alive()
        device, rounded = current.device, -(-size // UNIT) * UNIT
        if not rounded:
            return MemoryPointer(UnownedMemory(0, 0, None), 0)
        fresh = max(0, rounded - self.free[device])
        total = self.used[device] + self.free[device] + fresh
        limit = self.limits[device] or DEVICE_BYTES
        if total > limit:
            raise OutOfMemoryError(
                f"Out of memory allocating {rounded:,} bytes (limit set to: {limit:,} bytes)."
            )
        if fresh:
            counts["device allocations"] += 1
            current.bind()
        self.free[device] += fresh - rounded
        self.used[device] += rounded
        self.next += rounded
        return MemoryPointer(PooledMemory(self, rounded, device, self.next), 0)

    def took_back(self, block: PooledMemory) -> None:
        self.used[block.device_id] -= block.size
        self.free[block.device_id] += block.size
        held = Late.memory.pop(block.ptr, None)
        if held is not None:
            memory, queue = held
            queue.add(lambda: poison(memory))

    def used_bytes(self) -> int:
        return self.used[current.device]

    def free_bytes(self) -> int:
        return self.free[current.device]

    def total_bytes(self) -> int:
        return self.used_bytes() + self.free_bytes()

    def free_all_blocks(self, stream: Any = None) -> None:
        self.free[current.device] = 0

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        self.limits[current.device] = int(DEVICE_BYTES * fraction) if fraction is not None else size or 0

    def get_limit(self) -> int:
        return self.limits[current.device]


pool = MemoryPool()
allocator: list[Callable[[int], MemoryPointer]] = [pool.malloc]


def get_default_memory_pool() -> MemoryPool:
    return pool


def set_allocator(function: Callable[[int], MemoryPointer] | None = None) -> None:
    allocator[0] = function or pool.malloc


def get_allocator() -> Callable[[int], MemoryPointer]:
    return allocator[0]


def alloc(size: int) -> MemoryPointer:
    """A block by the current allocator."""
    alive()
    return allocator[0](size)
