"""RMSprop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devtensor.functions.creation import zeros_like
from devtensor.optim.list_steps import StepOp
from devtensor.optim.update_rule import Slots, UpdateRule, no_steps


class RMSprop(UpdateRule):
    """Steps divided by the root of a running mean of squared gradients.

    v <- alpha v + (1 - alpha) g^2;  p <- p - lr g / (sqrt(v) + eps). If `centered`, the square of the running
    mean of g is taken from v; with `momentum` the quotients go through a velocity first.

    Source: Tieleman & Hinton 2012, lecture 6.5; centered: Graves 2013; eps outside the root, as in PyTorch.
    """

    defaults: Mapping[str, Any] = dict(
        lr=1e-2,
        alpha=0.99,
        eps=1e-8,
        weight_decay=0,
        momentum=0,
        centered=False,
        capturable=False,
        foreach=None,
        maximize=False,
        differentiable=False,
    )
    settings: Mapping[str, Any] = {}
    written = "lr momentum alpha eps centered weight_decay capturable foreach maximize differentiable"

    def slots_of(self, group: dict[str, Any]) -> Slots:
        """The mean square, the velocity if there is momentum, and the mean if it is centered."""
        slots = {"step": no_steps, "square_avg": zeros_like}
        if group.get("momentum"):
            slots["momentum_buffer"] = zeros_like
        if group.get("centered"):
            slots["grad_avg"] = zeros_like
        return slots

    def update(self, p: Any, g: Any, s: Any, h: Any) -> Any:
        if h.weight_decay:
            g = g + p * h.weight_decay
        s.square_avg.mul_(h.alpha).add_((g * g).mul_(1 - h.alpha))
        square = s.square_avg
        if h.centered:
            s.grad_avg.add_((g - s.grad_avg).mul_(1 - h.alpha))
            square = square - s.grad_avg * s.grad_avg
        quotient = g / (square.sqrt() + h.eps)
        if h.momentum:
            return s.momentum_buffer.mul_(h.momentum).add_(quotient) * h.lr
        return quotient.mul_(h.lr)


RMSprop.list_op = StepOp(
    RMSprop, "square_avg momentum_buffer grad_avg", "alpha eps weight_decay momentum centered maximize"
).tried_with({}, {"momentum": 0.9, "weight_decay": 0.1}, {"centered": True, "eps": 1e-2, "maximize": True})
