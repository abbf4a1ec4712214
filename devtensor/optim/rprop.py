"""Rprop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devtensor.core.dtype import float64
from devtensor.functions.creation import zeros_like
from devtensor.ops.compare import where
from devtensor.ops.create import cast
from devtensor.optim.hyperparameters import pair_of
from devtensor.optim.list_steps import StepOp
from devtensor.optim.update_rule import UpdateRule, no_steps, settings


class Rprop(UpdateRule):
    """Steps by the gradient's sign, each element with a step size of its own.

    Where g and the gradient before agree in sign, the step size is multiplied by etas[1]; where they do not,
    by etas[0], and g counts as zero, so that this element rests. Step sizes begin at lr and stay within
    `step_sizes`.

    Source: Riedmiller & Braun 1993, without taking back the last step (iRprop-).
    """

    defaults: Mapping[str, Any] = dict(lr=1e-2, etas=(0.5, 1.2), step_sizes=(1e-6, 50))
    settings: Mapping[str, Any] = settings("capturable foreach maximize differentiable")
    written = "lr etas step_sizes foreach maximize differentiable capturable"
    slots: Mapping[str, Any] = dict(step=no_steps, prev=zeros_like, step_size=zeros_like)

    def check(self, values: Mapping[str, Any]) -> None:
        super().check(values)
        low, high = pair_of("Rprop", "etas", values["etas"])
        self.refuse(
            not 0 < low < 1 < high,
            f"Invalid eta values: {low}, {high}; they must be 0 < etas[0] < 1 < etas[1]",
        )

    def factors(self, h: Any) -> tuple[Any, ...]:
        """The step size to begin with, at the first step only."""
        return (cast(h.t == 1, float64) * h.lr,)

    def update(self, p: Any, g: Any, s: Any, h: Any) -> Any:
        (low, high), (smallest, largest) = h.etas, h.step_sizes
        agree = g * s.prev
        against = agree < 0
        size = s.step_size.add_(h.factors[0])
        size.copy_(where(agree > 0, size * high, where(against, size * low, size))).clamp_(smallest, largest)
        kept = where(against, 0.0, g)
        s.prev.copy_(kept)
        return kept.sign() * size


Rprop.list_op = StepOp(Rprop, "prev step_size", "etas step_sizes maximize").tried_with(
    {}, {"maximize": True, "step": 0.0}, {"etas": (0.2, 3.0), "step_sizes": (1.2, 4.0)}
)
