"""The older spelling of the profiler, and a range around every op."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.state import Layer
from devtensor.cuda import nvtx
from devtensor.profiler import profiler
from devtensor.profiler.events import Average, Averages, Event
from devtensor.profiler.profiler import record_function

__all__ = ["emit_nvtx", "profile", "record_function"]


class profile:
    """Records the ops of a block, if `enabled`; `devtensor.profiler.profile` can do more."""

    def __init__(
        self,
        enabled: bool = True,
        *,
        use_cuda: bool = False,
        use_device: str | None = None,
        record_shapes: bool = False,
        with_flops: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_modules: bool = False,
        use_kineto: bool = False,
        use_cpu: bool = True,
        experimental_config: Any = None,
        acc_events: bool = False,
        custom_trace_id_callback: Callable[[], str] | None = None,
    ) -> None:
        self.enabled = enabled
        self._inner = profiler.profile(
            record_shapes=record_shapes, profile_memory=profile_memory, with_stack=with_stack
        )

    def __enter__(self) -> profile:
        if self.enabled:
            self._inner.start()
        return self

    def __exit__(self, *raised: Any) -> None:
        if self.enabled:
            self._inner.stop()

    @property
    def function_events(self) -> list[Event]:
        """All events, in the order in which they began."""
        return self._inner.events()

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0) -> Averages:
        """Events alike taken together."""
        return self._inner.key_averages(group_by_input_shape, group_by_stack_n)

    def total_average(self) -> Average:
        """All events together."""
        return self.key_averages().total_average()

    @property
    def self_cpu_time_total(self) -> float:
        """The time of all events, in microseconds."""
        return self.total_average().self_cpu_time_total

    def table(self, sort_by: str | None = None, row_limit: int = 100, **options: Any) -> str:
        """A row for each kind of event."""
        return self.key_averages().table(sort_by, row_limit, **options)

    def export_chrome_trace(self, path: Any) -> None:
        """The events as a JSON file that chrome://tracing and Perfetto show."""
        self._inner.export_chrome_trace(path)


class emit_nvtx(Layer):
    """Puts every op of a block into a range of its name, of `devtensor.cuda.nvtx`."""

    rank = -101

    def __init__(self, enabled: bool = True, record_shapes: bool = False) -> None:
        self.enabled = enabled
        self.record_shapes = record_shapes

    def __enter__(self) -> Any:
        return super().__enter__() if self.enabled else self

    def call(self, op: Any, inputs: tuple, params: tuple, below: Any) -> Any:
        shapes = [list(value.shape) for value in inputs] if self.record_shapes else ""
        nvtx.range_push(f"{op.name}{shapes and f', sizes = {shapes}'}")
        try:
            return below(op, inputs, params)
        finally:
            nvtx.range_pop()
