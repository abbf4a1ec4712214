"""Page-locked host memory, and copies that the host does not wait for."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np


class Pinned:
    """Pinned arrays, and what a copy in flight must keep alive: both of its ends, until its event."""

    def __init__(self, cupy: Any, dtypes: dict[str, Any]) -> None:
        self.cupy, self.dtypes = cupy, dtypes
        self.lock = threading.Lock()
        self.in_flight: list[tuple[Any, Any]] = []

    def empty(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        """A NumPy array in pinned memory, which lives as long as the array."""
        kind = np.dtype(self.dtypes[dtype])
        count = math.prod(shape) * kind.itemsize
        memory = self.cupy.cuda.alloc_pinned_memory(max(count, 1))
        return np.frombuffer(memory, np.uint8, count).view(kind).reshape(shape)

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

    def download(self, array: Any) -> np.ndarray:
        """Begin a copy to fresh pinned memory; its numbers are there when the stream has come so far."""
        source = self.cupy.ascontiguousarray(array)
        result = self.empty(array.shape, array.dtype.name)
        source.data.copy_to_host_async(result.ctypes.data, result.nbytes)
        self.keep(source, result)
        return result

    def keep(self, *ends: Any) -> None:
        """Hold what a copy reads and writes until it has happened."""
        event = self.cupy.cuda.Event(disable_timing=True)
        event.record()
        with self.lock:
            self.in_flight = [entry for entry in self.in_flight if not entry[0].done]
            self.in_flight.append((event, ends))
