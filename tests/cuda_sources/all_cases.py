"""Every case of every kernel."""

from __future__ import annotations

from functools import cache

from cuda_sources import (
    array_cases,
    channel_cases,
    elementwise_cases,
    norm_cases,
    scatter_cases,
    softmax_cases,
    step_cases,
    tensor_cases,
)
from cuda_sources.running import Case

FAMILIES = (
    tensor_cases, step_cases, array_cases, softmax_cases, norm_cases, channel_cases, scatter_cases,
    elementwise_cases,
)  # fmt: skip


@cache
def cases_by_entry() -> dict[str, list[Case]]:
    """All cases, by the kernel that they launch; running one leaves its arrays as they are."""
    found: dict[str, list[Case]] = {}
    for family in FAMILIES:
        for case in family.cases():
            found.setdefault(case.entry, []).append(case)
    return found
