"""Every case of every kernel."""

from __future__ import annotations

from functools import cache

from cuda_sources import array_cases, tensor_cases
from cuda_sources.running import Case


@cache
def cases_by_entry() -> dict[str, list[Case]]:
    """All cases, by the kernel that they launch; running one leaves its arrays as they are."""
    found: dict[str, list[Case]] = {}
    for case in [*tensor_cases.cases(), *array_cases.cases()]:
        found.setdefault(case.entry, []).append(case)
    return found
