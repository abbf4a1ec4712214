"""Accounts of the memory of CUDA devices, kept where every allocation passes."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from typing import Any

from devtensor.core.errors import OutOfMemoryError

MEBIBYTE = 1 << 20


class Block:
    """What keeps one allocation: when nobody holds it any more, the accounts hear of it."""

    __slots__ = ("accounts", "index", "pointer", "size")

    def __init__(self, accounts: Accounts, pointer: Any, index: int) -> None:
        self.accounts, self.pointer, self.index = accounts, pointer, index
        self.size = pointer.mem.size

    def __del__(self) -> None:
        self.accounts.freed(self)


class Accounts:
    """An allocator around CuPy's that counts what is in use, and keeps memory that other streams still read.

    CuPy's pool counts its blocks one by one when asked, and knows neither peaks nor what a stream that did
    not allocate a block does with it.
    """

    def __init__(self, cupy: Any) -> None:
        self.cupy = cupy
        self.inner = cupy.cuda.get_allocator()
        self.lock = threading.RLock()
        self.counts: dict[int, Counter[str]] = {}
        self.used_by: dict[int, list[Any]] = {}
        self.waiting: list[tuple[list[Any], Any]] = []

    def of(self, index: int) -> Counter[str]:
        """The numbers of one device."""
        return self.counts.setdefault(index, Counter())

    def allocate(self, size: int) -> Any:
        """A block of device memory, as CuPy's allocators give it.

        Errors: OutOfMemoryError that names the request and what is held.
        """
        cuda = self.cupy.cuda
        if self.waiting:
            self.settle()
        index = cuda.runtime.getDevice()
        try:
            pointer = self.inner(size)
        except cuda.memory.OutOfMemoryError as error:
            pointer = self.second_try(size, index, error)
        if not pointer.mem.size:
            return pointer
        block = Block(self, pointer, index)
        self.counted(block)
        return cuda.MemoryPointer(cuda.UnownedMemory(pointer.ptr, block.size, block, index), 0)

    def counted(self, block: Block) -> None:
        with self.lock:
            numbers = self.of(block.index)
            numbers["allocations"] += 1
            numbers["allocated"] += block.size
            numbers["peak"] = max(numbers["peak"], numbers["allocated"])
            reserved = self.cupy.get_default_memory_pool().total_bytes()
            numbers["reserved peak"] = max(numbers["reserved peak"], reserved)

    def freed(self, block: Block) -> None:
        """Give a block back, or keep it until the streams that were named for it have come so far."""
        with self.lock:
            numbers = self.of(block.index)
            numbers["allocated"] -= block.size
            numbers["frees"] += 1
            streams = self.used_by.pop(block.pointer.ptr, None) if self.used_by else None
            if streams:
                self.waiting.append(([self.moment(stream, block.index) for stream in streams], block.pointer))

    def moment(self, stream: Any, index: int) -> Any:
        """An event after all that a stream was asked to do."""
        with self.cupy.cuda.Device(index):
            event = self.cupy.cuda.Event(disable_timing=True)
            event.record(stream)
        return event

    def settle(self) -> None:
        """Let go of what no stream waits for any more."""
        with self.lock:
            self.waiting = [entry for entry in self.waiting if not all(event.done for event in entry[0])]

    def second_try(self, size: int, index: int, error: Exception) -> Any:
        """Once more after waiting for streams that hold memory, else the error that tells all."""
        numbers = self.of(index)
        numbers["retries"] += 1
        if self.waiting:
            for event in [event for events, _ in self.waiting for event in events]:
                event.synchronize()
            self.settle()
            with contextlib.suppress(self.cupy.cuda.memory.OutOfMemoryError):
                return self.inner(size)
        numbers["failures"] += 1
        raise OutOfMemoryError(self.told(size, index)) from error

    def told(self, size: int, index: int) -> str:
        """What was asked for and what is held, in words."""
        pool = self.cupy.get_default_memory_pool()
        free, total = self.cupy.cuda.runtime.memGetInfo()
        held, reserved = self.of(index)["allocated"], pool.total_bytes()
        limit = pool.get_limit()
        return (
            f"[cuda] CUDA out of memory. Tried to allocate {readable(size)}. GPU {index} has a total "
            f"capacity of {readable(total)} of which {readable(free)} is free. Of the memory of this process "
            f"{readable(held)} is allocated by tensors, and {readable(max(0, reserved - held))} is reserved "
            "but unallocated" + (f"; the limit is {readable(limit)}" if limit else "")
        )

    def record_stream(self, array: Any, stream: Any) -> None:
        """Keep the array's memory, once nobody holds it, until the stream has come so far."""
        with self.lock:
            streams = self.used_by.setdefault(array.data.mem.ptr, [])
            if stream not in streams:
                streams.append(stream)

    def abandon(self) -> list[Any]:
        """In a child of a fork: no stream is asked any more; gives what must not be freed."""
        self.lock = threading.RLock()
        self.used_by.clear()
        waiting, self.waiting = self.waiting, []
        return waiting

    def reset_peaks(self, index: int) -> None:
        with self.lock:
            numbers = self.of(index)
            numbers["peak"] = numbers["allocated"]
            numbers["reserved peak"] = 0

    def reset_totals(self, index: int) -> None:
        with self.lock:
            for name in ("allocations", "frees", "retries", "failures"):
                self.of(index)[name] = 0


def readable(size: int) -> str:
    """A number of bytes as PyTorch writes it.

    Units: bytes.
    """
    for factor, unit in ((1 << 30, "GiB"), (MEBIBYTE, "MiB"), (1 << 10, "KiB")):
        if size >= factor:
            return f"{size / factor:.2f} {unit}"
    return f"{size} bytes"
