"""CUDA's streams and events by PyTorch's names."""

from __future__ import annotations

from typing import Any

from devtensor.accelerator import streams
from devtensor.accelerator.face import Face
from devtensor.core.errors import Unsupported

__all__ = ["Event", "ExternalStream", "Stream"]


class Stream(streams.Stream):
    """A queue of work of a CUDA device; the default stream does not wait for it.

    Errors: DeviceMissing if there is no CUDA device, ArgumentError for a device of another type.
    """

    type = "cuda"

    def __init__(self, device: Any = None, priority: int = 0, **facts: Any) -> None:
        super().__init__(Face("cuda").place(device), priority, **facts)

    @property
    def cuda_stream(self) -> int:
        """The stream's address, as CUDA's own functions take it."""
        return self.stream_id

    def __cuda_stream__(self) -> tuple[int, int]:
        """The version of CUDA's protocol for streams, and the stream's address: so others take it in."""
        return 0, self.cuda_stream

    @staticmethod
    def priority_range() -> tuple[int, int]:
        """The least and the greatest priority; smaller numbers come first."""
        return 0, -5

    def fresh_event(self) -> Event:
        return Event()

    def __repr__(self) -> str:
        return f"<devtensor.cuda.Stream device={self.device} cuda_stream={self.cuda_stream:#x}>"


class Event(streams.Event):
    """A moment in a CUDA device's work, with its time if `enable_timing`.

    Errors: DeviceMissing if there is no CUDA device.
    """

    type = "cuda"

    def __init__(
        self,
        enable_timing: bool = False,
        blocking: bool = False,
        interprocess: bool = False,
        external: bool = False,
    ) -> None:
        super().__init__(None, enable_timing, blocking, interprocess)

    @property
    def cuda_event(self) -> int:
        """The event's address, as CUDA's own functions take it; 0 until it is recorded."""
        return self.event_id

    def __repr__(self) -> str:
        told = f"{self.cuda_event:#x}" if self.recorded else "uninitialized"
        return f"<devtensor.cuda.Event {told}>"


class ExternalStream(Stream):
    """Another library's stream, by its address; it must live as long as this names it.

    Errors: DeviceMissing if there is no CUDA device, Unsupported where its backend has one queue.
    """

    def __init__(self, stream_ptr: int, device: Any = None, **facts: Any) -> None:
        self.pointer = stream_ptr
        super().__init__(device, **facts)

    def made(self, priority: int) -> Any:
        external = getattr(self.queues, "external", None)
        if external is None:
            raise Unsupported("[ExternalStream] the backend of cuda has one queue; another is not taken in")
        return external(self.index, self.pointer)
