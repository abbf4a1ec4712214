"""OneCycleLR: up, down and out within one run."""

from __future__ import annotations

import math
from typing import Any

from devtensor.core.errors import ArgumentError
from devtensor.optim.lr_scheduler.momentum import begin_cycle, set_momentum, uses_beta1
from devtensor.optim.lr_scheduler.schedule import LRScheduler, checked_optimizer, per_group
from devtensor.optim.optimizer import Optimizer

# The phases of a cycle: from which of the group's values to which, for learning rate and momentum.
RISE = ("initial_lr", "max_lr", "max_momentum", "base_momentum")
FALL = ("max_lr", "min_lr", "base_momentum", "max_momentum")
FALL_BACK = ("max_lr", "initial_lr", "base_momentum", "max_momentum")
FADE = ("initial_lr", "min_lr", "max_momentum", "max_momentum")


class OneCycleLR(LRScheduler):
    """The learning rate rises to `max_lr` and falls far below its first value, the momentum the other way.

    Call `step()` after every batch. The number of batches is `total_steps`, or epochs * steps_per_epoch; the
    rise takes the part `pct_start` of them. It starts from max_lr / div_factor and ends at that divided by
    final_div_factor; `three_phase` falls back to the first value before fading.

    Source: Smith & Topin 2019; two phases by default, as in PyTorch.
    Errors: ArgumentError for lengths and parts that make no cycle, and for a step beyond the last.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = checked_optimizer(optimizer)
        self.total_steps = _length(total_steps, epochs, steps_per_epoch)
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ArgumentError(f"[OneCycleLR] pct_start is {pct_start}; it must be a float between 0 and 1")
        if anneal_strategy not in list(ANNEAL):
            raise ArgumentError(
                f"[OneCycleLR] anneal_strategy is {anneal_strategy!r}; it must be one of {list(ANNEAL)}"
            )
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        self._anneal_func_type = anneal_strategy
        self.cycle_momentum = cycle_momentum
        if last_epoch == -1:
            for group, top in zip(
                optimizer.param_groups, per_group("max_lr", optimizer, max_lr), strict=True
            ):
                group["initial_lr"] = top / div_factor
                group["max_lr"] = top
                group["min_lr"] = group["initial_lr"] / final_div_factor
        if cycle_momentum:
            self.use_beta1 = uses_beta1(optimizer)
            begin_cycle(optimizer, base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        step = self.last_epoch
        if step > self.total_steps:
            raise ArgumentError(
                f"[OneCycleLR] Tried to step {step} times. The specified number of total steps is "
                f"{self.total_steps}"
            )
        start = 0.0
        phase = self._schedule_phases[0]
        for following in self._schedule_phases[1:]:
            if step <= phase["end_step"]:
                break
            start, phase = phase["end_step"], following
        length = phase["end_step"] - start
        part = (step - start) / length if length else 1.0
        anneal = ANNEAL[self._anneal_func_type]
        found = []
        for group in self.optimizer.param_groups:
            found.append(anneal(group[phase["start_lr"]], group[phase["end_lr"]], part))
            if self.cycle_momentum:
                momentum = anneal(group[phase["start_momentum"]], group[phase["end_momentum"]], part)
                set_momentum(group, momentum)
        return found


def _cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) / 2.0 * (math.cos(math.pi * part) + 1)


def _line(start: float, end: float, part: float) -> float:
    return (end - start) * part + start


ANNEAL = {"cos": _cosine, "linear": _line}


def _length(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    """How many steps the cycle takes."""
    given = {"total_steps": total_steps}
    if total_steps is None:
        if epochs is None or steps_per_epoch is None:
            raise ArgumentError(
                "[OneCycleLR] You must define either total_steps OR (epochs AND steps_per_epoch); got neither"
            )
        given = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
    for name, value in given.items():
        if not isinstance(value, int) or value <= 0:
            raise ArgumentError(f"[OneCycleLR] Expected positive integer {name}, but got {value}")
    return math.prod(given.values())  # type: ignore[arg-type]


def _phases(total: int, pct_start: float, three_phase: bool) -> list[dict[str, Any]]:
    rise = float(pct_start * total)
    ends = [(rise - 1, RISE), (2 * rise - 2, FALL_BACK), (total - 1, FADE)] if three_phase else []
    ends = ends or [(rise - 1, RISE), (total - 1, FALL)]
    names = ("start_lr", "end_lr", "start_momentum", "end_momentum")
    return [{"end_step": end, **dict(zip(names, phase, strict=True))} for end, phase in ends]
