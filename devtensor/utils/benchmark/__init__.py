"""Timers for small pieces of code."""

from __future__ import annotations

from devtensor.utils.benchmark.compare import Compare
from devtensor.utils.benchmark.timer import Measurement, Timer, timer

__all__ = ["Compare", "Measurement", "Timer", "timer"]
