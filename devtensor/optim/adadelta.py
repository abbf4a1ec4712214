"""Adadelta."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devtensor.functions.creation import zeros_like
from devtensor.optim.list_steps import StepOp
from devtensor.optim.update_rule import UpdateRule, no_steps, settings


class Adadelta(UpdateRule):
    """Steps whose unit comes from the steps before.

    v <- rho v + (1 - rho) g^2;  d = sqrt(u + eps) / sqrt(v + eps) g;  u <- rho u + (1 - rho) d^2;  p <- p -
    lr d.

    Source: Zeiler 2012; the learning rate is PyTorch's.
    """

    defaults: Mapping[str, Any] = dict(lr=1.0, rho=0.9, eps=1e-6, weight_decay=0, foreach=None)
    settings: Mapping[str, Any] = settings("capturable maximize differentiable")
    written = "lr rho eps weight_decay maximize capturable foreach differentiable"
    slots: Mapping[str, Any] = dict(step=no_steps, square_avg=zeros_like, acc_delta=zeros_like)

    def check(self, values: Mapping[str, Any]) -> None:
        super().check(values)
        rho = values["rho"]
        self.refuse(not 0 <= rho <= 1, f"Invalid rho value: {rho}; it must be in [0, 1]")

    def update(self, p: Any, g: Any, s: Any, h: Any) -> Any:
        if h.weight_decay:
            g = g + p * h.weight_decay
        s.square_avg.mul_(h.rho).add_((g * g).mul_(1 - h.rho))
        delta = (s.acc_delta + h.eps).sqrt() / (s.square_avg + h.eps).sqrt() * g
        s.acc_delta.mul_(h.rho).add_((delta * delta).mul_(1 - h.rho))
        return delta * h.lr


Adadelta.list_op = StepOp(Adadelta, "square_avg acc_delta", "rho eps weight_decay maximize").tried_with(
    {}, {"weight_decay": 0.1, "maximize": True}, {"rho": 0.5, "eps": 0.1}, {"rho": 0.0}, {"rho": 1.0}
)
