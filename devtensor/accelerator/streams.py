"""Streams and events: names for a device's one queue of work, and for moments in it.

Every stream of a device is that device's one queue, which runs in the order of the calls: what a program
asks by `wait_stream` and `wait_event` always holds already, and nothing runs beside anything else.
"""

from __future__ import annotations

import time
from typing import Any

from devtensor.core.device import Device, resolve
from devtensor.core.errors import ArgumentError

__all__ = ["Event", "Stream", "StreamContext", "current_stream", "set_stream"]

_current: dict[Device, Stream] = {}


class Stream:
    """The queue of work of a device; within it as a context manager the device and the stream are current.

    Errors: DeviceError if the device cannot be used.
    """

    type = "cpu"
    stream_id = 0

    def __init__(self, device: Any = None, priority: int = 0, **facts: Any) -> None:
        self.device = place(self.type, device)
        self.priority = priority

    @property
    def device_index(self) -> int:
        """The device's number; -1 on the CPU, which has none."""
        return -1 if self.device.index is None else self.device.index

    def synchronize(self) -> None:
        """Wait until the device has done all that was asked of it."""
        self.device.backend.synchronize(self.device.index or 0)

    def query(self) -> bool:
        """Whether all work is done: it is, for this waits until it is."""
        self.synchronize()
        return True

    def wait_stream(self, stream: Stream | None) -> None:
        """Let later work here wait for the work of another stream: the one queue keeps that order."""

    def wait_event(self, event: Event) -> None:
        """Let later work here wait for an event: the one queue keeps that order."""

    def record_event(self, event: Event | None = None) -> Event:
        """Mark this moment of the queue, with a fresh event if none is given."""
        event = Event(self.device) if event is None else event
        event.record(self)
        return event

    def __enter__(self) -> Stream:
        self._context = StreamContext(self)
        self._context.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._context.__exit__(*error)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and other.device is self.device

    def __hash__(self) -> int:
        return hash(self.device)

    def __repr__(self) -> str:
        place = f"device_type={self.device.type}, device_index={self.device_index}"
        return f"devtensor.Stream {place}, stream_id={self.stream_id}"


class Event:
    """A moment in a device's queue of work, with its time if `enable_timing`.

    Recording one that keeps the time waits for the device, so that the host's clock tells when its work was
    done.
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
        self.time: float | None = None
        self.recorded = False

    def record(self, stream: Stream | None = None) -> None:
        """Mark this moment."""
        if self.enable_timing:
            self.synchronize()
            self.time = time.perf_counter()
        self.recorded = True

    def wait(self, stream: Stream | None = None) -> None:
        """Let later work wait for this moment: the one queue keeps that order."""

    def synchronize(self) -> None:
        """Wait until all work before this moment is done."""
        self.device.backend.synchronize(self.device.index or 0)

    def query(self) -> bool:
        """Whether all work before this moment is done: it is, for this waits until it is."""
        self.synchronize()
        return True

    def elapsed_time(self, end_event: Event) -> float:
        """The time from this moment to that of another event.

        Units: milliseconds.
        Errors: ArgumentError unless both keep the time and were recorded.
        """
        if not (self.enable_timing and end_event.enable_timing):
            raise ArgumentError(
                "[elapsed_time] Both events must be created with argument 'enable_timing=True'."
            )
        if self.time is None or end_event.time is None:
            raise ArgumentError(
                "[elapsed_time] Both events must be recorded before calculating elapsed time."
            )
        return (end_event.time - self.time) * 1000

    def __repr__(self) -> str:
        return f"devtensor.Event device_type={self.device.type}, recorded={self.recorded}"


class StreamContext:
    """Within it a stream is the current one of its device; with None nothing changes."""

    def __init__(self, stream: Stream | None) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        if self.stream is not None:
            self.before = current_stream(self.stream.device)
            set_stream(self.stream)

    def __exit__(self, *error: object) -> None:
        if self.stream is not None:
            set_stream(self.before)


def place(type: str, device: Any) -> Device:
    """The device that `device` means where devices of `type` are spoken of."""
    if isinstance(device, int) and not isinstance(device, bool):
        return resolve(Device(type, device))
    return resolve(type if device is None else device)


def current_stream(device: Device) -> Stream:
    """The stream that new work on a device goes to."""
    found = _current.get(device)
    if found is None:
        found = _current[device] = Stream(device)
    return found


def set_stream(stream: Stream | None) -> None:
    """Make a stream the current one of its device."""
    if stream is not None:
        _current[stream.device] = stream
