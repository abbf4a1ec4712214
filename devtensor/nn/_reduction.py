"""How losses are reduced, in the numbers and older flags that scripts of their own losses ask for."""

from __future__ import annotations

from devtensor.core.callers import warn
from devtensor.core.errors import ArgumentError

NUMBERS = {"none": 0, "mean": 1, "elementwise_mean": 1, "sum": 2}


def get_enum(reduction: str) -> int:
    """The number that stands for a reduction.

    Errors: ArgumentError for another name.
    """
    if reduction == "elementwise_mean":
        warn("reduction='elementwise_mean' is deprecated. Please use reduction='mean' instead.")
    if reduction not in NUMBERS:
        raise ArgumentError(
            f"[reduction] {reduction} is not a valid value for reduction; it takes {', '.join(NUMBERS)}"
        )
    return NUMBERS[reduction]


def legacy_get_string(size_average: bool | None, reduce: bool | None, emit_warning: bool = True) -> str:
    """The reduction that the two older flags mean."""
    averaged = size_average is None or size_average
    reduced = reduce is None or reduce
    meant = ("mean" if averaged else "sum") if reduced else "none"
    if emit_warning:
        warn(f"size_average and reduce args will be deprecated, please use reduction='{meant}' instead.")
    return meant


def legacy_get_enum(size_average: bool | None, reduce: bool | None, emit_warning: bool = True) -> int:
    """The number of the reduction that the two older flags mean."""
    return get_enum(legacy_get_string(size_average, reduce, emit_warning))
