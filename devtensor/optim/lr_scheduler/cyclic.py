"""CyclicLR: up and down, again and again."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from devtensor.core.errors import ArgumentError
from devtensor.optim.lr_scheduler.lambdas import attributes
from devtensor.optim.lr_scheduler.momentum import begin_cycle, set_momentum, uses_beta1
from devtensor.optim.lr_scheduler.schedule import LRScheduler, checked_optimizer, per_group, set_lr
from devtensor.optim.optimizer import Optimizer

# The modes: what the height of a cycle is multiplied by, from gamma and a count; and what is counted.
MODES: dict[str, tuple[Callable[[float, float], float], str]] = {
    "triangular": (lambda gamma, count: 1.0, "cycle"),
    "triangular2": (lambda gamma, count: 1 / 2.0 ** (count - 1), "cycle"),
    "exp_range": (lambda gamma, count: gamma**count, "iterations"),
}


class CyclicLR(LRScheduler):
    """The learning rate climbs from `base_lr` to `max_lr` and back along straight lines, momentum falls and
    climbs against it.

    Call `step()` after every batch; a cycle takes step_size_up + step_size_down of them. Its height is
    multiplied by 1, by half as much each cycle, or by gamma^step in the modes "triangular", "triangular2" and
    "exp_range", or by `scale_fn` of the number of the cycle or of the step, by `scale_mode` ("cycle" or
    "iterations").

    Source: Smith 2017.
    Errors: ArgumentError for an unknown mode, and for an optimizer without momentum if that is cycled.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = checked_optimizer(optimizer)
        if mode not in list(MODES) and scale_fn is None:
            raise ArgumentError(
                f"[CyclicLR] mode is invalid and scale_fn is None: {mode!r}; use one of {', '.join(MODES)}"
            )
        base_lrs = per_group("base_lr", optimizer, base_lr)
        self.max_lrs = per_group("max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for lr, group in zip(base_lrs, optimizer.param_groups, strict=True):
                set_lr(group, lr)
        up = float(step_size_up)
        self.total_size = up + (up if step_size_down is None else float(step_size_down))
        self.step_ratio = up / self.total_size
        self.mode, self.gamma = mode, gamma
        self._scale_fn_custom: Any = scale_fn
        self.scale_mode = scale_mode if scale_fn is not None else MODES[mode][1]
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.use_beta1 = uses_beta1(optimizer)
            self.base_momentums, self.max_momentums = begin_cycle(
                optimizer, base_momentum, max_momentum, last_epoch
            )
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """What the height of the cycle is multiplied by."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        return MODES[self.mode][0](self.gamma, x)

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        done = 1.0 + self.last_epoch / self.total_size - cycle
        height = done / self.step_ratio if done <= self.step_ratio else (done - 1) / (self.step_ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            momenta = zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True)
            for group, low, high in momenta:
                set_momentum(group, high - (high - low) * height * scale)
        return [
            low + (high - low) * height * scale for low, high in zip(self.base_lrs, self.max_lrs, strict=True)
        ]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and a `scale_fn` that has no attributes to save."""
        custom = self._scale_fn_custom
        return super().state_dict() | {"_scale_fn_custom": None if custom is None else attributes(custom)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "_scale_fn_custom"})
        saved = state_dict["_scale_fn_custom"]
        if saved is not None:
            self._scale_fn_custom.__dict__.update(saved)
