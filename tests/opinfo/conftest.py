"""What was compared, counted over the run and printed at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

COUNTS = pytest.StashKey[dict]()


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Callable[[Any], None]:
    """Adds one entry's comparison to the counts of its list."""

    def add(found: Any) -> None:
        counts = request.config.stash.setdefault(COUNTS, {})
        counts.setdefault(type(found).__name__, []).append(found)

    return add


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for line in lines_of(config.stash.get(COUNTS, {})):
        terminalreporter.write_line(line)


def lines_of(counts: dict[str, list]) -> Iterator[str]:
    for name, found in counts.items():
        total = sum((each.counts for each in found), Counter())
        agree = sum(not each.differences for each in found)
        kinds = ", ".join(f"{kind} {number}" for kind, number in sorted(total.items()))
        yield f"{name}: {agree} of {len(found)} entries agree; {sum(total.values())} comparisons: {kinds}"
