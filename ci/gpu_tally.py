"""Our tests on the device, and a plugin of pytest that writes what came of them while they run."""

from __future__ import annotations

import os
import sys
import time
from importlib.util import find_spec
from typing import Any

from gpu_numbers import Numbers

OURS_ARE_ERRORS = "filterwarnings=default\nerror:::devtensor"
EVERY = 1.0
"""Seconds between writes."""
NAMED = 50
MOST, MEMORY = 12, 2 << 30
"""Processes that run tests at most, and the bytes of the device that each may come to hold."""


class Tally:
    """Counts of tests, and for those that failed the line that says why."""

    def __init__(self, told: Numbers) -> None:
        self.told = told
        self.counts: dict[str, Any] = {"ran": 0, "skipped": 0, "failed": 0, "names": {}}
        self.written = 0.0

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed(report)
        elif report.when == "setup" and report.skipped:
            self.counts["skipped"] += 1
        if report.when == "call":
            self.counts["ran"] += 1
        if time.monotonic() - self.written > EVERY:
            self.write()

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.failed(report)

    def pytest_sessionfinish(self) -> None:
        self.write()

    def failed(self, report: Any) -> None:
        self.counts["failed"] += 1
        if len(self.counts["names"]) < NAMED:
            self.counts["names"][report.nodeid] = reason(str(report.longrepr))

    def write(self) -> None:
        self.told["tests"] = self.counts
        self.written = time.monotonic()


def reason(text: str) -> str:
    """The line of a report that says what went wrong."""
    lines = [line[1:].strip() for line in text.splitlines() if line.startswith("E ")]
    return (lines or [text.strip().splitlines()[-1] if text.strip() else ""])[0][:300]


def processes() -> int:
    """How many processes run tests at a time: compiling kernels keeps each busy, and each takes memory."""
    import cupy

    total = cupy.cuda.runtime.getDeviceProperties(0)["totalGlobalMem"]
    return min(MOST, (os.cpu_count() or 1) - 2, total // MEMORY)


def tests(told: Numbers, *arguments: str) -> None:
    """Our tests that need the device; warnings of devtensor's own are errors, others are not ours to judge.

    Errors: SystemExit with pytest's status if one fails.
    """
    if find_spec("pytest") is None:
        told["tests"] = "pytest is not installed; run: python -m pip install pytest pytest-xdist"
        sys.exit(1)
    import pytest

    command = ["-q", "--device", "cuda", "-m", "cuda", "-p", "no:cacheprovider", "-o", OURS_ARE_ERRORS]
    # A package that some tests want and that is not here must not keep the others from running.
    command += ["--continue-on-collection-errors"]
    workers = processes()
    if find_spec("xdist") is not None and workers > 1:
        command += ["--numprocesses", str(workers), "--dist", "loadgroup"]
    status = pytest.main([*command, *arguments], plugins=[Tally(told)])
    if status:
        sys.exit(int(status))
