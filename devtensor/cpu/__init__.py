"""The torch.cpu-shaped face of the processor: always there, one device, one queue."""

from __future__ import annotations

import importlib
import platform
from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import Any

from devtensor.accelerator import streams
from devtensor.accelerator.streams import Event, Stream, StreamContext
from devtensor.core.device import resolve

__all__ = [
    "Event",
    "Stream",
    "StreamContext",
    "current_device",
    "current_stream",
    "device_count",
    "get_capabilities",
    "is_available",
    "is_initialized",
    "set_device",
    "stream",
    "synchronize",
]


def is_available() -> bool:
    """Whether there is a processor: yes."""
    return True


is_initialized = is_available


def device_count() -> int:
    """How many CPU devices there are: one."""
    return 1


def current_device() -> str:
    """The one device's name."""
    return "cpu"


def set_device(device: Any) -> None:
    """Taken, without effect: there is one device."""


def synchronize(device: Any = None) -> None:
    """Wait until all work is done: it always is."""


def current_stream(device: Any = None) -> Stream:
    """The one queue of work."""
    return streams.current_stream(resolve("cpu"))


def stream(stream: Stream | None) -> StreamContext:
    """A context within which a stream is the current one."""
    return StreamContext(stream)


def get_capabilities() -> Mapping[str, Any]:
    """What the processor calls itself; array libraries find out what it can on their own."""
    return MappingProxyType({"architecture": platform.machine()})


def __getattr__(name: str) -> ModuleType:
    if name == "amp":
        return importlib.import_module("devtensor.cpu.amp")
    raise AttributeError(f"module 'devtensor.cpu' has no attribute {name!r}")
