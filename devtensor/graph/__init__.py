"""Static graphs: captured by listening, printed, checked, saved, and replayed by a backend's kernels."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "Graph": "ir", "GraphNode": "ir", "Value": "ir", "check": "checker", "capture": "program", "trace": "tracing",
    "TensorSpec": "tracing",
}  # fmt: skip
__all__ = ["Graph", "GraphNode", "TensorSpec", "Value", "capture", "check", "trace"]


def __getattr__(name: str) -> Any:
    """Load a room of the package when something in it is first asked for."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"devtensor.graph.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'devtensor.graph' has no attribute {name!r}")
