"""CosineAnnealingWarmRestarts: half a cosine, again and again."""

from __future__ import annotations

import math
from typing import Any

from devtensor.core.errors import ArgumentError
from devtensor.optim.lr_scheduler.schedule import LRScheduler
from devtensor.optim.optimizer import Optimizer


class CosineAnnealingWarmRestarts(LRScheduler):
    """The learning rate falls along half a cosine to `eta_min` in T_0 epochs and starts again, each time for
    `T_mult` times as long.

    `step(epoch)` takes fractions of epochs, such as epoch + batch / batches.

    Source: Loshchilov & Hutter 2017 (SGDR).
    Errors: ArgumentError for lengths that are no positive ints.
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        if not isinstance(T_0, int) or T_0 <= 0:
            raise ArgumentError(f"[CosineAnnealingWarmRestarts] Expected positive integer T_0, but got {T_0}")
        if not isinstance(T_mult, int) or T_mult < 1:
            raise ArgumentError(
                f"[CosineAnnealingWarmRestarts] Expected integer T_mult >= 1, but got {T_mult}"
            )
        if not isinstance(eta_min, (float, int)):
            raise ArgumentError(
                f"[CosineAnnealingWarmRestarts] Expected float or int eta_min, but got {eta_min} of type "
                f"{type(eta_min)}"
            )
        self.T_0 = T_0
        self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        height = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * height for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:  # type: ignore[override]
        """Go to the next epoch, or to a given one, and set its learning rates."""
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        else:
            self._find(epoch)
        self.last_epoch = math.floor(epoch)
        self._set_lrs(self.get_lr)

    def _find(self, epoch: float) -> None:
        """Set how long the run is in which an epoch lies, and how far into it."""
        if epoch < 0:
            raise ArgumentError(f"[CosineAnnealingWarmRestarts] Expected non-negative epoch, but got {epoch}")
        runs = 0
        if self.T_mult > 1 and epoch >= self.T_0:
            runs = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
            self.T_cur = epoch - self.T_0 * (self.T_mult**runs - 1) / (self.T_mult - 1)
        else:
            self.T_cur = epoch % self.T_0
        if self.T_mult > 1 or epoch < self.T_0:
            self.T_i = self.T_0 * self.T_mult**runs
