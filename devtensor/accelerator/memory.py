"""The accelerator's memory: how much is in use and held."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from devtensor.accelerator.current import face

__all__ = [
    "empty_cache",
    "empty_host_cache",
    "get_memory_info",
    "max_memory_allocated",
    "max_memory_reserved",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "reset_accumulated_memory_stats",
    "reset_peak_memory_stats",
]


def empty_cache() -> None:
    """Give memory that allocators hold and nobody uses back to the devices."""
    face().empty_cache()


def empty_host_cache() -> None:
    """Give page-locked memory that the allocator holds and nobody uses back to the system."""
    face().empty_host_cache()


def memory_allocated(device_index: Any = None, /) -> int:
    """Bytes of a device's memory in use by live tensors."""
    return face().memory_allocated(device_index)


def memory_reserved(device_index: Any = None, /) -> int:
    """Bytes of a device's memory that the library's allocator holds."""
    return face().memory_reserved(device_index)


def max_memory_allocated(device_index: Any = None, /) -> int:
    """The most bytes of a device's memory that were in use at once."""
    return face().max_memory_allocated(device_index)


def max_memory_reserved(device_index: Any = None, /) -> int:
    """The most bytes of a device's memory that the allocator held."""
    return face().max_memory_reserved(device_index)


def memory_stats(device_index: Any = None, /) -> OrderedDict[str, int]:
    """A device's memory by PyTorch's names of what is counted."""
    return face().memory_stats(device_index)


def get_memory_info(device_index: Any = None, /) -> tuple[int, int]:
    """Free and total bytes of a device's memory."""
    return face().mem_get_info(device_index)


def reset_peak_memory_stats(device_index: Any = None, /) -> None:
    """Start the record of the most bytes in use anew."""
    face().reset_peak_memory_stats(device_index)


def reset_accumulated_memory_stats(device_index: Any = None, /) -> None:
    """Count allocations from none again."""
    face().reset_accumulated_memory_stats(device_index)
