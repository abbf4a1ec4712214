"""These tests run where the stand-in takes CuPy's place, which `tests/cuda/test_standin.py` sees to."""

from __future__ import annotations

import importlib.util

import pytest

from cudashim.build import compiler_missing, need

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


@pytest.fixture(scope="session")
def compiler():
    """What kernels of our own need here: g++ builds them."""
    need("g++", compiler_missing())


@pytest.fixture
def launched(monkeypatch) -> list[str]:
    """The names of the kernels of our own that were launched, but for the ones that draw random words."""
    from devtensor_cupy.launching import launcher

    names: list[str] = []
    launch = launcher.launch

    def heard(entry, *arguments, **named):
        if not entry.startswith("philox"):
            names.append(entry.rpartition("_")[0])
        return launch(entry, *arguments, **named)

    monkeypatch.setattr(launcher, "launch", heard)
    return names
