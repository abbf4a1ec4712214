"""Memory of this process and machine, read where the system tells."""

from __future__ import annotations

import os
import sys

from devtensor.backend.protocol import MemoryStats


def process_memory() -> MemoryStats:
    """Resident memory of the process as `allocated`; zeros on systems that have no POSIX interface for it.

    Units: bytes.
    """
    try:
        import resource
    except ImportError:
        return MemoryStats(0, 0, 0, None)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    page = os.sysconf("SC_PAGE_SIZE")
    resident = peak
    if os.path.exists("/proc/self/statm"):
        with open("/proc/self/statm") as file:
            resident = int(file.read().split()[1]) * page
    return MemoryStats(resident, resident, max(peak, resident), os.sysconf("SC_PHYS_PAGES") * page)
