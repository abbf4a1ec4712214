"""These tests run where the stand-in takes CuPy's place, which `tests/cuda/test_standin.py` sees to."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

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
def reddens(monkeypatch):
    """Asserts that a check passes, and fails with a fault in a name's place in a module."""

    def plant(module, where, fault, check):
        check()
        monkeypatch.setattr(module, where, fault)
        with pytest.raises(AssertionError):
            check()

    return plant


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


@pytest.fixture
def worked(monkeypatch) -> Iterator[list[str]]:
    """The ops whose kernels ran, one after the other; views, which launch nothing, are left out."""
    from devtensor.core.op import OPS
    from devtensor.core.plan import forget
    from devtensor_cupy import kernels

    names: list[str] = []
    specialise = kernels.specialise

    def heard(name, kernel, dtype):
        found = specialise(name, kernel, dtype)
        if found is None or (name in OPS and OPS[name].view):
            return found

        def run(*arguments, **named):
            names.append(name)
            return found(*arguments, **named)

        return run

    forget("cuda")
    monkeypatch.setattr(kernels, "specialise", heard)
    yield names
    monkeypatch.undo()
    forget("cuda")
