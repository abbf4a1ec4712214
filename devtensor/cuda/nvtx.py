"""Marks for NVIDIA's profilers: taken, and shown to nobody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["mark", "range", "range_pop", "range_push"]

_depth = [0]


def range_push(msg: str) -> int:
    """Open a range; returns how many were open."""
    _depth[0] += 1
    return _depth[0] - 1


def range_pop() -> int:
    """Close the innermost range; returns how many are left open."""
    _depth[0] = max(0, _depth[0] - 1)
    return _depth[0]


def mark(msg: str) -> None:
    """Mark a moment."""


@contextmanager
def range(msg: str, *args: object, **kwargs: object) -> Iterator[None]:
    """A range that lasts as long as the block."""
    range_push(msg.format(*args, **kwargs))
    try:
        yield
    finally:
        range_pop()
