"""A device's memory in numbers and as a text, by PyTorch's names of what is counted."""

from __future__ import annotations

from collections import OrderedDict

from devtensor.backend.protocol import MemoryStats


def memory_stats(held: MemoryStats, details: dict[str, int]) -> OrderedDict[str, int]:
    """What is in use and what the allocator holds: now, at most, and summed over time where that is counted.

    Units: bytes, and numbers of allocations.
    """
    made, given_back = details.get("allocations", 0), details.get("frees", 0)
    reserved_peak = max(held.reserved, details.get("reserved_peak", 0))
    numbers = {
        "active_bytes.all.current": held.allocated,
        "active_bytes.all.peak": held.peak,
        "allocated_bytes.all.current": held.allocated,
        "allocated_bytes.all.peak": held.peak,
        "allocation.all.allocated": made,
        "allocation.all.current": max(0, made - given_back),
        "allocation.all.freed": given_back,
        "inactive_split_bytes.all.current": max(0, held.reserved - held.allocated),
        "num_alloc_retries": details.get("retries", 0),
        "num_ooms": details.get("failures", 0),
        "reserved_bytes.all.current": held.reserved,
        "reserved_bytes.all.peak": reserved_peak,
    }
    return OrderedDict(sorted(numbers.items()))


def memory_summary(name: str, held: MemoryStats, details: dict[str, int]) -> str:
    """The same as a table for people."""
    stats = memory_stats(held, details)
    rows = [
        ("in use by tensors", held.allocated, held.peak),
        ("held by the allocator", held.reserved, stats["reserved_bytes.all.peak"]),
    ]
    lines = [f"memory of {name:<24}{'now':>20}{'at most':>20}"]
    lines += [f"  {what:<32}{now:>14,} bytes{most:>14,} bytes" for what, now, most in rows]
    counted = f"{stats['allocation.all.allocated']:,} made, {stats['allocation.all.freed']:,} given back"
    failed = f"{stats['num_ooms']:,} failed, {stats['num_alloc_retries']:,} tried again"
    return "\n".join([*lines, f"  allocations: {counted}, {failed}"])
