"""LRScheduler: the protocol of all schedules."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from devtensor.core.errors import ArgumentError, ArgumentTypeError
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor
from devtensor.optim.optimizer import Optimizer
from devtensor.optim.subclassing import _to_scalar

EPOCH_DEPRECATION_WARNING = (
    "The epoch parameter in `scheduler.step()` is deprecated where it is not necessary: call "
    "`scheduler.step()` without it. With it the closed form, where there is one, is used in place of the "
    "chainable one."
)


class _enable_get_lr_call:
    """Within it a schedule's `get_lr` does not warn of being called."""

    def __init__(self, o: LRScheduler) -> None:
        self.o = o

    def __enter__(self) -> _enable_get_lr_call:
        self.o._get_lr_called_within_step = True
        return self

    def __exit__(self, *error: object) -> None:
        self.o._get_lr_called_within_step = False


class LRScheduler:
    """Sets the learning rate of each of the optimizer's groups, anew at each `step()`.

    A subclass writes `get_lr`, which gives one learning rate a group, from `self.last_epoch`,
    `self.base_lrs` and `self.optimizer.param_groups`. A learning rate that is a Tensor is written in place.

    Errors: ArgumentTypeError without an Optimizer; KeyError to resume (last_epoch >= 0) where the groups hold
    no initial_lr.
    """

    _get_lr_called_within_step = False
    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = checked_optimizer(optimizer)
        for number, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", _apart(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{number}] when resuming a "
                    "scheduler with last_epoch >= 0; load the optimizer's state first"
                )
        self.base_lrs = [_apart(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        """Set the learning rates of the epoch the schedule begins with."""
        self._step_count = 0
        self._is_initial = True
        self.step()
        self._is_initial = False

    def get_lr(self) -> list[Any]:
        """The learning rates of this step, one a group; a subclass writes it."""
        raise NotImplementedError(f"[{type(self).__name__}] has no get_lr; write the schedule there")

    def get_last_lr(self) -> list[Any]:
        """The learning rates that the last `step()` set, one a group."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Go to the next epoch, or to a given one, and set its learning rates."""
        if self._step_count == 1 and not self._is_initial:
            self._warn_of_order()
        self._step_count += 1
        if epoch is not None:
            warnings.warn(EPOCH_DEPRECATION_WARNING, UserWarning, stacklevel=2)
        self._update_lr(epoch)

    def _warn_of_order(self) -> None:
        """Tell at the first step if the optimizer has made none."""
        if not hasattr(self.optimizer.step, "_wrapped_by_lr_sched"):
            text = (
                "Seems like `optimizer.step()` has been overridden after learning rate scheduler "
                "initialization: nobody can tell whether it comes before `lr_scheduler.step()`, as it should"
            )
        elif not getattr(self.optimizer, "_opt_called", False):
            text = (
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`: the first value of the "
                "schedule is skipped; call `optimizer.step()` first"
            )
        else:
            return
        warnings.warn(text, UserWarning, stacklevel=3)

    def _update_lr(self, epoch: int | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        closed = None if epoch is None else getattr(self, "_get_closed_form_lr", None)
        self._set_lrs(self.get_lr if closed is None else closed)

    def _set_lrs(self, values_of: Callable[[], list[Any]]) -> None:
        """Set the groups' learning rates to what a function gives."""
        with _enable_get_lr_call(self):
            values = values_of()
        if len(values) != len(self.optimizer.param_groups):
            raise ArgumentError(
                f"[{type(self).__name__}] gave {len(values)} learning rates for "
                f"{len(self.optimizer.param_groups)} parameter groups; give one a group"
            )
        for group, lr in zip(self.optimizer.param_groups, values, strict=True):
            set_lr(group, lr)
        self._last_lr = last_lrs(self.optimizer)

    def _warn_outside_step(self) -> None:
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use `get_last_lr()`.",
                UserWarning,
                stacklevel=3,
            )

    def _lrs(self) -> list[Any]:
        """The groups' learning rates as they are."""
        return [_apart(group["lr"]) for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.__dict__.update(state_dict)


def checked_optimizer(optimizer: Any) -> Optimizer:
    """The optimizer, if it is one.

    Errors: ArgumentTypeError.
    """
    if not isinstance(optimizer, Optimizer):
        raise ArgumentTypeError(f"[lr_scheduler] {type(optimizer).__name__} is not an Optimizer; give one")
    return optimizer


def _apart(lr: Any) -> Any:
    """A learning rate that later writes do not change."""
    return lr.detach().clone() if isinstance(lr, Tensor) else lr


def set_lr(group: dict[str, Any], lr: Any) -> None:
    """Set a group's learning rate, in place where it is a Tensor."""
    if isinstance(group["lr"], Tensor):
        with no_grad():
            group["lr"].copy_(_to_scalar(lr))  # type: ignore[attr-defined]
    else:
        group["lr"] = lr


def last_lrs(optimizer: Optimizer) -> list[Any]:
    """The groups' learning rates, apart from later changes."""
    return [_apart(group["lr"]) for group in optimizer.param_groups]


def per_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """A value for each group: one for all, or a list or tuple of one each.

    Errors: ArgumentError if the counts differ.
    """
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [_apart(value) for _ in range(count)]
    if len(value) != count:
        raise ArgumentError(
            f"[lr_scheduler] {name} must have the same length as optimizer.param_groups: expected {count} "
            f"values for {name}, one a group, but got {len(value)}"
        )
    return [_apart(one) for one in value]
