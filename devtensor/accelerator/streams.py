"""Streams and events: a device's queues of work, and moments in them.

A backend that has queues tells so by its member `queues`. Every stream of any other device is that device's
one queue, which runs in the order of the calls: what a program asks by `wait_stream` and `wait_event` always
holds there already, and nothing runs beside anything else.
"""

from __future__ import annotations

import threading
from typing import Any, NoReturn

from devtensor.accelerator.queues import OneQueue
from devtensor.core.device import Device, current_index, resolve, set_current_index
from devtensor.core.errors import ArgumentError, Unsupported

__all__ = ["Event", "Stream", "StreamContext", "current_stream", "set_stream"]


class Current(threading.local):
    """Each device's current stream, in this thread."""

    def __init__(self) -> None:
        self.streams: dict[Device, Stream] = {}


_current = Current()


def queues_of(device: Device) -> Any:
    """What makes and orders the streams of a device."""
    backend = device.backend
    found = getattr(backend, "queues", None)
    return OneQueue(backend) if found is None else found


class Stream:
    """A queue of work of a device; within it as a context manager the device and the stream are current.

    Errors: DeviceError if the device cannot be used.
    """

    type = "cpu"

    def __init__(self, device: Any = None, priority: int = 0, **facts: Any) -> None:
        self.device = place(self.type, device)
        self.queues = queues_of(self.device)
        self.native = facts.get("native") or self.made(priority)
        self.priority = self.queues.priority(self.native)

    def made(self, priority: int) -> Any:
        """The backend's own stream."""
        return self.queues.stream(self.index, priority)

    @property
    def index(self) -> int:
        return self.device.index or 0

    @property
    def device_index(self) -> int:
        """The device's number; -1 on the CPU, which has none."""
        return -1 if self.device.index is None else self.device.index

    @property
    def stream_id(self) -> int:
        """The stream's address; 0 for a device's default stream."""
        return int(self.native.ptr)

    def synchronize(self) -> None:
        """Wait until the stream has done all that was asked of it."""
        self.queues.wait_for_stream(self.index, self.native)

    def query(self) -> bool:
        """Whether all work is done; a device with one queue waits until it is."""
        return self.queues.stream_is_done(self.index, self.native)

    @property
    def native_handle(self) -> int:
        """The stream's address, as its device's own library takes it."""
        return self.stream_id

    def is_capturing(self) -> bool:
        """Whether what is asked of the stream goes into a graph of the library's."""
        return self.queues.is_capturing(self.native)

    def wait_stream(self, stream: Stream | None) -> None:
        """Let later work here wait for the work of another stream."""
        if stream is not None:
            self.wait_event(stream.record_event())

    def wait_event(self, event: Event) -> None:
        """Let later work here wait for an event."""
        if event.native is not None:
            self.queues.wait(self.index, self.native, event.native)

    def record_event(self, event: Event | None = None) -> Event:
        """Mark this moment of the queue, with a fresh event if none is given."""
        event = self.fresh_event() if event is None else event
        event.record(self)
        return event

    def fresh_event(self) -> Event:
        return Event(self.device)

    def __enter__(self) -> Stream:
        self._context = StreamContext(self)
        self._context.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._context.__exit__(*error)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Stream):
            return False
        return other.device is self.device and other.stream_id == self.stream_id

    def __hash__(self) -> int:
        return hash((self.device, self.stream_id))

    def __repr__(self) -> str:
        place = f"device_type={self.device.type}, device_index={self.device_index}"
        return f"devtensor.Stream {place}, stream_id={self.stream_id}"


class Event:
    """A moment in a device's queue of work, with its time if `enable_timing`.

    Where a device has one queue, recording an event that keeps the time waits for the device, so that the
    host's clock tells when its work was done.
    """

    type = "cpu"

    def __init__(
        self,
        device: Any = None,
        enable_timing: bool = False,
        blocking: bool = False,
        interprocess: bool = False,
    ) -> None:
        self.device = place(self.type, device)
        self.enable_timing = enable_timing
        self.options = (enable_timing, blocking, interprocess)
        self.native: Any = None

    @property
    def queues(self) -> Any:
        return queues_of(self.device)

    @property
    def index(self) -> int:
        return self.device.index or 0

    @property
    def recorded(self) -> bool:
        """Whether `record` was called."""
        return self.native is not None

    @property
    def event_id(self) -> int:
        """The event's address; 0 until it is recorded."""
        return 0 if self.native is None else int(self.native.ptr)

    def record(self, stream: Stream | None = None) -> None:
        """Mark this moment of a stream, of the current one if none is given.

        Errors: ArgumentError if the event was recorded on another device.
        """
        stream = current_stream(self.device_now()) if stream is None else stream
        if self.native is None:
            self.device = stream.device
            self.native = self.queues.event(self.index, *self.options)
        elif stream.device is not self.device:
            raise ArgumentError(
                f"[record] Event device {self.device} does not match recording stream's device "
                f"{stream.device}."
            )
        self.queues.record(self.index, self.native, stream.native)

    def device_now(self) -> Device:
        """The device whose stream an event without a stream is recorded on."""
        return (
            self.device if self.native is not None or self.device.index is None else resolve(self.device.type)
        )

    def wait(self, stream: Stream | None = None) -> None:
        """Let later work on a stream, the current one if none is given, wait for this moment."""
        stream = current_stream(self.device_now()) if stream is None else stream
        stream.wait_event(self)

    def synchronize(self) -> None:
        """Wait until all work before this moment is done."""
        if self.native is not None:
            self.native.synchronize()

    def query(self) -> bool:
        """Whether all work before this moment is done; a device with one queue waits until it is."""
        return self.native is None or self.queues.event_is_done(self.native)

    def ipc_handle(self) -> NoReturn:
        """Refused: no process is told of another's events.

        Errors: Unsupported, always.
        """
        raise Unsupported("[ipc_handle] events are not shared between processes; pass results, not events")

    @classmethod
    def from_ipc_handle(cls, device: Any, handle: Any) -> NoReturn:
        """Refused: no process is told of another's events.

        Errors: Unsupported, always.
        """
        raise Unsupported("[from_ipc_handle] events are not shared between processes; make one here")

    def elapsed_time(self, end_event: Event) -> float:
        """The time from this moment to that of another event.

        Units: milliseconds.
        Errors: ArgumentError unless both keep the time, were recorded and have happened.
        """
        if not (self.enable_timing and end_event.enable_timing):
            raise ArgumentError(
                "[elapsed_time] Both events must be created with argument 'enable_timing=True'."
            )
        if self.native is None or end_event.native is None:
            raise ArgumentError(
                "[elapsed_time] Both events must be recorded before calculating elapsed time."
            )
        if not (self.query() and end_event.query()):
            raise ArgumentError(
                "[elapsed_time] Both events must be completed before calculating elapsed time."
            )
        return self.queues.elapsed(self.native, end_event.native)

    def __repr__(self) -> str:
        return f"devtensor.Event device_type={self.device.type}, recorded={self.recorded}"


class StreamContext:
    """Within it a stream and its device are the current ones; with None nothing changes."""

    def __init__(self, stream: Stream | None) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        if self.stream is not None:
            self.before = current_stream(self.stream.device)
            self.index = current_index(self.stream.device.type)
            set_stream(self.stream)

    def __exit__(self, *error: object) -> None:
        if self.stream is not None:
            set_stream(self.before)
            if self.before.device.index is not None:
                set_current_index(self.before.device.type, self.index)


def place(type: str, device: Any) -> Device:
    """The device that `device` means where devices of `type` are spoken of."""
    if isinstance(device, int) and not isinstance(device, bool):
        return resolve(Device(type, device))
    return resolve(type if device is None else device)


def default_stream(device: Device, kind: type[Stream] = Stream) -> Stream:
    """The stream that a device has without being asked."""
    return kind(device, native=queues_of(device).default(device.index or 0))


def current_stream(device: Device, kind: type[Stream] = Stream) -> Stream:
    """The stream that new work on a device goes to."""
    found = _current.streams.get(device)
    native = queues_of(device).current(device.index or 0)
    if found is None or not isinstance(found, kind) or found.native.ptr != native.ptr:
        found = _current.streams[device] = kind(device, native=native)
    return found


def set_stream(stream: Stream | None) -> None:
    """Make a stream the current one of its device, and its device the current one."""
    if stream is not None:
        stream.queues.use(stream.index, stream.native)
        _current.streams[stream.device] = stream
        if stream.device.index is not None:
            set_current_index(stream.device.type, stream.device.index)
