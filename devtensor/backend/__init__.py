"""The backend boundary: what a backend is, and the door through which device types find theirs."""

from __future__ import annotations

import importlib
from types import ModuleType

from devtensor.backend.registry import DeviceStatus, available, get, names, register, status, unregister

__all__ = ["DeviceStatus", "available", "get", "names", "register", "status", "unregister"]


def __getattr__(name: str) -> ModuleType:
    """Import `arraylib` and `protocol` when they are first asked for: using a device needs neither."""
    if name in ("arraylib", "protocol"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
