"""Static graphs: captured by listening, printed, checked, and replayed by a backend's kernels."""

from __future__ import annotations

import importlib
from typing import Any

_ROOMS = {
    "ir": ("Graph", "GraphNode", "Value"),
    "checker": ("check",),
    "program": ("capture",),
    "tracing": ("TensorSpec", "trace"),
}
__all__ = [name for names in _ROOMS.values() for name in names]


def __getattr__(name: str) -> Any:
    """Load a room of the package when something in it is first asked for."""
    for room, names in _ROOMS.items():
        if name in names:
            return getattr(importlib.import_module(f"devtensor.graph.{room}"), name)
    raise AttributeError(f"module 'devtensor.graph' has no attribute {name!r}")
