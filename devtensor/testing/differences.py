"""What is said of two results that are not close: how many elements differ, and where the most."""

from __future__ import annotations

from typing import Any

import numpy as np


def scalar_report(actual: Any, expected: Any, rtol: float, atol: float) -> str:
    """What is said of two numbers."""
    distance = abs(actual - expected)
    relative = float("inf") if expected == 0 else distance / abs(expected)
    return "\n".join(
        [
            _heading("Scalars", rtol, atol),
            "",
            f"Expected {expected} but got {actual}.",
            f"Absolute difference: {distance}{_allowed(atol, rtol, atol)}",
            f"Relative difference: {relative}{_allowed(rtol, rtol, atol)}",
        ]
    )


def _heading(what: str, rtol: float, atol: float) -> str:
    return f"{what} are not {'close' if rtol or atol else 'equal'}!"


def _allowed(tolerance: float, rtol: float, atol: float) -> str:
    return f" (up to {tolerance} allowed)" if rtol or atol else ""


def tensor_report(
    actual: np.ndarray, expected: np.ndarray, close: np.ndarray, rtol: float, atol: float
) -> str:
    """What is said of two arrays of one shape and dtype, some of whose elements are not close."""
    count, size = int((~close).sum()), close.size
    lines = [
        _heading("Tensor-likes", rtol, atol),
        "",
        f"Mismatched elements: {count} / {size} ({count / size:.1%})",
    ]
    if actual.dtype.itemsize == 1 and actual.dtype.kind not in "biu":
        first = tuple(int(place) for place in np.argwhere(~close)[0])
        return "\n".join([*lines, f"The first mismatched element is at index {first}."])
    distance, relative = _distances(actual, expected, close)
    for name, values, tolerance in (("absolute", distance, atol), ("relative", relative, rtol)):
        worst = _place_of_greatest(values)
        lines.append(
            f"Greatest {name} difference: {values[worst].item()} at index {worst}"
            f"{_allowed(tolerance, rtol, atol)}"
        )
    return "\n".join(lines)


def _distances(actual: np.ndarray, expected: np.ndarray, close: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Differences where elements are not close, absolute and divided by what is expected; else zeros."""
    single = actual.dtype.kind in "biu"
    if single:
        actual, expected = actual.astype(np.int64), expected.astype(np.int64)
    with np.errstate(all="ignore"):
        distance = np.abs(actual - expected)
        # PyTorch divides integers as float32.
        size = np.abs(expected)
        relative = distance.astype(np.float32) / size.astype(np.float32) if single else distance / size
    distance[close] = 0
    relative[close] = 0
    return distance, relative


def _place_of_greatest(values: np.ndarray) -> tuple[int, ...]:
    """The place of the first NaN, or else of the greatest value."""
    unknown = np.isnan(values)
    flat = np.argmax(unknown if unknown.any() else values)
    return tuple(int(place) for place in np.unravel_index(flat, values.shape))
