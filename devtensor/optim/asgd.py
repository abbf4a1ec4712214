"""Averaged stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devtensor.core.dtype import float64
from devtensor.functions.creation import zeros_like
from devtensor.ops.compare import where
from devtensor.ops.create import cast
from devtensor.optim.list_steps import StepOp
from devtensor.optim.update_rule import UpdateRule, no_steps, number


class ASGD(UpdateRule):
    """Gradient descent with a falling learning rate, and the average of its iterates in the state, as `ax`.

    p <- p (1 - lambd eta) - eta g;  ax <- ax + mu (p - ax);  then for the next step
    eta = lr / (1 + lambd lr t)^alpha and mu = 1 / max(1, t - t0).

    Source: Polyak & Juditsky 1992.
    """

    defaults: Mapping[str, Any] = dict(
        lr=1e-2,
        lambd=1e-4,
        alpha=0.75,
        t0=1e6,
        weight_decay=0,
        foreach=None,
        maximize=False,
        differentiable=False,
        capturable=False,
    )
    settings: Mapping[str, Any] = {}
    unchecked = ("alpha",)
    slots: Mapping[str, Any] = dict(step=no_steps, eta=no_steps, mu=lambda p: number(1.0, p), ax=zeros_like)

    def factors(self, h: Any) -> tuple[Any, ...]:
        """eta to begin with, at the first step only; eta and mu of the next step."""
        following = h.lr / (h.t * h.lr * h.lambd + 1) ** h.alpha
        return cast(h.t == 1, float64) * h.lr, following, 1 / (h.t - h.t0).clamp(min=1)

    def update(self, p: Any, g: Any, s: Any, h: Any) -> Any:
        first, following, mu = h.factors
        if h.weight_decay:
            g = g + p * h.weight_decay
        eta = cast(s.eta.add_(first), first.dtype)
        p.mul_(eta * -h.lambd + 1).sub_(g * eta)
        s.ax.copy_(where(s.mu == 1, p, s.ax + (p - s.ax) * s.mu))
        s.eta.copy_(following)
        s.mu.copy_(mu)


ASGD.list_op = StepOp(ASGD, "ax", "lambd alpha t0 weight_decay maximize", counts="step eta mu").tried_with(
    {},
    {"weight_decay": 0.1, "maximize": True, "lambd": 0.2, "t0": 1.0},
    {"alpha": 1.5, "lambd": 0.1, "t0": 2.0, "mu": 1.0},
    {"step": 0.0, "eta": 0.0, "mu": 1.0},
)
