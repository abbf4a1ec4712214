"""What `devtensor.cuda` and its kin answer of memory, written once for every device type."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from devtensor.accelerator import accounts
from devtensor.backend import registry
from devtensor.backend.protocol import MemoryStats

NOTHING = MemoryStats(0, 0, 0)


class MemoryFace:
    """The functions of a device type's module that count memory, and give it back."""

    type: str
    is_available: Any
    index: Any

    def memory(self, device: Any = None) -> MemoryStats:
        """A device's memory now; nothing where there is no device."""
        return registry.get(self.type).memory(self.index(device)) if self.is_available() else NOTHING

    def memory_allocated(self, device: Any = None) -> int:
        """Bytes of a device's memory in use by live tensors."""
        return self.memory(device).allocated

    def memory_reserved(self, device: Any = None) -> int:
        """Bytes of a device's memory that the library's allocator holds, in use or not."""
        return self.memory(device).reserved

    def max_memory_allocated(self, device: Any = None) -> int:
        """The most bytes of a device's memory that were in use at once, as far as its library records it."""
        return self.memory(device).peak

    def max_memory_reserved(self, device: Any = None) -> int:
        """The most bytes that the allocator held, or what it holds now if its backend does not record it."""
        return self.memory_stats(device).get("reserved_bytes.all.peak", 0)

    def memory_details(self, device: Any = None) -> dict[str, int]:
        """What the backend counts of a device's memory, by PyTorch's names; empty without a device."""
        if not self.is_available():
            return {}
        backend: Any = registry.get(self.type)
        return getattr(backend, "memory_details", lambda index: {})(self.index(device))

    def mem_get_info(self, device: Any = None) -> tuple[int, int]:
        """Free and total bytes of a device's memory.

        Errors: DeviceMissing if there is no device.
        """
        index = self.index(device)
        backend: Any = registry.get(self.type)
        held = backend.memory(index)
        total = held.total or 0
        free = getattr(backend, "free_memory", lambda index: max(0, total - held.reserved))(index)
        return free, total

    def memory_stats(self, device: Any = None) -> OrderedDict[str, int]:
        """A device's memory by PyTorch's names of what is counted; empty where there is no device."""
        if not self.is_available():
            return OrderedDict()
        return accounts.memory_stats(self.memory(device), self.memory_details(device))

    def memory_summary(self, device: Any = None, abbreviated: bool = False) -> str:
        """A device's memory as a table to be printed; `abbreviated` leaves out the parts by pool."""
        index = self.index(device) if self.is_available() else 0
        stats = accounts.memory_stats(self.memory(device), self.memory_details(device))
        return accounts.memory_summary(self.type.upper(), index, stats, abbreviated)

    def memory_blocks(self) -> list[dict[str, Any]]:
        """Every block in use on any device of the type, where the backend tells them."""
        if not self.is_available():
            return []
        backend: Any = registry.get(self.type)
        return getattr(backend, "memory_blocks", list)()

    def host_memory_stats(self) -> OrderedDict[str, int]:
        """Page-locked host memory in PyTorch's names; empty where there is no device."""
        if not self.is_available():
            return OrderedDict()
        backend: Any = registry.get(self.type)
        return accounts.host_memory_stats(getattr(backend, "host_memory_details", dict)())

    def tell(self, member: str, *arguments: Any) -> None:
        """Call an optional member of the backend, if there are devices and it has it."""
        if self.is_available():
            getattr(registry.get(self.type), member, lambda *ignored: None)(*arguments)

    def reset_peak_host_memory_stats(self) -> None:
        """Start the record of the most page-locked memory anew, where the backend keeps one."""
        self.tell("reset_host_peak")

    def reset_accumulated_host_memory_stats(self) -> None:
        """Count page-locked memory from none again, where the backend counts it."""
        self.tell("reset_host_totals")

    def empty_host_cache(self) -> None:
        """Give page-locked memory that the allocator holds and nobody uses back to the system."""
        self.tell("release_host_memory")

    def empty_cache(self) -> None:
        """Give memory that the allocators hold and nobody uses back to the devices."""
        if self.is_available():
            backend: Any = registry.get(self.type)
            for index in range(backend.device_count() if hasattr(backend, "release_memory") else 0):
                backend.release_memory(index)

    def reset_peak_memory_stats(self, device: Any = None) -> None:
        """Start the record of the most bytes in use anew, where the backend keeps one."""
        if self.is_available():
            self.tell("reset_peak", self.index(device))

    def reset_accumulated_memory_stats(self, device: Any = None) -> None:
        """Count allocations from none again, where the backend counts them."""
        if self.is_available():
            self.tell("reset_totals", self.index(device))
