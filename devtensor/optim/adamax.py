"""Adamax."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devtensor.functions.creation import zeros_like
from devtensor.optim.hyperparameters import bias_correction
from devtensor.optim.list_steps import StepOp
from devtensor.optim.update_rule import UpdateRule, no_steps, settings


class Adamax(UpdateRule):
    """Adam with the largest recent gradient in place of the root of the mean square.

    m <- b1 m + (1 - b1) g;  u <- max(b2 u, |g| + eps);  p <- p - lr / (1 - b1^t) m / u.

    Source: Kingma & Ba 2015, section 7.1; eps is PyTorch's.
    """

    defaults: Mapping[str, Any] = dict(lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, foreach=None)
    settings: Mapping[str, Any] = settings("maximize differentiable capturable")
    slots: Mapping[str, Any] = dict(step=no_steps, exp_avg=zeros_like, exp_inf=zeros_like)

    def factors(self, h: Any) -> tuple[Any, ...]:
        """The step's length."""
        return (h.lr / bias_correction(h.betas[0], h.t),)

    def update(self, p: Any, g: Any, s: Any, h: Any) -> Any:
        (beta1, beta2), (length,) = h.betas, h.factors
        if h.weight_decay:
            g = g + p * h.weight_decay
        s.exp_avg.add_((g - s.exp_avg).mul_(1 - beta1))
        s.exp_inf.mul_(beta2).maximum_(g.abs().add_(h.eps))
        return (s.exp_avg / s.exp_inf).mul_(length)


Adamax.list_op = StepOp(Adamax, "exp_avg exp_inf", "betas eps weight_decay maximize").tried_with(
    {}, {"weight_decay": 0.1, "maximize": True}, {"betas": (0.0, 0.3), "eps": 1.5, "step": 0.0}
)
