"""Page-locked host memory, and copies that the host does not wait for."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

from devtensor_cupy.tallies import Tallies, Tally


class Pinned(Tallies):
    """Pinned arrays, and what a copy in flight must keep alive: both of its ends, until its event."""

    def __init__(self, cupy: Any, dtypes: dict[str, Any]) -> None:
        self.cupy, self.dtypes = cupy, dtypes
        self.lock = threading.RLock()
        self.in_flight: list[tuple[Any, Any]] = []
        self.blocks, self.bytes = Tally(), Tally()

    def empty(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        """A NumPy array in pinned memory, which lives as long as the array."""
        kind = np.dtype(self.dtypes[dtype])
        count = math.prod(shape) * kind.itemsize
        if self.in_flight:
            self.settle()
        memory = self.cupy.cuda.alloc_pinned_memory(max(count, 1))
        whole = np.frombuffer(memory, np.uint8, count)
        with self.lock:
            self.blocks.grow(1)
            self.bytes.grow(count)
        # Every array that sees the memory holds this one.
        weakref.finalize(whole, self.dropped, count).atexit = False
        return whole.view(kind).reshape(shape)

    def dropped(self, count: int) -> None:
        """Nobody holds a block any more."""
        with self.lock:
            self.blocks.shrink(1)
            self.bytes.shrink(count)

    def holds(self, array: np.ndarray) -> bool:
        """Whether the host array lies in pinned memory, whoever made it."""
        runtime = self.cupy.cuda.runtime
        return bool(array.size) and self.kind_of(array.ctypes.data) == runtime.memoryTypeHost

    def kind_of(self, address: int) -> Any:
        return self.cupy.cuda.runtime.pointerGetAttributes(address).type

    def upload(self, source: np.ndarray, array: Any) -> None:
        """Begin a copy from pinned memory to the device."""
        array.data.copy_from_host_async(source.ctypes.data, array.nbytes)
        self.keep(source, array)

    def download(self, array: Any, result: np.ndarray | None = None) -> np.ndarray:
        """Begin a copy to pinned memory, fresh unless given; it is done when the stream has come so far."""
        source = self.cupy.ascontiguousarray(array)
        into = self.empty(array.shape, array.dtype.name) if result is None else result
        if into.nbytes:
            source.data.copy_to_host_async(into.ctypes.data, into.nbytes)
            self.keep(source, into)
        return into

    def keep(self, *ends: Any) -> None:
        """Hold what a copy reads and writes until it has happened."""
        event = self.cupy.cuda.Event(disable_timing=True)
        event.record()
        self.settle((event, ends))

    def settle(self, *begun: tuple[Any, Any]) -> None:
        """Let go of the ends of copies that have happened; `begun` are more of them."""
        with self.lock:
            self.in_flight = [*(entry for entry in self.in_flight if not entry[0].done), *begun]

    def tallies(self) -> Iterator[tuple[str, Tally]]:
        """Every tally by PyTorch's name."""
        yield "active_requests", self.blocks
        yield "active_bytes", self.bytes

    def told(self) -> dict[str, int]:
        """What arrays hold, by PyTorch's names; of what CuPy's pool keeps beside it, the number of blocks."""
        self.settle()
        kept = self.cupy.get_default_pinned_memory_pool().n_free_blocks()
        return super().told() | {"allocations.current": self.blocks.current + kept}
