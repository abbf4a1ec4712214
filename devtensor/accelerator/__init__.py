"""The accelerator of this machine, whatever type it is: which, how many, how full.

Without one `current_accelerator()` is None, and what needs a device raises DeviceMissing.
"""

from __future__ import annotations

from typing import Any

from devtensor.accelerator import streams
from devtensor.accelerator.current import current_accelerator, face
from devtensor.accelerator.face import DeviceGuard, Face
from devtensor.accelerator.graphs import Graph
from devtensor.accelerator.memory import (
    empty_cache,
    empty_host_cache,
    get_memory_info,
    max_memory_allocated,
    max_memory_reserved,
    memory_allocated,
    memory_reserved,
    memory_stats,
    reset_accumulated_memory_stats,
    reset_peak_memory_stats,
)
from devtensor.accelerator.streams import Stream
from devtensor.core.dtype import DTYPES

__all__ = [
    "Graph",
    "current_accelerator",
    "current_device_idx",
    "current_device_index",
    "current_stream",
    "device_count",
    "device_index",
    "empty_cache",
    "empty_host_cache",
    "get_device_capability",
    "get_memory_info",
    "is_available",
    "max_memory_allocated",
    "max_memory_reserved",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "reset_accumulated_memory_stats",
    "reset_peak_memory_stats",
    "set_device_idx",
    "set_device_index",
    "set_stream",
    "synchronize",
]


def is_available() -> bool:
    """Whether there is an accelerator to use."""
    return current_accelerator() is not None


def device_count() -> int:
    """How many devices the accelerator's type has; 0 without one."""
    found = current_accelerator()
    return 0 if found is None else Face(found.type).device_count()


def current_device_index() -> int:
    """The number of the current accelerator device."""
    return face().current_device()


def set_device_index(device: Any, /) -> None:
    """Make a device the current one."""
    face().set_device(device)


current_device_idx, set_device_idx = current_device_index, set_device_index


class device_index(DeviceGuard):
    """Within it another accelerator device is the current one; None changes nothing."""

    def __init__(self, device: Any, /) -> None:
        super().__init__(device)

    def __enter__(self) -> None:
        self.type = face().type
        super().__enter__()


def get_device_capability(device: Any = None, /) -> dict[str, Any]:
    """What the device can hold: `supported_dtypes`."""
    return {"supported_dtypes": {DTYPES[name] for name in face().place(device).backend.dtypes}}


def synchronize(device: Any = None, /) -> None:
    """Wait until a device has done all that was asked of it."""
    face().synchronize(device)


def current_stream(device: Any = None, /) -> Stream:
    """The stream that new work on a device goes to."""
    return face().current_stream(device)


def set_stream(stream: Stream) -> None:
    """Make a stream the current one of its device."""
    face()
    streams.set_stream(stream)
