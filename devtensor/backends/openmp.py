"""OpenMP: threads are the array library's affair."""

from __future__ import annotations

__all__ = ["is_available"]


def is_available() -> bool:
    """Whether OpenMP is used: no."""
    return False
