"""What the steps of optimizers tell their kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from devtensor_cupy.compile.steps import AMSGRAD, CENTERED, DECOUPLED, MAXIMIZE, NESTEROV

BITS = {
    "maximize": MAXIMIZE,
    "nesterov": NESTEROV,
    "decoupled_weight_decay": DECOUPLED,
    "centered": CENTERED,
    "amsgrad": AMSGRAD,
}


@dataclass(frozen=True)
class Step:
    """A rule's step: its hyperparameters in the op's order, and which of the lists is the first of counts.

    The kernel `advance` moves the counts on before the step, or behind it if the step wants them as the one
    before has left them. `tells` are the places of the rule's own numbers that it is told.
    """

    hyperparameters: str
    counts: int
    advance: str = "steps_advance"
    tells: tuple[int, ...] = ()
    behind: bool = False

    def numbers(self, values: Sequence[Any]) -> tuple[list[float], float, int]:
        """The rule's own numbers, pairs one after the other; the weight decay, and the flags."""
        own, decay, flags = [], 0.0, 0
        for name, value in zip(self.hyperparameters.split(), values, strict=True):
            if name == "weight_decay":
                decay = value
            elif name in BITS:
                flags |= BITS[name] if value else 0
            else:
                own += value if isinstance(value, (tuple, list)) else [value]
        return own, decay, flags


STEPS = {
    "sgd": Step("momentum dampening weight_decay nesterov maximize", 3),
    "asgd": Step("lambd alpha t0 weight_decay maximize", 3, "asgd_advance", (0, 1, 2), behind=True),
    "rprop": Step("etas step_sizes maximize", 4),
    "adam": Step("betas eps weight_decay amsgrad decoupled_weight_decay maximize", 5),
    "adamax": Step("betas eps weight_decay maximize", 4),
    "nadam": Step(
        "betas eps weight_decay momentum_decay decoupled_weight_decay maximize", 4, "nadam_advance", (0, 3)
    ),
    "radam": Step("betas eps weight_decay decoupled_weight_decay maximize", 4),
    "adagrad": Step("lr_decay eps weight_decay maximize", 3),
    "rmsprop": Step("alpha eps weight_decay momentum centered maximize", 5),
    "adadelta": Step("rho eps weight_decay maximize", 4),
}
"""The optimizers' steps, by their rules' names."""
