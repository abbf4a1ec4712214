"""Helpers around the core: data loading, files, interchange."""

from __future__ import annotations

import importlib
from types import ModuleType

_ROOMS = ("data", "safetensors")


def __getattr__(name: str) -> ModuleType:
    """Load a room of the package when it is first asked for."""
    if name in _ROOMS:
        return importlib.import_module(f"devtensor.utils.{name}")
    raise AttributeError(f"module 'devtensor.utils' has no attribute {name!r}")
