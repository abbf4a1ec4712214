"""Options, devices and the choice of tests for the whole suite."""

from __future__ import annotations

import importlib
import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # One BLAS thread a process: several processes with several threads each only wait for one another.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest

import devtensor.backend
from devtensor.core.errors import DeviceError
from devtensor.testing import strict

# Device types on which values are compared: "meta" has none.
VALUELESS = {"meta"}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("devtensor")
    group.addoption("--full", action="store_true", help="also run the tests marked full")
    group.addoption("--device", action="append", help="run on this device type only; may be given again")
    group.addoption("--oracle", choices=["numpy", "torch"], default="numpy", help="torch: compare with it")


def pytest_configure(config: pytest.Config) -> None:
    if "strict" not in devtensor.backend.names():
        devtensor.backend.register(strict.backend)
    for name in config.getoption("--device") or []:
        try:
            devtensor.backend.get(name)
        except DeviceError as error:
            raise pytest.UsageError(f"--device {name}: {error}") from error
    if config.getoption("--oracle") == "torch":
        try:
            importlib.import_module("torch")
        except ImportError as error:
            raise pytest.UsageError(f"--oracle torch: {error}; install torch in this environment") from error


def pytest_report_header(config: pytest.Config) -> list[str]:
    return [f"device {line}" for line in str(devtensor.backend.status()).splitlines()[1:]]


def devices(config: pytest.Config) -> list[str]:
    """Names of the device types that the fixture `device` goes through."""
    chosen = config.getoption("--device")
    if chosen:
        return chosen
    status = devtensor.backend.status()
    return [entry.name for entry in status if entry.state == "available" and entry.name not in VALUELESS]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "device" in metafunc.fixturenames:
        marks = {"cuda": [pytest.mark.cuda]}
        names = devices(metafunc.config)
        metafunc.parametrize("device", [pytest.param(name, marks=marks.get(name, [])) for name in names])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what was not asked for or has no device; the closing line counts it as deselected."""
    absent = set()
    if not config.getoption("--full"):
        absent.add("full")
    if not devtensor.backend.available("cuda"):
        absent.add("cuda")
    if config.getoption("--oracle") != "torch":
        absent.add("torch")
    kept, left_out = [], []
    for item in items:
        names = {mark.name for mark in item.iter_markers()} | set(getattr(item, "fixturenames", ()))
        (left_out if names & absent else kept).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


@pytest.fixture(scope="session")
def torch():
    """PyTorch, for comparisons; tests that ask for it run under `--oracle torch` only."""
    return importlib.import_module("torch")
