"""RAdam."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devtensor.functions.creation import zeros_like
from devtensor.ops.compare import where
from devtensor.optim.hyperparameters import bias_correction
from devtensor.optim.list_steps import StepOp
from devtensor.optim.update_rule import UpdateRule, no_steps, settings


class RAdam(UpdateRule):
    """Adam that trusts v only when enough gradients stand behind it.

    With rho_inf = 2 / (1 - b2) - 1 and rho = rho_inf - 2 t b2^t / (1 - b2^t): p <- p - lr m' while rho <= 5,
    then p <- p - lr r m' sqrt(1 - b2^t) / (sqrt(v) + eps), where r^2 = (rho - 4) (rho - 2) rho_inf /
    ((rho_inf - 4) (rho_inf - 2) rho).

    Source: Liu et al. 2020; eps outside the root, and plain steps up to rho = 5, as in PyTorch.
    """

    defaults: Mapping[str, Any] = dict(
        lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, decoupled_weight_decay=False
    )
    settings: Mapping[str, Any] = settings("foreach maximize capturable differentiable")
    written = "lr betas eps weight_decay maximize foreach capturable decoupled_weight_decay differentiable"
    slots: Mapping[str, Any] = dict(step=no_steps, exp_avg=zeros_like, exp_avg_sq=zeros_like)

    def factors(self, h: Any) -> tuple[Any, ...]:
        """The length of a plain step, the length of one scaled by v, and whether v is trusted."""
        beta1, beta2 = h.betas
        correction = bias_correction(beta2, h.t)
        last = 2 / (1 - beta2) - 1
        rho = last - beta2**h.t * h.t * 2 / correction
        trusted = rho > 5
        safe = where(trusted, rho, 5.0)
        spread = (last - 4) * (last - 2) or 1.0
        rectified = ((safe - 4) * (safe - 2) * (last / spread) / safe).abs().sqrt()
        plain = h.lr / bias_correction(beta1, h.t)
        return plain, plain * rectified * correction.sqrt(), trusted

    def update(self, p: Any, g: Any, s: Any, h: Any) -> Any:
        (beta1, beta2), (plain, scaled, trusted) = h.betas, h.factors
        if h.weight_decay:
            if h.decoupled_weight_decay:
                p.mul_(1 - h.lr * h.weight_decay)
            else:
                g = g + p * h.weight_decay
        s.exp_avg.add_((g - s.exp_avg).mul_(1 - beta1))
        s.exp_avg_sq.mul_(beta2).add_((g * g).mul_(1 - beta2))
        return s.exp_avg * where(trusted, scaled / (s.exp_avg_sq.sqrt() + h.eps), plain)


RAdam.list_op = StepOp(
    RAdam, "exp_avg exp_avg_sq", "betas eps weight_decay decoupled_weight_decay maximize"
).tried_with(
    {},
    {"weight_decay": 0.1, "maximize": True, "step": 20.0},
    {"weight_decay": 0.1, "decoupled_weight_decay": True, "betas": (0.7, 0.99), "step": 20.0},
    {"step": 0.0, "betas": (0.0, 0.0)},
    {"step": 20.0, "betas": (0.9, 0.6)},
)
