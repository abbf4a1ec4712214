"""Counts of memory by PyTorch's names: now, at most, and summed over time."""

from __future__ import annotations

from collections.abc import Iterator

SMALL = 1 << 20
"""Requests of at most so many bytes are counted as PyTorch's small pool."""


class Tally:
    """A number that goes up and down."""

    __slots__ = ("added", "current", "freed", "peak")

    def __init__(self) -> None:
        self.current = self.peak = self.added = self.freed = 0

    def grow(self, count: int) -> None:
        self.current += count
        self.added += count
        if self.current > self.peak:
            self.peak = self.current

    def shrink(self, count: int) -> None:
        self.current -= count
        self.freed += count

    def move_to(self, count: int) -> None:
        """Grow or shrink to a number."""
        if count > self.current:
            self.grow(count - self.current)
        elif count < self.current:
            self.shrink(self.current - count)

    def told(self, name: str) -> Iterator[tuple[str, int]]:
        """The numbers by PyTorch's names."""
        yield f"{name}.current", self.current
        yield f"{name}.peak", self.peak
        yield f"{name}.allocated", self.added
        yield f"{name}.freed", self.freed

    def reset_peak(self) -> None:
        self.peak = self.current

    def reset_totals(self) -> None:
        self.added = self.freed = 0


class Tallies:
    """Something that is counted in several tallies."""

    def tallies(self) -> Iterator[tuple[str, Tally]]:
        """Every tally by PyTorch's name."""
        raise NotImplementedError

    def told(self) -> dict[str, int]:
        """All numbers by PyTorch's names."""
        return {key: count for name, tally in self.tallies() for key, count in tally.told(name)}

    def reset_peaks(self) -> None:
        for _, tally in self.tallies():
            tally.reset_peak()

    def reset_totals(self) -> None:
        for _, tally in self.tallies():
            tally.reset_totals()


class Blocks:
    """Blocks and their bytes: what tensors hold, what they asked for, what streams still read beside it."""

    def __init__(self) -> None:
        self.allocation, self.allocated_bytes, self.requested_bytes = Tally(), Tally(), Tally()
        self.active, self.active_bytes = Tally(), Tally()

    def taken(self, size: int, asked: int) -> None:
        """A block was handed out."""
        self.allocation.grow(1)
        self.allocated_bytes.grow(size)
        self.requested_bytes.grow(asked)
        self.active.grow(1)
        self.active_bytes.grow(size)

    def dropped(self, size: int, asked: int) -> None:
        """Nobody holds a block any more; a stream may still read it."""
        self.allocation.shrink(1)
        self.allocated_bytes.shrink(size)
        self.requested_bytes.shrink(asked)

    def reusable(self, size: int) -> None:
        """No stream reads a block any more."""
        self.active.shrink(1)
        self.active_bytes.shrink(size)


class DeviceTallies(Tallies):
    """What is counted of one device."""

    def __init__(self) -> None:
        self.all, self.small_pool, self.large_pool = Blocks(), Blocks(), Blocks()
        self.reserved = Tally()
        self.retries = self.failures = self.growths = self.waits = 0

    def pools(self, asked: int) -> tuple[Blocks, Blocks]:
        """Where a request of so many bytes counts."""
        return self.all, self.small_pool if asked <= SMALL else self.large_pool

    def holds(self, reserved: int) -> None:
        """The allocator holds so many bytes now."""
        self.growths += reserved > self.reserved.current
        self.reserved.move_to(reserved)

    def tallies(self) -> Iterator[tuple[str, Tally]]:
        """Every tally by PyTorch's name: those of all blocks, and of each pool."""
        yield "reserved_bytes.all", self.reserved
        for pool in ("all", "small_pool", "large_pool"):
            for name, tally in vars(getattr(self, pool)).items():
                yield f"{name}.{pool}", tally

    def told(self) -> dict[str, int]:
        """All numbers by PyTorch's names."""
        return super().told() | {
            "num_alloc_retries": self.retries,
            "num_ooms": self.failures,
            "num_device_alloc": self.growths,
            "num_sync_all_streams": self.waits,
        }

    def reset_totals(self) -> None:
        super().reset_totals()
        self.retries = self.failures = self.growths = self.waits = 0
