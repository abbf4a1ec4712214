"""What a profiler holds: events with their times, and averages of those alike as a table."""

from __future__ import annotations

import gzip
import json
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

from devtensor.core.errors import ArgumentError
from devtensor.core.state import Layer
from devtensor.core.tensor import Tensor


@dataclass(eq=False)
class Event:
    """An op, or a block of `record_function`, from `start` to `end`, in nanoseconds."""

    name: str
    start: int
    end: int = 0
    inner: int = 0
    """Time of the events within this one."""
    shapes: tuple = ()
    stack: tuple = ()
    memory: int = 0
    """Bytes of the results."""


class Recorder(Layer):
    """The topmost layer: times every op, and what it calls, on the thread that profiles.

    On a device that works asynchronously the time is that of the launch.
    """

    rank = -100

    def __init__(self, record_shapes: bool, profile_memory: bool, with_stack: bool) -> None:
        self.events: list[Event] = []
        self._open: list[Event] = []
        self._shapes, self._memory, self._stack = record_shapes, profile_memory, with_stack

    def begin(self, name: str, inputs: Iterable = ()) -> Event:
        """Open an event within the one that is open."""
        event = Event(name, perf_counter_ns())
        if self._shapes:
            event.shapes = tuple(tuple(value.shape) for value in inputs if isinstance(value, Tensor))
        if self._stack:
            event.stack = tuple(traceback.format_stack(limit=12)[:-2])
        self._open.append(event)
        self.events.append(event)
        return event

    def end(self, event: Event) -> None:
        """Close an event; its time counts as its parent's inner time."""
        event.end = perf_counter_ns()
        self._open.remove(event)
        if self._open:
            self._open[-1].inner += event.end - event.start

    def call(self, op: Any, inputs: tuple, params: tuple, below: Any) -> Any:
        event = self.begin(f"devtensor::{op.name}", inputs)
        try:
            made = below(op, inputs, params)
        finally:
            self.end(event)
        if self._memory:
            event.memory = sum(
                t.numel() * t.element_size() for t in (made if isinstance(made, tuple) else (made,))
            )
        return made

    def write(self, dst: Any, src: Any, below: Any) -> None:
        event = self.begin("devtensor::write", (dst, src))
        try:
            below(dst, src)
        finally:
            self.end(event)


@dataclass
class Average:
    """Events alike, together; times in microseconds."""

    key: str
    input_shapes: tuple = ()
    stack: tuple = ()
    count: int = 0
    cpu_time_total: float = 0.0
    self_cpu_time_total: float = 0.0
    cpu_memory_usage: int = 0

    @property
    def cpu_time(self) -> float:
        """The mean time of one."""
        return self.cpu_time_total / self.count

    def take(self, event: Event) -> None:
        """Count one event more."""
        whole = (event.end - event.start) / 1e3
        self.count += 1
        self.cpu_time_total += whole
        self.self_cpu_time_total += whole - event.inner / 1e3
        self.cpu_memory_usage += event.memory


SORTABLE = ("cpu_time_total", "self_cpu_time_total", "cpu_time", "count", "cpu_memory_usage")
"""What can be sorted by; names of a device's times and memory mean the host's, for none are counted apart."""


def sorted_by(name: str) -> str:
    """The number that a name of PyTorch's, of the host or a device, sorts by.

    Errors: ArgumentError for what cannot be sorted by.
    """
    found = name.replace("cuda", "cpu").replace("device", "cpu")
    found = found.removeprefix("self_") if found.endswith("memory_usage") else found
    if found not in SORTABLE:
        raise ArgumentError(f"[table] sort_by is {name!r}; needs one of {', '.join(SORTABLE)}")
    return found


class Averages(list):
    """Averages by name, and by shapes or stacks where asked; `print(averages.table(sort_by=...))`."""

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int = 75,
        max_name_column_width: int = 55,
        header: str | None = None,
        top_level_events_only: bool = False,
    ) -> str:
        """A row for each, the largest first.

        Errors: ArgumentError for what cannot be sorted by.
        """
        number = sorted_by(sort_by) if sort_by else None
        rows = sorted(self, key=lambda each: -getattr(each, number)) if number else list(self)
        total = sum(each.self_cpu_time_total for each in self) or 1.0
        width = min(max([4, *(len(each.key) for each in self)]), max_name_column_width)
        heads = ("Self CPU %", "Self CPU", "CPU total", "CPU time avg", "# of Calls", "CPU Mem")
        lines = [header] if header else []
        lines.append(f"{'Name':<{width}}" + "".join(f"{head:>14}" for head in heads) + "  Input Shapes")
        lines.append("-" * len(lines[-1]))
        for each in rows if row_limit < 0 else rows[:row_limit]:
            cells = (
                f"{each.self_cpu_time_total / total:.2%}", _spelt(each.self_cpu_time_total),
                _spelt(each.cpu_time_total), _spelt(each.cpu_time), str(each.count),
                f"{each.cpu_memory_usage} b",
            )  # fmt: skip
            shown = "".join(f"{cell:>14}" for cell in cells)
            lines.append(f"{each.key[:width]:<{width}}{shown}  {list(each.input_shapes) or ''}".rstrip())
        lines.append(f"Self CPU time total: {_spelt(total)}")
        return "\n".join(lines)

    def total_average(self) -> Average:
        """All of them together."""
        whole = Average("Total")
        for each in self:
            whole.count += each.count
            whole.cpu_time_total += each.cpu_time_total
            whole.self_cpu_time_total += each.self_cpu_time_total
            whole.cpu_memory_usage += each.cpu_memory_usage
        return whole


def _spelt(microseconds: float) -> str:
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if microseconds >= size:
            return f"{microseconds / size:.3f}{unit}"
    return f"{microseconds:.3f}us"


def averages(events: Iterable[Event], by_shape: bool = False, stack_depth: int = 0) -> Averages:
    """Events alike taken together, in the order in which the first of each came."""
    found: dict[tuple, Average] = {}
    for event in events:
        shapes = event.shapes if by_shape else ()
        stack = event.stack[-stack_depth:] if stack_depth else ()
        average = found.setdefault((event.name, shapes, stack), Average(event.name, shapes, stack))
        average.take(event)
    return Averages(found.values())


def write_trace(events: Iterable[Event], path: Any) -> None:
    """Events as a JSON file that chrome://tracing and Perfetto show."""
    spans = [
        {
            "ph": "X", "cat": "cpu_op", "name": event.name, "pid": 0, "tid": 0, "ts": event.start / 1e3,
            "dur": (event.end - event.start) / 1e3, "args": {"Input Dims": [list(s) for s in event.shapes]},
        }
        for event in events
    ]  # fmt: skip
    opened = gzip.open if str(path).endswith(".gz") else open
    with opened(path, "wt", encoding="utf-8") as file:
        json.dump({"schemaVersion": 1, "traceEvents": spans}, file)
