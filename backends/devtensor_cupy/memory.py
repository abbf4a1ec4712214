"""Accounts of the memory of CUDA devices, kept where every allocation passes."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from devtensor.core.errors import ArgumentError, OutOfMemoryError
from devtensor_cupy.tallies import SMALL, DeviceTallies


class Block:
    """What keeps one allocation: when nobody holds it any more, the accounts hear of it."""

    __slots__ = ("accounts", "asked", "index", "pointer", "size")

    def __init__(self, accounts: Accounts, pointer: Any, index: int, asked: int) -> None:
        self.accounts, self.pointer, self.index, self.asked = accounts, pointer, index, asked
        self.size = pointer.mem.size

    def __del__(self, is_over: Callable[[], bool] = sys.is_finalizing) -> None:
        """When Python itself ends, modules are empty and nobody counts any more."""
        if not is_over():
            self.accounts.freed(self)


class Waiting(NamedTuple):
    """A block that nobody holds and streams still read, until their events."""

    events: list[Any]
    pointer: Any
    index: int
    asked: int


class Accounts:
    """An allocator around CuPy's that counts what is in use, and keeps memory that other streams still read.

    CuPy's pool counts its blocks one by one when asked, and knows neither peaks nor what a stream that did
    not allocate a block does with it.
    """

    def __init__(self, cupy: Any) -> None:
        self.cupy = cupy
        self.inner = cupy.cuda.get_allocator()
        self.lock = threading.RLock()
        self.counts: dict[int, DeviceTallies] = {}
        self.live: dict[int, tuple[int, int, int]] = {}
        self.used_by: dict[int, list[Any]] = {}
        self.waiting: list[Waiting] = []
        self.lent: dict[int, Any] = {}

    def of(self, index: int) -> DeviceTallies:
        """The numbers of one device."""
        found = self.counts.get(index)
        return self.counts.setdefault(index, DeviceTallies()) if found is None else found

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
        block = Block(self, pointer, index, size)
        self.counted(block)
        return cuda.MemoryPointer(cuda.UnownedMemory(pointer.ptr, block.size, block, index), 0)

    def counted(self, block: Block) -> None:
        with self.lock:
            numbers = self.of(block.index)
            for pool in numbers.pools(block.asked):
                pool.taken(block.size, block.asked)
            self.live[block.pointer.ptr] = (block.index, block.size, block.asked)
            numbers.holds(self.cupy.get_default_memory_pool().total_bytes())

    def freed(self, block: Block) -> None:
        """Give a block back, or keep it until the streams that were named for it have come so far."""
        pointer, index = block.pointer, block.index
        with self.lock:
            pools = self.of(index).pools(block.asked)
            self.live.pop(pointer.ptr, None)
            streams = self.used_by.pop(pointer.ptr, None) if self.used_by else None
            for pool in pools:
                pool.dropped(block.size, block.asked)
                if not streams:
                    pool.reusable(block.size)
            if streams:
                events = [self.moment(stream, index) for stream in streams]
                self.waiting.append(Waiting(events, pointer, index, block.asked))

    def moment(self, stream: Any, index: int) -> Any:
        """An event after all that a stream was asked to do."""
        with self.cupy.cuda.Device(index):
            event = self.cupy.cuda.Event(disable_timing=True)
            event.record(stream)
        return event

    def settle(self) -> None:
        """Let go of what no stream waits for any more."""
        with self.lock:
            kept: list[Waiting] = []
            for entry in self.waiting:
                if not all(event.done for event in entry.events):
                    kept.append(entry)
                    continue
                for pool in self.of(entry.index).pools(entry.asked):
                    pool.reusable(entry.pointer.mem.size)
            self.waiting = kept

    def second_try(self, size: int, index: int, error: Exception) -> Any:
        """Once more after waiting for streams that hold memory, else the error that tells all."""
        numbers = self.of(index)
        numbers.retries += 1
        if self.waiting:
            numbers.waits += 1
            for event in [event for entry in self.waiting for event in entry.events]:
                event.synchronize()
            self.settle()
            with contextlib.suppress(self.cupy.cuda.memory.OutOfMemoryError):
                return self.inner(size)
        numbers.failures += 1
        raise OutOfMemoryError(self.told(size, index)) from error

    def lend(self, size: int) -> int:
        """The address of a block that lives until `take_back`."""
        pointer = self.allocate(size)
        self.lent[pointer.ptr] = pointer
        return pointer.ptr

    def take_back(self, address: int) -> None:
        """Free what was lent.

        Errors: ArgumentError for an address that `lend` did not give.
        """
        if address not in self.lent:
            raise ArgumentError(
                f"[caching_allocator_delete] {address:#x} is no address that caching_allocator_alloc gave"
            )
        del self.lent[address]

    def snapshot(self) -> list[dict[str, Any]]:
        """Every block in use, and those that streams still read, as segments of one block each."""
        with self.lock:
            used = [(*facts, address, "active_allocated") for address, facts in self.live.items()]
            used += [
                (entry.index, entry.pointer.mem.size, entry.asked, entry.pointer.ptr, "active_pending_free")
                for entry in self.waiting
            ]
        return [segment(*facts) for facts in sorted(used, key=lambda facts: (facts[0], facts[3]))]

    def told(self, size: int, index: int) -> str:
        """What was asked for and what is held, in words."""
        pool = self.cupy.get_default_memory_pool()
        free, total = self.cupy.cuda.runtime.memGetInfo()
        held, reserved = self.of(index).all.allocated_bytes.current, pool.total_bytes()
        limit = pool.get_limit()
        return (
            f"[cuda] CUDA out of memory. Tried to allocate {readable(size)}. GPU {index} has a total "
            f"capacity of {readable(total)} of which {readable(free)} is free. Of the memory of this process "
            f"{readable(held)} is allocated by tensors, and {readable(max(0, reserved - held))} is reserved "
            "but unallocated" + (f"; the limit is {readable(limit)}" if limit else "")
        )

    def record_stream(self, array: Any, stream: Any) -> None:
        """Keep the array's memory, once nobody holds it, until the stream has come so far.

        Another library's memory is its own to keep.
        """
        with self.lock:
            if array.data.mem.ptr not in self.live:
                return
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
            numbers.reserved.move_to(self.cupy.get_default_memory_pool().total_bytes())
            numbers.reset_peaks()

    def reset_totals(self, index: int) -> None:
        with self.lock:
            self.of(index).reset_totals()


def segment(index: int, size: int, asked: int, address: int, state: str) -> dict[str, Any]:
    """A block in the form of PyTorch's snapshots."""
    block = {"address": address, "size": size, "requested_size": asked, "state": state, "frames": []}
    return {
        "device": index,
        "address": address,
        "total_size": size,
        "allocated_size": size if state == "active_allocated" else 0,
        "active_size": size,
        "requested_size": asked,
        "stream": 0,
        "segment_type": "small" if asked <= SMALL else "large",
        "segment_pool_id": (0, 0),
        "is_expandable": False,
        "frames": [],
        "blocks": [block],
    }


def readable(size: int) -> str:
    """A number of bytes as PyTorch writes it.

    Units: bytes.
    """
    for factor, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size > factor:
            return f"{size / factor:.2f} {unit}"
    return f"{size} bytes"
