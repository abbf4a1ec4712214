"""Start and stop of NVIDIA's profiler, which a tool around the program listens to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from devtensor.core.device import resolve
from devtensor.core.errors import Unsupported

__all__ = ["profile", "start", "stop"]


def told(name: str) -> None:
    """Let the backend of CUDA tell the profiler.

    Errors: DeviceMissing if there is no device, Unsupported if its backend knows no profiler.
    """
    backend: Any = resolve("cuda").backend
    profiler = getattr(backend, "profiler", None)
    if profiler is None:
        raise Unsupported(f"[cuda.profiler.{name}] the backend of cuda knows no profiler")
    getattr(profiler, name)()


def start() -> None:
    """Let the profiler begin to record."""
    told("start")


def stop() -> None:
    """Let the profiler stop."""
    told("stop")


@contextmanager
def profile() -> Iterator[None]:
    """Within it the profiler records."""
    start()
    try:
        yield
    finally:
        stop()
