"""NAdam."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devtensor.functions.creation import zeros_like
from devtensor.optim.hyperparameters import bias_correction
from devtensor.optim.list_steps import StepOp
from devtensor.optim.update_rule import UpdateRule, no_steps, number, settings


class NAdam(UpdateRule):
    """Adam with Nesterov's momentum.

    With mu_t = b1 (1 - 0.96^(t psi) / 2), psi being `momentum_decay`, and M_t the product of all mu so far:
    p <- p - lr ((1 - mu_t) g / (1 - M_t) + mu_(t+1) m / (1 - M_(t+1))) / (sqrt(v') + eps); m, v, v' as in
    Adam.

    Source: Dozat 2016; m is Adam's mean with the constant b1, as in PyTorch.
    """

    defaults: Mapping[str, Any] = dict(
        lr=2e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        momentum_decay=4e-3,
        decoupled_weight_decay=False,
    )
    settings: Mapping[str, Any] = settings("foreach maximize capturable differentiable")
    written = (
        "lr betas eps weight_decay momentum_decay decoupled_weight_decay maximize foreach capturable "
        "differentiable"
    )
    slots: Mapping[str, Any] = dict(
        step=no_steps, mu_product=lambda p: number(1.0, p), exp_avg=zeros_like, exp_avg_sq=zeros_like
    )

    def factors(self, h: Any) -> tuple[Any, ...]:
        """mu of this step and its negative length, the same of the next, and the root of v's correction."""
        beta1, beta2 = h.betas
        mu, following = (beta1 * (1 - 0.5 * 0.96 ** ((h.t + k) * h.momentum_decay)) for k in (0, 1))
        return mu, (mu - 1) * h.lr, following, following * -h.lr, bias_correction(beta2, h.t).sqrt()

    def update(self, p: Any, g: Any, s: Any, h: Any) -> Any:
        beta1, beta2 = h.betas
        mu, now, following, ahead, scale = h.factors
        if h.weight_decay:
            if h.decoupled_weight_decay:
                p.mul_(1 - h.lr * h.weight_decay)
            else:
                g = g + p * h.weight_decay
        s.mu_product.mul_(mu)
        s.exp_avg.add_((g - s.exp_avg).mul_(1 - beta1))
        s.exp_avg_sq.mul_(beta2).add_((g * g).mul_(1 - beta2))
        now = now / (s.mu_product - 1)
        ahead = ahead / (s.mu_product * following - 1)
        return (g * now).add_(s.exp_avg * ahead).div_((s.exp_avg_sq.sqrt() / scale).add_(h.eps))


NAdam.list_op = StepOp(
    NAdam,
    "exp_avg exp_avg_sq",
    "betas eps weight_decay momentum_decay decoupled_weight_decay maximize",
    counts="step mu_product",
).tried_with(
    {},
    {"weight_decay": 0.1, "maximize": True, "momentum_decay": 0.5},
    {"weight_decay": 0.1, "decoupled_weight_decay": True, "betas": (0.7, 0.9)},
    {"step": 0.0, "mu_product": 1.0, "betas": (0.5, 0.0)},
)
