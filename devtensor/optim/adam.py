"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devtensor.functions.creation import zeros_like
from devtensor.ops.create import cast
from devtensor.optim.update_rule import SETTINGS, Slots, UpdateRule, bias_correction, no_steps


class Adam(UpdateRule):
    """Steps scaled by running means of the gradient and of its square.

    m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;  p <- p - lr m' / (sqrt(v') + eps) with the unbiased
    m' = m / (1 - b1^t) and v' = v / (1 - b2^t). `amsgrad` divides by the largest v so far. `weight_decay`
    adds weight_decay * p to the gradient, or, if decoupled, first shrinks p by the part lr * weight_decay.

    Source: Kingma & Ba 2015, algorithm 1, eps outside the root; AMSGrad: Reddi et al. 2018, on the biased v
    as in PyTorch; decoupled decay: Loshchilov & Hutter 2019, multiplied by lr as in PyTorch.
    """

    defaults: Mapping[str, Any] = dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False)
    settings: Mapping[str, Any] = SETTINGS | dict(decoupled_weight_decay=False)
    slots: Mapping[str, Any] = dict(step=no_steps, exp_avg=zeros_like, exp_avg_sq=zeros_like)

    def slots_of(self, group: dict[str, Any]) -> Slots:
        """The running means, and with `amsgrad` the largest v."""
        return {**self.slots, "max_exp_avg_sq": zeros_like} if group["amsgrad"] else self.slots

    def update(self, p: Any, g: Any, s: Any, h: Any) -> Any:
        beta1, beta2 = h.betas
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
        # Both corrections meet in the factor and in eps: fewer passes over the arrays.
        scale = bias_correction(beta2, h.t).sqrt()
        root = square.sqrt().add_(cast(scale * h.eps, p.dtype))
        return (s.exp_avg / root).mul_(cast(scale / bias_correction(beta1, h.t) * h.lr, p.dtype))


class AdamW(Adam):
    """Adam with decoupled weight decay.

    Source: Loshchilov & Hutter 2019; see Adam.
    """

    defaults: Mapping[str, Any] = {**Adam.defaults, "weight_decay": 1e-2}
    settings: Mapping[str, Any] = {**Adam.settings, "decoupled_weight_decay": True}
