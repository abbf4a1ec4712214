"""The accelerator of this machine, whatever type it is: which, how many, how full.

Without one `current_accelerator()` is None, and what needs a device raises DeviceMissing.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from devtensor.accelerator import streams
from devtensor.accelerator.face import DeviceGuard, Face
from devtensor.accelerator.streams import Stream
from devtensor.backend import registry
from devtensor.core.device import UNINDEXED, Device
from devtensor.core.dtype import DTYPES
from devtensor.core.errors import DeviceMissing

__all__ = [
    "current_accelerator",
    "current_device_idx",
    "current_device_index",
    "current_stream",
    "device_count",
    "device_index",
    "empty_cache",
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


def current_accelerator(check_available: bool = False) -> Device | None:
    """The device type that computes beside the CPU, or None: CUDA if it can be used, else the first that can.

    A type that nothing on this machine can use is no accelerator, so `check_available` changes nothing.
    """
    names = sorted(set(registry.names()) - UNINDEXED, key=lambda name: (name != "cuda", name))
    for name in names:
        if registry.available(name) and getattr(registry.get(name), "target", None) is None:
            return Device(name)
    return None


def face() -> Face:
    """The functions of the accelerator's type.

    Errors: DeviceMissing if there is none.
    """
    found = current_accelerator()
    if found is None:
        raise DeviceMissing("[accelerator] Cannot access accelerator device when none is available.")
    return Face(found.type)


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


def set_device_index(device: Any) -> None:
    """Make a device the current one."""
    face().set_device(device)


current_device_idx, set_device_idx = current_device_index, set_device_index


class device_index(DeviceGuard):
    """Within it another accelerator device is the current one; None changes nothing."""

    def __enter__(self) -> None:
        self.type = face().type
        super().__enter__()


def get_device_capability(device: Any = None) -> dict[str, Any]:
    """What the device can hold: `supported_dtypes`."""
    return {"supported_dtypes": {DTYPES[name] for name in face().place(device).backend.dtypes}}


def synchronize(device: Any = None) -> None:
    """Wait until a device has done all that was asked of it."""
    face().synchronize(device)


def current_stream(device: Any = None) -> Stream:
    """The stream that new work on a device goes to."""
    return face().current_stream(device)


def set_stream(stream: Stream) -> None:
    """Make a stream the current one of its device."""
    face()
    streams.set_stream(stream)


def empty_cache() -> None:
    """Give memory that allocators hold and nobody uses back to the devices."""
    face().empty_cache()


def memory_allocated(device_index: Any = None) -> int:
    """Bytes of a device's memory in use by live tensors."""
    return face().memory_allocated(device_index)


def memory_reserved(device_index: Any = None) -> int:
    """Bytes of a device's memory that the library's allocator holds."""
    return face().memory_reserved(device_index)


def max_memory_allocated(device_index: Any = None) -> int:
    """The most bytes of a device's memory that were in use at once."""
    return face().max_memory_allocated(device_index)


def max_memory_reserved(device_index: Any = None) -> int:
    """The most bytes of a device's memory that the allocator held."""
    return face().max_memory_reserved(device_index)


def memory_stats(device_index: Any = None) -> OrderedDict[str, int]:
    """A device's memory by PyTorch's names of what is counted."""
    return face().memory_stats(device_index)


def get_memory_info(device_index: Any = None) -> tuple[int, int]:
    """Free and total bytes of a device's memory."""
    return face().mem_get_info(device_index)


def reset_peak_memory_stats(device_index: Any = None) -> None:
    """Start the record of the most bytes in use anew."""
    face().reset_peak_memory_stats(device_index)


reset_accumulated_memory_stats = reset_peak_memory_stats
