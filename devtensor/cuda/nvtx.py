"""Marks for NVIDIA's profilers, by the backend's NVTX; without it they are counted and shown to nobody."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from devtensor.backend import registry

__all__ = ["mark", "range", "range_end", "range_pop", "range_push", "range_start"]

_depth = [0]
_handles = itertools.count(1)


def _marks() -> Any:
    """NVTX's functions, or None."""
    return getattr(registry.get("cuda"), "marks", None) if registry.available("cuda") else None


def range_push(msg: str) -> int:
    """Open a range; returns how many were open."""
    marks = _marks()
    if marks is not None:
        marks.RangePush(msg)
    _depth[0] += 1
    return _depth[0] - 1


def range_pop() -> int:
    """Close the innermost range; returns how many are left open."""
    marks = _marks()
    if marks is not None:
        marks.RangePop()
    _depth[0] = max(0, _depth[0] - 1)
    return _depth[0]


def range_start(msg: str) -> int:
    """Open a range that any thread may close; returns what `range_end` closes it by."""
    marks = _marks()
    # NVTX's own function takes a color as well, or None.
    return next(_handles) if marks is None else marks.RangeStart(msg, None)


def range_end(range_id: int) -> None:
    """Close a range that `range_start` opened."""
    marks = _marks()
    if marks is not None:
        marks.RangeEnd(range_id)


def mark(msg: str) -> None:
    """Mark a moment."""
    marks = _marks()
    if marks is not None:
        marks.Mark(msg)


@contextmanager
def range(msg: str, *args: object, **kwargs: object) -> Iterator[None]:
    """A range that lasts as long as the block."""
    range_push(msg.format(*args, **kwargs))
    try:
        yield
    finally:
        range_pop()
