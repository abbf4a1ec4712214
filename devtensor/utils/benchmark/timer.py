"""A statement's time, after waiting for the devices it used."""

from __future__ import annotations

import statistics
import timeit
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from devtensor.accelerator import current_accelerator
from devtensor.accelerator import synchronize as wait_for_accelerator
from devtensor.functions.settings import get_num_threads, set_num_threads

__all__ = ["Measurement", "Timer", "timer"]


def timer() -> float:
    """Seconds by the host's clock, after the accelerator, if there is one, has done all work."""
    if current_accelerator() is not None:
        wait_for_accelerator()
    return timeit.default_timer()


@dataclass
class Measurement:
    """What a Timer measured.

    Units: seconds for one run of the statement.
    """

    number_per_run: int
    raw_times: list[float]
    label: str | None = None
    sub_label: str | None = None
    description: str | None = None
    num_threads: int = 1
    times: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.times = [time / self.number_per_run for time in self.raw_times]

    @property
    def mean(self) -> float:
        """The mean time."""
        return statistics.fmean(self.times)

    @property
    def median(self) -> float:
        """The middle time."""
        return statistics.median(self.times)

    @property
    def iqr(self) -> float:
        """How far apart the quarters are that the middle half lies between."""
        if len(self.times) < 2:
            return 0.0
        quarters = statistics.quantiles(self.times, n=4)
        return quarters[2] - quarters[0]

    def __repr__(self) -> str:
        name = " ".join(filter(None, (self.label, self.sub_label, self.description))) or "statement"
        runs = f"{len(self.times)} measurements of {self.number_per_run} runs"
        return f"<Measurement of {name}: median {self.median * 1e6:.2f} us, {runs}>"


class Timer:
    """Times a statement with PyTorch's arguments.

    Example: `Timer("x @ x", globals={"x": x}).blocked_autorange()`
    """

    def __init__(
        self,
        stmt: str = "pass",
        setup: str = "pass",
        global_setup: str = "",
        timer: Callable[[], float] = timer,
        globals: dict[str, Any] | None = None,
        label: str | None = None,
        sub_label: str | None = None,
        description: str | None = None,
        env: str | None = None,
        num_threads: int = 1,
        language: str = "python",
    ) -> None:
        self.names = {"label": label, "sub_label": sub_label, "description": description}
        self.num_threads = num_threads
        self._timer = timeit.Timer(stmt, setup, timer, dict(globals or {}))

    def _measured(self, number: int, times: list[float]) -> Measurement:
        return Measurement(number, times, num_threads=self.num_threads, **self.names)

    def timeit(self, number: int = 1000000) -> Measurement:
        """One measurement of `number` runs, after a few to warm up."""
        self._timer.timeit(max(number // 100, 2))
        return self._measured(number, self._with_threads(lambda: [self._timer.timeit(number)]))

    def blocked_autorange(self, callback: Any = None, min_run_time: float = 0.2) -> Measurement:
        """Measurements of as many runs as take a hundredth of `min_run_time`, until that time is over."""

        def measure() -> list[float]:
            nonlocal number
            while (taken := self._timer.timeit(number)) < min_run_time / 100:
                number *= 10 if taken <= min_run_time / 1000 else 2
            times = []
            while sum(times) < min_run_time:
                times.append(self._timer.timeit(number))
            return times

        number = 1
        times = self._with_threads(measure)
        return self._measured(number, times)

    def _with_threads(self, measure: Callable[[], list[float]]) -> list[float]:
        before = get_num_threads()
        set_num_threads(self.num_threads)
        try:
            return measure()
        finally:
            set_num_threads(before)
