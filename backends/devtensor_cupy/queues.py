"""Streams and events of CUDA devices: CuPy's own, made and entered on the right device."""

from __future__ import annotations

import weakref
from typing import Any

from devtensor_cupy.process import Waits


class Queues:
    """What `devtensor.cuda` needs to know of streams and events; what it gives are CuPy's objects."""

    def __init__(self, cupy: Any, waits: Waits) -> None:
        self.cupy, self.waits = cupy, waits
        self.made: weakref.WeakSet[Any] = weakref.WeakSet()

    def stream(self, index: int, priority: int) -> Any:
        """A fresh stream, which the default one does not wait for."""
        with self.cupy.cuda.Device(index):
            return self.remembered(self.cupy.cuda.Stream(non_blocking=True, priority=priority))

    def external(self, index: int, pointer: int) -> Any:
        """Another library's stream, by its address."""
        with self.cupy.cuda.Device(index):
            return self.cupy.cuda.ExternalStream(pointer, index)

    def default(self, index: int) -> Any:
        return self.cupy.cuda.Stream.null

    def current(self, index: int) -> Any:
        return self.cupy.cuda.get_current_stream(index)

    def use(self, index: int, stream: Any) -> None:
        with self.cupy.cuda.Device(index):
            stream.use()

    def event(self, index: int, timing: bool, blocking: bool, interprocess: bool) -> Any:
        with self.cupy.cuda.Device(index):
            return self.remembered(
                self.cupy.cuda.Event(block=blocking, disable_timing=not timing, interprocess=interprocess)
            )

    def record(self, index: int, event: Any, stream: Any) -> None:
        with self.cupy.cuda.Device(index):
            event.record(stream)

    def wait(self, index: int, stream: Any, event: Any) -> None:
        """Let later work on the stream come after the event."""
        with self.cupy.cuda.Device(index):
            stream.wait_event(event)

    def wait_for_stream(self, index: int, stream: Any) -> None:
        self.waits.hear("wait for a stream")
        with self.cupy.cuda.Device(index):
            stream.synchronize()

    def stream_is_done(self, index: int, stream: Any) -> bool:
        with self.cupy.cuda.Device(index):
            return bool(stream.done)

    def priority(self, stream: Any) -> int:
        """What a stream's priority has become: CUDA takes the nearest that it has."""
        return int(getattr(stream, "priority", 0) or 0)

    def is_capturing(self, stream: Any) -> bool:
        """Whether what the stream is given goes into a graph."""
        return bool(stream.is_capturing())

    def elapsed(self, start: Any, end: Any) -> float:
        """Milliseconds between two recorded events."""
        return self.cupy.cuda.get_elapsed_time(start, end)

    def remembered(self, made: Any) -> Any:
        self.made.add(made)
        return made
