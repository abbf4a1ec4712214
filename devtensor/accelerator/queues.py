"""The queue of a device that has one: every stream is that queue, and events read the host's clock."""

from __future__ import annotations

import itertools
import time
from typing import Any

numbers = itertools.count(1)


class OneStream:
    """A name for the queue."""

    def __init__(self, pointer: int = 0) -> None:
        self.ptr = pointer


class Moment:
    """A moment in the queue; one that keeps the time waits for the device first."""

    def __init__(self, wait: Any, timing: bool) -> None:
        self.wait, self.timing = wait, timing
        self.ptr = next(numbers)
        self.time = 0.0

    def record(self) -> None:
        if self.timing:
            self.wait()
            self.time = time.perf_counter()

    def synchronize(self) -> None:
        self.wait()

    @property
    def done(self) -> bool:
        self.wait()
        return True


class OneQueue:
    """The streams and events of a backend that has no queues of its own to offer."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend

    def stream(self, index: int, priority: int) -> OneStream:
        return OneStream()

    default = current = lambda self, index: OneStream()

    def use(self, index: int, stream: OneStream) -> None:
        """There is no other to go to."""

    def event(self, index: int, timing: bool, blocking: bool, interprocess: bool) -> Moment:
        return Moment(lambda: self.backend.synchronize(index), timing)

    def record(self, index: int, event: Moment, stream: OneStream) -> None:
        event.record()

    def wait(self, index: int, stream: OneStream, event: Moment) -> None:
        """The one queue keeps the order of the calls."""

    def wait_for_stream(self, index: int, stream: OneStream) -> None:
        self.backend.synchronize(index)

    def stream_is_done(self, index: int, stream: OneStream) -> bool:
        self.backend.synchronize(index)
        return True

    def event_is_done(self, event: Moment) -> bool:
        return event.done

    def priority(self, stream: OneStream) -> int:
        """There is nothing to come before."""
        return 0

    def is_capturing(self, stream: OneStream) -> bool:
        """The queue makes no graph of what it is given."""
        return False

    def elapsed(self, start: Moment, end: Moment) -> float:
        return (end.time - start.time) * 1000
