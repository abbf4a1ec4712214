"""Streams and events over the machine's queues."""

from __future__ import annotations

import itertools
import time
import warnings
from typing import Any
from weakref import WeakValueDictionary

from cupy._machine import CUDARuntimeError, Queue, alive, answer, current, null_queues, synchronised

pointers = itertools.count(4096, 16)
streams: WeakValueDictionary[int, Any] = WeakValueDictionary()
events: WeakValueDictionary[int, Event] = WeakValueDictionary()


def queue_of(address: int) -> Queue:
    """The queue of a stream, by its address; of one that is not known, a queue of its own."""
    if not address:
        return null_queues[current.device]
    known = streams.get(address)
    return Queue(current.device, False) if known is None else known.queue


class BaseStream:
    """A queue of work."""

    def __init__(self, queue: Queue, ptr: int, device_id: int) -> None:
        self.queue, self.ptr, self.device_id = queue, ptr, device_id
        streams.setdefault(ptr, self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BaseStream) and self.ptr == other.ptr

    def __hash__(self) -> int:
        return self.ptr

    def checked(self) -> int:
        if self.device_id not in (-1, current.device):
            raise RuntimeError(
                f"The device that the stream is created on ({self.device_id}) does not match "
                f"with the current device ({current.device})"
            )
        return current.device

    def use(self) -> Any:
        current.streams[self.checked()] = self
        return self

    def __enter__(self) -> Any:
        device = self.checked()
        entered.append((device, current.streams.get(device)))
        return self.use()

    def __exit__(self, *error: Any) -> None:
        device, before = entered.pop()
        if before is None:
            current.streams.pop(device, None)
        else:
            current.streams[device] = before

    @property
    def done(self) -> bool:
        """Also a fault is no "done" to CuPy (stream.pyx)."""
        return answer(not self.queue.waiting) == 0

    def synchronize(self) -> None:
        self.queue.run()
        synchronised()

    def record(self, event: Any = None) -> Any:
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Any) -> None:
        """Later work here comes after the event: when it runs, the other queue goes as far as that."""
        if event.queue is not None and event.queue is not self.queue:
            queue, position = event.queue, event.position
            self.queue.add(lambda: queue.run(position))

    def is_capturing(self) -> bool:
        return False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.ptr} (device {self.device_id})>"


entered: list[Any] = []


class NullStream(BaseStream):
    """The default stream: one a device, all of one name."""

    def __init__(self) -> None:
        self.ptr, self.device_id, self.priority, self.is_non_blocking = 0, -1, 0, False

    @property
    def queue(self) -> Queue:
        return null_queues[current.device]


class Stream(BaseStream):
    """A queue of its own on the current device."""

    null: BaseStream = NullStream()

    def __init__(
        self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: int | None = None
    ) -> None:
        alive()
        self.is_non_blocking = non_blocking
        self.priority = max(-5, min(0, priority or 0))
        if null:
            super().__init__(null_queues[current.device], 0, -1)
        else:
            super().__init__(Queue(current.device, not non_blocking), next(pointers), current.device)

    @classmethod
    def from_external(cls, obj: Any) -> Stream:
        """Another library's stream, on whichever device is current."""
        alive()
        version, ptr = obj.__cuda_stream__()
        if version != 0 or not isinstance(ptr, int):
            raise TypeError(f"__cuda_stream__() returned unsupported version {version}")
        made = cls.__new__(cls)
        made.priority, made.is_non_blocking, made._foreign_stream_ref = 0, True, obj
        BaseStream.__init__(made, queue_of(ptr), ptr, -1)
        return made


class ExternalStream(BaseStream):
    """Another library's stream, by its address; CuPy 14 warns of it (stream.pyx)."""

    def __init__(self, ptr: int, device_id: int = -1) -> None:
        alive()
        warnings.warn("ExternalStream is deprecated.", DeprecationWarning, stacklevel=2)
        self.priority, self.is_non_blocking = 0, True
        super().__init__(queue_of(ptr), ptr, device_id)


class Event:
    """A moment in a queue."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        alive()
        if interprocess and not disable_timing:
            raise ValueError("Timing must be disabled for interprocess events")
        self.timed, self.device = not disable_timing, current.device
        self.queue: Queue | None = None
        self.position = 0
        self.time = 0.0
        self.ptr = next(pointers)
        events[self.ptr] = self

    def record(self, stream: Any = None) -> None:
        stream = get_current_stream() if stream is None else stream
        if stream.queue.device != self.device:
            raise CUDARuntimeError("cudaErrorInvalidResourceHandle", "an event and a stream of two devices")
        self.queue, self.position = stream.queue, stream.queue.position
        self.time = time.perf_counter()

    @property
    def happened(self) -> bool:
        return self.queue is None or self.queue.done >= self.position

    @property
    def done(self) -> bool:
        """Also a fault is no "done" to CuPy (stream.pyx)."""
        return answer(self.happened) == 0

    def synchronize(self) -> None:
        if self.queue is not None:
            self.queue.run(self.position)
        synchronised()


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    """Milliseconds between two events."""
    if not (start_event.timed and end_event.timed):
        raise RuntimeError("cudaErrorInvalidResourceHandle: invalid resource handle")
    return (end_event.time - start_event.time) * 1000


def get_current_stream(device_id: int = -1) -> Any:
    """The stream that new work on a device goes to."""
    alive()
    return current.streams.get(current.device if device_id < 0 else device_id, Stream.null)
