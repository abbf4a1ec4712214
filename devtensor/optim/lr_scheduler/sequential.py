"""SequentialLR: one schedule after another."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from devtensor.core.errors import ArgumentError
from devtensor.optim.lr_scheduler.plateau import ReduceLROnPlateau
from devtensor.optim.lr_scheduler.schedule import LRScheduler, checked_optimizer, set_lr
from devtensor.optim.optimizer import Optimizer


class SequentialLR(LRScheduler):
    """Each schedule runs until the next milestone; all belong to one optimizer.

    Errors: ArgumentError unless there is one milestone less than there are schedules.
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1
    ) -> None:
        self.optimizer = checked_optimizer(optimizer)
        if not schedulers:
            raise ArgumentError("[SequentialLR] expects at least one scheduler to be chained, but got none")
        if any(isinstance(scheduler, ReduceLROnPlateau) for scheduler in schedulers):
            raise ArgumentError("[SequentialLR] does not support ReduceLROnPlateau, whose step takes a value")
        if any(scheduler.optimizer is not optimizer for scheduler in schedulers):
            raise ArgumentError(
                "[SequentialLR] expects all schedulers to belong to the same optimizer; build them so"
            )
        if len(milestones) != len(schedulers) - 1:
            raise ArgumentError(
                "[SequentialLR] expects number of schedulers provided to be one more than the number of "
                f"milestone points, but got {len(schedulers)} schedulers and {len(milestones)} milestones"
            )
        self._schedulers = schedulers
        self._milestones = list(milestones)
        self.last_epoch = last_epoch + 1
        # Building the schedules has moved the learning rates and their own counts: begin anew with the first.
        for group in optimizer.param_groups:
            set_lr(group, group["initial_lr"])
        for scheduler in schedulers:
            _undo(scheduler)
        first = schedulers[bisect_right(self._milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self, epoch: int | None = None) -> None:
        """Step the schedule whose turn it is."""
        self.last_epoch += 1
        turn = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[turn]
        if turn and self._milestones[turn - 1] == self.last_epoch:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, with the schedules' own states."""
        return super().state_dict() | {"_schedulers": [s.state_dict() for s in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "_schedulers"})
        for scheduler, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(state)


def _undo(scheduler: LRScheduler) -> None:
    """Take back the step that a schedule's construction made."""
    for inner in getattr(scheduler, "_schedulers", ()):
        _undo(inner)
    if not hasattr(scheduler, "_schedulers"):
        scheduler.last_epoch -= 1
