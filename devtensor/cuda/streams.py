"""CUDA's streams and events by PyTorch's names."""

from __future__ import annotations

from typing import Any

from devtensor.accelerator import streams
from devtensor.core.refusal import refused_class

__all__ = ["Event", "ExternalStream", "Stream"]


class Stream(streams.Stream):
    """The queue of work of a CUDA device.

    Errors: DeviceMissing if there is no CUDA device.
    """

    type = "cuda"
    cuda_stream = 0


class Event(streams.Event):
    """A moment in a CUDA device's queue of work, with its time if `enable_timing`.

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


class ExternalStream(
    refused_class("cuda.ExternalStream", "a device has one queue; another library's is not taken in")
):
    """Refused: another library's stream."""

    def __init__(self, stream_ptr: int, device: Any = None) -> None:
        super().__init__()
