"""These tests run where the stand-in takes CuPy's place, which `tests/cuda/test_standin.py` sees to."""

from __future__ import annotations

import importlib.util

import pytest

found = importlib.util.find_spec("cupy")
IS_STANDIN = found is not None and "standin" in (found.origin or "")
collect_ignore_glob = [] if IS_STANDIN else ["test_*.py"]


@pytest.fixture(autouse=True)
def clean():
    """No streams, limits, faults or counts from another test."""
    from cupy._machine import counts, current, faults, queues

    yield
    faults.pending = faults.lost = None
    for queue in queues:
        queue.run()
    current.streams.clear()
    current.device = 0
    counts.clear()


@pytest.fixture
def counts():
    """What the stand-in counts: synchronisations, launches, allocations."""
    from cupy._machine import counts

    counts.clear()
    return counts
