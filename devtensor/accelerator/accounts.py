"""A device's memory in numbers and as a text, by PyTorch's names of what is counted.

The key set is PyTorch's whole; what a backend does not count stays 0. CuPy's pool does not tell segments,
blocks that cannot be given back, oversize allocations, nor how much of what it holds is which pool's.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import product
from typing import Any

from devtensor.backend.protocol import MemoryStats

PARTED = (
    "active", "active_bytes", "allocated_bytes", "allocation", "inactive_split", "inactive_split_bytes",
    "requested_bytes", "reserved_bytes", "segment",
)  # fmt: skip
"""What is counted for each pool."""
POOLS = ("all", "large_pool", "small_pool")
WHOLE = ("oversize_allocations", "oversize_segments")
MEASURES = ("current", "peak", "allocated", "freed")
SINGLE = (
    "max_split_size", "num_alloc_retries", "num_device_alloc", "num_device_free", "num_oom_rejections",
    "num_ooms", "num_sync_all_streams",
)  # fmt: skip
HOST = ("active_bytes", "active_requests", "allocated_bytes", "allocations")
TIMES = ("total", "max", "min", "count", "avg")

ROWS = (
    ("allocated_bytes", "Allocated memory"),
    ("active_bytes", "Active memory"),
    ("requested_bytes", "Requested memory"),
    ("reserved_bytes", "GPU reserved memory"),
    ("inactive_split_bytes", "Non-releasable memory"),
    ("allocation", "Allocations"),
    ("active", "Active allocs"),
    ("segment", "GPU reserved segments"),
    ("inactive_split", "Non-releasable allocs"),
    ("oversize_allocations", "Oversize allocations"),
    ("oversize_segments", "Oversize GPU segments"),
)
"""What the table shows, by its title."""
WIDTH = 75
BYTES, COUNTS = ("B  ", "KiB", "MiB", "GiB", "TiB", "PiB"), (" ", "K", "M")


def memory_stats(held: MemoryStats, details: dict[str, int]) -> OrderedDict[str, int]:
    """What is in use and what the allocator holds: now, at most, and summed over time where that is counted.

    Units: bytes, and numbers of allocations.
    """
    names = [f"{name}.{pool}" for name, pool in product(PARTED, POOLS)]
    numbers = dict.fromkeys([f"{name}.{what}" for name, what in product([*names, *WHOLE], MEASURES)], 0)
    numbers |= dict.fromkeys(SINGLE, 0)
    for name in ("allocated_bytes", "active_bytes"):
        numbers |= {f"{name}.all.current": held.allocated, f"{name}.all.peak": held.peak}
    numbers |= {"reserved_bytes.all.current": held.reserved, "reserved_bytes.all.peak": held.reserved}
    return OrderedDict(sorted((numbers | details).items()))


def host_memory_stats(details: dict[str, int]) -> OrderedDict[str, int]:
    """The same of page-locked host memory."""
    numbers = dict.fromkeys([f"{name}.{what}" for name, what in product(HOST, MEASURES)], 0)
    times = [f"{name}.{what}" for name, what in product(("host_alloc_time", "host_free_time"), TIMES)]
    numbers |= dict.fromkeys([*times, "num_host_alloc", "num_host_free"], 0)
    return OrderedDict(sorted((numbers | details).items()))


def nested(numbers: dict[str, int]) -> dict[str, Any]:
    """Numbers whose names are taken apart at the dots."""
    result: dict[str, Any] = {}
    for name, count in numbers.items():
        *groups, last = name.split(".")
        place = result
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = count
    return result


def scaled(count: int, like: int, units: tuple[str, ...], step: int, most: int) -> str:
    """A number in the unit in which `like` has few digits."""
    place = 0
    while like >= most and place < len(units) - 1:
        like, count, place = like // step, count // step, place + 1
    return f"{count:>{7 if units is COUNTS else 6}d} {units[place]}" + (" " if units is COUNTS else "")


def row(title: str, stats: dict[str, int], name: str, like: str) -> str:
    """A line of the table; units are those that suit the numbers of `like`."""
    units, step, most = (BYTES, 1024, 768 * 1024) if "_bytes" in name else (COUNTS, 1000, 750 * 1000)
    shown = [scaled(stats[f"{name}.{what}"], stats[f"{like}.{what}"], units, step, most) for what in MEASURES]
    return f" {title:<21} | " + " | ".join(shown) + " "


def memory_summary(
    title: str, index: int, stats: dict[str, int], abbreviated: bool = False, library: str = "devtensor"
) -> str:
    """The numbers of `memory_stats` as a table for people; `abbreviated` leaves out the parts by pool."""
    heading = f"{library} {title} memory summary, device ID {index}"
    problems = f"{title} OOMs: {stats['num_ooms']:<12d} | {'':6} "
    problems += f"{'cuda' if title == 'CUDA' else ''}Malloc retries: {stats['num_alloc_retries']:<8d}"
    columns = (f"{name:<10}" for name in ("Cur Usage", "Peak Usage", "Tot Alloc", "Tot Freed"))
    lines = ["=" * WIDTH, f" {'':16} {heading}", "-" * WIDTH, f"  {'':9} {problems}", "=" * WIDTH]
    lines.append(f"        {'Metric':<14} | " + " | ".join(columns) + " ")
    for name, what in ROWS:
        lines.append("-" * WIDTH)
        if name in WHOLE:
            lines.append(row(what, stats, name, name))
            continue
        whole = f"{name}.all"
        lines.append(row(what, stats, whole, whole))
        if not abbreviated:
            for pool in ("large", "small"):
                lines.append(row(f"      from {pool} pool", stats, f"{name}.{pool}_pool", whole))
    lines.append("=" * WIDTH)
    return "".join(f"|{line:<{WIDTH}}|\n" for line in lines)
