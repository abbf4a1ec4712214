"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devtensor.core.tensor import Tensor
from devtensor.functions.creation import zeros_like
from devtensor.optim.hyperparameters import bias_correction
from devtensor.optim.list_steps import StepOp
from devtensor.optim.update_rule import Slots, UpdateRule, no_steps, settings


class Adam(UpdateRule):
    """Steps scaled by running means of the gradient and of its square.

    m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;  p <- p - lr m' / (sqrt(v') + eps) with the unbiased
    m' = m / (1 - b1^t) and v' = v / (1 - b2^t). `amsgrad` divides by the largest v so far. `weight_decay`
    adds weight_decay * p to the gradient, or, if decoupled, first shrinks p by the part lr * weight_decay.

    Source: Kingma & Ba 2015, algorithm 1, eps outside the root; AMSGrad: Reddi et al. 2018, on the biased v
    as in PyTorch; decoupled decay: Loshchilov & Hutter 2019, multiplied by lr as in PyTorch.
    """

    defaults: Mapping[str, Any] = dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False)
    settings: Mapping[str, Any] = {
        **settings("foreach maximize capturable differentiable fused"),
        "decoupled_weight_decay": False,
    }
    written = (
        "lr betas eps weight_decay amsgrad maximize foreach capturable differentiable fused "
        "decoupled_weight_decay"
    )
    slots: Mapping[str, Any] = dict(step=no_steps, exp_avg=zeros_like, exp_avg_sq=zeros_like)

    def check(self, values: Mapping[str, Any]) -> None:
        super().check(values)
        kinds = [isinstance(beta, Tensor) for beta in values["betas"]]
        self.refuse(any(kinds) and not all(kinds), "betas must be either both floats or both Tensors")
        loops = values["foreach"] and not values["capturable"]
        for name, given in (("lr", isinstance(values["lr"], Tensor)), ("betas[0]", any(kinds))):
            self.refuse(
                given and loops,
                f"{name} as a Tensor is not supported for capturable=False and foreach=True",
            )

    def slots_of(self, group: dict[str, Any]) -> Slots:
        """The running means, and with `amsgrad` the largest v."""
        return {**self.slots, "max_exp_avg_sq": zeros_like} if group["amsgrad"] else self.slots

    def factors(self, h: Any) -> tuple[Any, ...]:
        """The step's length and eps; both corrections meet there, which saves passes over the arrays."""
        scale = bias_correction(h.betas[1], h.t).sqrt()
        return scale / bias_correction(h.betas[0], h.t) * h.lr, scale * h.eps

    def update(self, p: Any, g: Any, s: Any, h: Any) -> Any:
        (beta1, beta2), (length, eps) = h.betas, h.factors
        if h.weight_decay:
            if h.decoupled_weight_decay:
                p.mul_(1 - h.lr * h.weight_decay)
            else:
                g = g + p * h.weight_decay
        s.exp_avg.add_((g - s.exp_avg).mul_(1 - beta1))
        s.exp_avg_sq.mul_(beta2).add_((g * g).mul_(1 - beta2))
        square = s.exp_avg_sq
        if h.amsgrad:
            square = s.max_exp_avg_sq.maximum_(square)
        return (s.exp_avg / (square.sqrt() + eps)).mul_(length)


Adam.list_op = StepOp(
    Adam,
    "exp_avg exp_avg_sq max_exp_avg_sq",
    "betas eps weight_decay amsgrad decoupled_weight_decay maximize",
).tried_with(
    {},
    {"weight_decay": 0.1, "maximize": True},
    {"weight_decay": 0.1, "decoupled_weight_decay": True, "betas": (0.8, 0.99)},
    {"amsgrad": True, "eps": 1e-3},
)


class AdamW(Adam):
    """Adam with decoupled weight decay.

    Source: Loshchilov & Hutter 2019; see Adam.
    """

    defaults: Mapping[str, Any] = {**Adam.defaults, "weight_decay": 1e-2}
    settings: Mapping[str, Any] = settings("maximize foreach capturable differentiable fused")
    fixed: Mapping[str, Any] = {"decoupled_weight_decay": True}
