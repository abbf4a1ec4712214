"""What the stages of gpu_check.py share: numbers that are on disk at once, times, the kind of machine."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULT = "DEVTENSOR_STAGE_RESULT"
"""The environment variable that names the file for a stage's numbers, as JSON."""
DEVICE = "cuda"
ROOT = Path(__file__).resolve().parents[1]


class Numbers(dict):
    """What a stage measured, written whenever something is added, so that one that is stopped has told it."""

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self.write()

    def write(self) -> None:
        path = os.environ.get(RESULT)
        if path:
            draft = Path(path).with_suffix(".draft")
            draft.write_text(json.dumps(self, default=str), encoding="utf-8")
            draft.replace(path)

    def attempt(self, key: str, measure: Callable[[], Any]) -> bool:
        """Note what a measurement gives, or its error, so that others are still taken; whether it went."""
        try:
            self[key] = measure()
        except Exception as error:
            self[key] = f"{type(error).__name__}: {str(error)[:300]}"
            return False
        return True


def is_standin() -> bool:
    """Whether no device is here but what plays one in tests: its times and sizes mean nothing."""
    import cupy

    return "standin" in (cupy.__file__ or "")


def sized(size: int) -> int:
    """A size as measurements need it, small where they mean nothing."""
    return min(size, 64) if is_standin() else size


def few(count: int) -> int:
    """A number of things, a handful where measurements mean nothing."""
    return min(count, 4) if is_standin() else count


def milliseconds(function: Callable[[], object], rounds: int = 20) -> float:
    """The median time of a call on the device, by events."""
    return interleaved({"": function}, rounds)[""]


def interleaved(candidates: dict[str, Callable[[], object]], rounds: int = 20) -> dict[str, float]:
    """The median milliseconds of each candidate on the device, all taking turns.

    Events lie on CUDA's default stream, where CuPy and PyTorch both work.
    """
    import cupy

    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(1 if is_standin() else 3):
        for function in candidates.values():
            function()
    for _ in range(1 if is_standin() else rounds):
        for name, function in candidates.items():
            start, end = cupy.cuda.Event(), cupy.cuda.Event()
            start.record()
            function()
            end.record()
            end.synchronize()
            times[name].append(cupy.cuda.get_elapsed_time(start, end))
    return {name: statistics.median(seen) for name, seen in times.items()}


def host_microseconds(function: Callable[[], object], calls: int = 2000) -> float:
    """What a call costs the host, which does not wait: the best of several runs of calls."""
    import cupy

    best = float("inf")
    for _ in range(5):
        cupy.cuda.runtime.deviceSynchronize()
        begun = time.perf_counter()
        for _ in range(sized(calls)):
            function()
        best = min(best, time.perf_counter() - begun)
        cupy.cuda.runtime.deviceSynchronize()
    return round(best / sized(calls) * 1e6, 2)
