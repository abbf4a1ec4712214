"""profile: records ops for whole blocks or, by a schedule, for some of a loop's steps."""

from __future__ import annotations

import enum
import os
import socket
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from devtensor.core.errors import ContractError
from devtensor.core.state import Switch, current
from devtensor.profiler.events import Averages, Event, Recorder, averages, write_trace

__all__ = [
    "ProfilerAction",
    "ProfilerActivity",
    "profile",
    "record_function",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
]


class ProfilerActivity(enum.Enum):
    """Whose work is recorded: what the CPU does; a device's shows as the CPU's launches."""

    CPU = 0
    XPU = 1
    MTIA = 2
    CUDA = 3
    HPU = 4
    PrivateUse1 = 5


class ProfilerAction(enum.Enum):
    """What a profiler does in a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def supported_activities() -> set[ProfilerActivity]:
    """Whose work can be recorded here."""
    return {ProfilerActivity.CPU}


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, skip_first_wait: int = 0
) -> Callable[[int], ProfilerAction]:
    """Cycles of `wait` steps of nothing, `warmup` of recording for nobody and `active` of recording.

    Errors: ContractError for negative counts, or for no active step.
    """
    if min(wait, warmup, repeat, skip_first) < 0 or active <= 0:
        raise ContractError(
            f"[schedule] wait={wait}, warmup={warmup}, active={active}, repeat={repeat}, skip_first="
            f"{skip_first}: needs counts from 0 up, and active above 0"
        )
    if not warmup:
        warnings.warn("Profiler won't be using warmup, this can skew profiler results", stacklevel=2)

    def action(step: int) -> ProfilerAction:
        if step < 0:
            raise ContractError(f"[schedule] step is {step}; it must be non-negative")
        step -= skip_first
        step += wait if skip_first_wait and step >= 0 else 0
        length = wait + warmup + active
        if step < 0 or (repeat and step // length >= repeat):
            return ProfilerAction.NONE
        place = step % length
        if place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD_AND_SAVE if place == length - 1 else ProfilerAction.RECORD

    return action


def _always(step: int) -> ProfilerAction:
    return ProfilerAction.RECORD


def tensorboard_trace_handler(
    dir_name: str,
    worker_name: str | None = None,
    use_gzip: bool = False,
    use_python_export: bool = False,
) -> Callable[[Any], None]:
    """For `on_trace_ready`: writes each trace into a folder, under this process's name.

    `use_python_export` changes nothing: all traces are written by Python.
    """

    def write(profiler: Any) -> None:
        os.makedirs(dir_name, exist_ok=True)
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        name = f"{worker}.{time.time_ns()}.pt.trace.json" + (".gz" if use_gzip else "")
        profiler.export_chrome_trace(os.path.join(dir_name, name))

    return write


class profile:
    """Records the ops of a block: how often each ran, how long, on what shapes.

    With `schedule`, call `step()` after each step of a loop; `on_trace_ready` is called after every cycle.

    Units: nanoseconds on the host's clock; of work on a device, until it was launched.
    Example:
        with profile(record_shapes=True) as recorded:
            model(x)
        print(recorded.key_averages().table(sort_by="cpu_time_total"))
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[Any], Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
        experimental_config: Any = None,
        execution_trace_observer: Any = None,
        acc_events: bool = False,
        use_cuda: bool | None = None,
        custom_trace_id_callback: Callable[[], str] | None = None,
        post_processing_timeout_s: float | None = None,
    ) -> None:
        self.activities = supported_activities() if activities is None else set(activities)
        if not self.activities & set(ProfilerActivity):
            raise ContractError(
                f"[profile] No valid profiler activities found; give some of {list(ProfilerActivity)}"
            )
        self.step_num = 0
        self.on_trace_ready = on_trace_ready
        self._schedule = schedule or _always
        self._options = (record_shapes, profile_memory, with_stack)
        self._recorder: Recorder | None = None
        self._finished: Recorder | None = None

    def start(self) -> None:
        """Begin, as entering the block does."""
        self._turn(self._schedule(self.step_num))

    def stop(self) -> None:
        """End, as leaving the block does; a trace under way is ready then."""
        recording = self._recorder is not None and self._schedule(self.step_num) is not ProfilerAction.WARMUP
        self._turn(ProfilerAction.NONE)
        if recording:
            self._ready()

    def step(self) -> None:
        """A step of the loop is over."""
        before = self._schedule(self.step_num)
        self.step_num += 1
        after = self._schedule(self.step_num)
        if before is ProfilerAction.RECORD_AND_SAVE:
            self._turn(ProfilerAction.NONE)
            self._ready()
        elif before is ProfilerAction.WARMUP and after is not ProfilerAction.WARMUP:
            self._turn(ProfilerAction.NONE)
        self._turn(after)

    def _turn(self, action: ProfilerAction) -> None:
        """Let a recorder listen, or let it go."""
        if action is ProfilerAction.NONE:
            if self._recorder is not None:
                self._recorder.__exit__()
                self._finished, self._recorder = self._recorder, None
        elif self._recorder is None:
            self._recorder = Recorder(*self._options).__enter__()

    def _ready(self) -> None:
        if self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *raised: Any) -> None:
        self.stop()

    def events(self) -> list[Event]:
        """All events of the last trace, in the order in which they began.

        Errors: ContractError before there is a trace.
        """
        held = self._recorder or self._finished
        if held is None:
            raise ContractError(
                "[profile] Profiler is not initialized: nothing was recorded yet; enter it first"
            )
        return [event for event in held.events if event.end]

    def key_averages(
        self, group_by_input_shape: bool = False, group_by_stack_n: int = 0, **ignored: Any
    ) -> Averages:
        """Events alike taken together: by name, and where asked by shapes and by the stack's last lines."""
        return averages(self.events(), group_by_input_shape, group_by_stack_n)

    def export_chrome_trace(self, path: Any) -> None:
        """The last trace as a JSON file, of .gz compressed, that chrome://tracing and Perfetto show."""
        write_trace(self.events(), path)


class record_function(Switch):
    """A block, or a function, that shows under a name of its own; without a profiler, nothing.

    Example:
        with record_function("attention"):
            y = attend(x)
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name
        self.args = args

    def again(self) -> record_function:
        return record_function(self.name, self.args)

    def __enter__(self) -> record_function:
        recorders = [layer for layer in current().layers if isinstance(layer, Recorder)]
        self._opened = [(recorder, recorder.begin(self.name)) for recorder in recorders]
        return self

    def __exit__(self, *raised: Any) -> None:
        for recorder, event in self._opened:
            recorder.end(event)
