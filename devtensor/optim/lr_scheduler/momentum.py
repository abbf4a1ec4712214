"""The momentum of optimizers that have one, set by schedules that move it against the learning rate."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import ArgumentError
from devtensor.optim.lr_scheduler.schedule import per_group
from devtensor.optim.optimizer import Optimizer


def uses_beta1(optimizer: Optimizer) -> bool:
    """Whether the momentum is the first of `betas`.

    Errors: ArgumentError if the optimizer has neither that nor `momentum`.
    """
    if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
        raise ArgumentError(
            "[lr_scheduler] optimizer must support momentum or beta1 with `cycle_momentum` option enabled; "
            "pass cycle_momentum=False"
        )
    return "betas" in optimizer.defaults


def set_momentum(group: dict[str, Any], value: Any) -> None:
    """Set a group's momentum."""
    if "betas" in group:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value


def begin_cycle(optimizer: Optimizer, low: Any, high: Any, last_epoch: int) -> tuple[list[Any], list[Any]]:
    """The lowest and highest momenta, one a group; a schedule that begins notes them and starts high."""
    lows, highs = per_group("base_momentum", optimizer, low), per_group("max_momentum", optimizer, high)
    if last_epoch == -1:
        for group, bottom, top in zip(optimizer.param_groups, lows, highs, strict=True):
            set_momentum(group, top)
            group["max_momentum"], group["base_momentum"] = top, bottom
    return lows, highs
