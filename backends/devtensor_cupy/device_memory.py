"""What the backend says and does of memory: the devices', and page-locked memory of the host."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from devtensor.backend.protocol import MemoryStats
from devtensor_cupy.memory import Accounts

if TYPE_CHECKING:
    from devtensor_cupy.lists import ListKernels
    from devtensor_cupy.pinned import Pinned


class DeviceMemory:
    """The backend's members that count, limit, lend and release memory."""

    cupy: Any
    on: Any
    accounts: Accounts
    pinned: Pinned
    lists: ListKernels

    def memory(self, index: int) -> MemoryStats:
        """What tensors hold by our own accounts, what CuPy's pool holds, and the device's size."""
        with self.on(index):
            bytes_held = self.accounts.of(index).all.allocated_bytes
            held = self.cupy.get_default_memory_pool().total_bytes()
            total = self.cupy.cuda.runtime.memGetInfo()[1]
            return MemoryStats(bytes_held.current, held, bytes_held.peak, total)

    def memory_details(self, index: int) -> dict[str, int]:
        """What is counted of the device's memory, by PyTorch's names; CuPy's pool tells no segments."""
        numbers = self.accounts.of(index)
        with self.on(index):
            numbers.reserved.move_to(self.cupy.get_default_memory_pool().total_bytes())
        return numbers.told()

    def memory_blocks(self) -> list[dict[str, Any]]:
        """Every block in use, on any device, in the form of PyTorch's snapshots."""
        return self.accounts.snapshot()

    def host_memory_details(self) -> dict[str, int]:
        """What is counted of pinned memory, by PyTorch's names."""
        return self.pinned.told()

    def reset_host_peak(self) -> None:
        """Begin the records of the most pinned memory anew."""
        self.pinned.reset_peaks()

    def reset_host_totals(self) -> None:
        """Count pinned memory from none again."""
        self.pinned.reset_totals()

    def release_host_memory(self) -> None:
        """Give pinned memory that CuPy's pool holds and nobody uses back to the system."""
        self.pinned.settle()
        self.cupy.get_default_pinned_memory_pool().free_all_blocks()

    def lend(self, index: int, size: int, stream: Any) -> int:
        """The address of a block of memory that lives until `take_back`; on `stream` if one is given."""
        with self.on(index), nullcontext() if stream is None else stream:
            return self.accounts.lend(size)

    def take_back(self, address: int) -> None:
        """Free memory that was lent."""
        self.accounts.take_back(address)

    def reset_peak(self, index: int) -> None:
        """Begin the records of the most bytes held anew."""
        self.accounts.reset_peaks(index)

    def reset_totals(self, index: int) -> None:
        """Count allocations from none again."""
        self.accounts.reset_totals(index)

    def limit_memory(self, index: int, fraction: float) -> None:
        """Let CuPy's pool hold no more than a part of the device's memory.

        A limit of nothing would mean none to CuPy: the least it knows is one byte.
        """
        with self.on(index):
            total = self.cupy.cuda.runtime.memGetInfo()[1]
            self.cupy.get_default_memory_pool().set_limit(size=max(1, int(fraction * total)))

    def memory_fraction(self, index: int) -> float:
        """The part of the device's memory that `limit_memory` allows."""
        with self.on(index):
            limit = self.cupy.get_default_memory_pool().get_limit()
            return limit / self.cupy.cuda.runtime.memGetInfo()[1] if limit else 1.0

    def free_memory(self, index: int) -> int:
        """Bytes of the device that no program uses."""
        with self.on(index):
            return self.cupy.cuda.runtime.memGetInfo()[0]

    def release_memory(self, index: int) -> None:
        """Give blocks that CuPy's pool holds and nobody uses back to the device.

        A device that nothing was asked of is left alone: entering it would give it a context.
        """
        if index not in self.accounts.counts:
            return
        if "lists" in self.__dict__:
            self.lists.tables.forget()
        with self.on(index):
            self.accounts.settle()
            self.cupy.get_default_memory_pool().free_all_blocks()
