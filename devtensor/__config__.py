"""How devtensor was put together on this machine, as text."""

from __future__ import annotations

import os

from devtensor.backend import registry
from devtensor.functions.settings import get_num_interop_threads, get_num_threads
from devtensor.version import __version__

__all__ = ["parallel_info", "show"]


def show() -> str:
    """The version, and what each usable backend says of itself."""
    lines = [f"devtensor {__version__}"]
    for status in registry.status():
        lines.append(f"  - {status.name}: {status.state}")
        if status.state == "available":
            told = getattr(registry.get(status.name), "describe", dict)()
            lines += [f"    {name}: {value}" for name, value in told.items()]
    return "\n".join(lines)


def parallel_info() -> str:
    """Threads that libraries were asked to use, and cores that there are."""
    rows = {
        "get_num_threads()": get_num_threads(),
        "get_num_interop_threads()": get_num_interop_threads(),
        "os.cpu_count()": os.cpu_count(),
    }
    return "\n".join(f"{name} : {value}" for name, value in rows.items())
