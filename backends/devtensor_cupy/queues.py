"""Streams and events of CUDA devices: CuPy's own, made and entered on the right device."""

from __future__ import annotations

import weakref
from typing import Any

from devtensor_cupy.process import Waits

DONE, NOT_READY = 0, 600
"""cudaSuccess and cudaErrorNotReady."""


class Address:
    """Something that has a stream, as CUDA's protocol for streams has it: version 0, and where it is."""

    def __init__(self, pointer: int) -> None:
        self.pointer = pointer

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.pointer


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
        taken_in = getattr(self.cupy.cuda.Stream, "from_external", None)
        with self.cupy.cuda.Device(index):
            if taken_in is None:
                return self.cupy.cuda.ExternalStream(pointer, index)
            return taken_in(Address(pointer))

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
            return self.is_done(self.cupy.cuda.runtime.streamQuery(stream.ptr))

    def event_is_done(self, event: Any) -> bool:
        return self.is_done(self.cupy.cuda.runtime.eventQuery(event.ptr))

    def is_done(self, status: int) -> bool:
        """What CUDA answered, who was asked whether work is done.

        Errors: CUDARuntimeError for a fault, which CuPy's own `done` takes for a no, for ever.
        """
        if status not in (DONE, NOT_READY):
            raise self.cupy.cuda.runtime.CUDARuntimeError(status)
        return status == DONE

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
