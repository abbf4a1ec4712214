"""SequentialLR and ChainedScheduler: schedules made of schedules."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from devtensor.core.errors import ArgumentError, ArgumentTypeError
from devtensor.optim.lr_scheduler.plateau import ReduceLROnPlateau
from devtensor.optim.lr_scheduler.schedule import LRScheduler, last_lrs, set_lr
from devtensor.optim.optimizer import Optimizer


class _Composed(LRScheduler):
    """A schedule made of others for one optimizer, whose states are in its own."""

    _schedulers: Sequence[LRScheduler]

    def _check(self, optimizer: Any, schedulers: Sequence[LRScheduler]) -> None:
        """Refuse schedules that cannot be put together.

        Errors: ArgumentTypeError, ArgumentError.
        """
        name = type(self).__name__
        for place, scheduler in enumerate(schedulers):
            if not hasattr(scheduler, "optimizer"):
                raise ArgumentTypeError(
                    f"[{name}] at index {place} should have `optimizer` as its attribute: {scheduler!r}"
                )
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ArgumentError(
                    f"[{name}] does not support `ReduceLROnPlateau`, whose step takes a value: index {place}"
                )
            if scheduler.optimizer is not optimizer:
                raise ArgumentError(
                    f"[{name}] expects all schedulers to belong to the same optimizer, but that of "
                    f"{type(scheduler).__name__} at index {place} is another; build them for one"
                )

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, with the schedules' own states."""
        return super().state_dict() | {"_schedulers": [s.state_dict() for s in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "_schedulers"})
        for scheduler, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(state)


class SequentialLR(_Composed):
    """Each schedule runs until the next milestone; all belong to one optimizer.

    Errors: ArgumentError unless there is one milestone less than there are schedules.
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1
    ) -> None:
        if len(schedulers) < 1:
            raise ArgumentError("[SequentialLR] expects at least one scheduler, but got no scheduler")
        self._check(optimizer, schedulers)
        if len(milestones) != len(schedulers) - 1:
            raise ArgumentError(
                "[SequentialLR] expects number of schedulers provided to be one more than the number of "
                f"milestone points, but got {len(schedulers)} schedulers and {len(milestones)} milestones"
            )
        self._schedulers = schedulers
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        # Building the schedules has moved the learning rates and their own counts: begin anew with the first.
        for group in optimizer.param_groups:
            set_lr(group, group["initial_lr"])
        self.recursive_undo()
        first = schedulers[bisect_right(self._milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def recursive_undo(self, sched: Any = None) -> None:
        """Take back the step that the construction of each schedule made."""
        scheduler = self if sched is None else sched
        if hasattr(scheduler, "_schedulers"):
            for inner in scheduler._schedulers:
                self.recursive_undo(inner)
        elif hasattr(scheduler, "last_epoch"):
            scheduler.last_epoch -= 1

    def step(self) -> None:  # type: ignore[override]
        """Step the schedule whose turn it is."""
        self.last_epoch += 1
        turn = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[turn]
        if turn and self._milestones[turn - 1] == self.last_epoch:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


class ChainedScheduler(_Composed):
    """All schedules step together, each from the learning rates that the one before has left.

    Errors: ArgumentError without schedules, and for those of another optimizer.
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        if len(schedulers) < 1:
            raise ArgumentError(
                "[ChainedScheduler] expects at least one scheduler to be chained, but got no scheduler"
            )
        found = optimizer or getattr(schedulers[0], "optimizer", None)
        self._check(found, schedulers)
        self._schedulers = schedulers
        self.optimizer: Any = found
        self._last_lr = last_lrs(self.optimizer)

    def step(self) -> None:  # type: ignore[override]
        """Step all schedules."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = last_lrs(self.optimizer)
