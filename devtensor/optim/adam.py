"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.optim.update_rule import UpdateRule, zeros_like


class Adam(UpdateRule):
    """Steps scaled by running means of the gradient and of its square.

    m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;  p <- p - lr m' / (sqrt(v') + eps) with the unbiased
    m' = m / (1 - b1^t) and v' = v / (1 - b2^t). `amsgrad` divides by the largest v so far. `weight_decay`
    adds weight_decay * p to the gradient, or, if decoupled, shrinks p by lr * weight_decay beforehand.

    Source: Kingma & Ba 2015, algorithm 1, eps outside the root; AMSGrad: Reddi et al. 2018, on the biased v
    as in PyTorch; decoupled decay: Loshchilov & Hutter 2019, multiplied by lr as in PyTorch.
    """

    defaults = dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False)
    slots = dict(exp_avg=zeros_like, exp_avg_sq=zeros_like)
    decoupled = False

    def __init__(self, params: Any, *args: Any, decoupled_weight_decay: bool | None = None, **kwargs: Any) -> None:
        self.decoupled = type(self).decoupled if decoupled_weight_decay is None else decoupled_weight_decay
        super().__init__(params, *args, **kwargs)
