"""The processor."""

from __future__ import annotations

import platform

__all__ = ["get_cpu_capability"]


def get_cpu_capability() -> str:
    """The processor's architecture; array libraries find out its vector units on their own."""
    return platform.machine()
