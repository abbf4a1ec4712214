"""Schedules that a function gives: of the epoch, for each group."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from devtensor.core.errors import ArgumentTypeError
from devtensor.optim.lr_scheduler.schedule import LRScheduler, checked_optimizer, per_group
from devtensor.optim.optimizer import Optimizer


class _ByFunctions(LRScheduler):
    """A schedule with a function for all groups, or one a group.

    Functions are not saved in the state; objects with `__call__` are, by their attributes.
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1) -> None:
        self.optimizer = checked_optimizer(optimizer)
        self.lr_lambdas: list[Callable[[int], float]] = per_group("lr_lambda", optimizer, lr_lambda)
        for function in self.lr_lambdas:
            if not callable(function):
                raise ArgumentTypeError(
                    f"[{type(self).__name__}] lr_lambda should be a function, but got "
                    f"{type(function).__name__}"
                )
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and functions that have no attributes to save."""
        return super().state_dict() | {"lr_lambdas": [attributes(f) for f in self.lr_lambdas]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "lr_lambdas"})
        for function, saved in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            if saved is not None:
                function.__dict__.update(saved)


class LambdaLR(_ByFunctions):
    """The first learning rate times `lr_lambda(epoch)`; one function, or one a group."""

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        return [base * f(self.last_epoch) for f, base in zip(self.lr_lambdas, self.base_lrs, strict=True)]


class MultiplicativeLR(_ByFunctions):
    """Every epoch the learning rate is multiplied by `lr_lambda(epoch)`; one function, or one a group."""

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        if self._is_initial:
            return self._lrs()
        return [lr * f(self.last_epoch) for f, lr in zip(self.lr_lambdas, self._lrs(), strict=True)]


def attributes(function: Any) -> dict[str, Any] | None:
    """What a state saves of an object that is called; None for functions."""
    return None if isinstance(function, FunctionType) else dict(function.__dict__)
