"""NVTX's part: what was marked is kept in a list."""

from __future__ import annotations

import itertools

available = True
marked: list[str] = []
"""Every mark, and every range as it begins and ends."""
numbers = itertools.count(1)


def Mark(message: str, id_color: int = -1) -> None:
    marked.append(f"mark {message}")


def RangePush(message: str, id_color: int = -1) -> None:
    marked.append(f"push {message}")


def RangePop() -> None:
    marked.append("pop")


def RangeStart(message: str, color: int | None) -> int:
    number = next(numbers)
    marked.append(f"start {message} as {number}")
    return number


def RangeEnd(range_id: int) -> None:
    marked.append(f"end {range_id}")
