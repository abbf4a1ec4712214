"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devtensor.core.dtype import float64
from devtensor.functions.creation import zeros_like
from devtensor.ops.create import cast
from devtensor.optim.list_steps import StepOp
from devtensor.optim.update_rule import Slots, UpdateRule, no_steps, number, settings


class SGD(UpdateRule):
    """Stochastic gradient descent, with momentum and Nesterov's variant.

    v <- momentum v + (1 - dampening) g;  p <- p - lr v;  with `nesterov` p <- p - lr (g + momentum v).
    `weight_decay` adds weight_decay * p to the gradient first.

    Source: Sutskever et al. 2013, with the learning rate outside the velocity, as in PyTorch; the first
    gradient enters v undampened.
    """

    defaults: Mapping[str, Any] = dict(lr=1e-3, momentum=0, dampening=0, weight_decay=0, nesterov=False)
    settings: Mapping[str, Any] = settings("maximize foreach differentiable fused")

    def check(self, values: Mapping[str, Any]) -> None:
        super().check(values)
        self.refuse(
            values["nesterov"] and (values["momentum"] <= 0 or values["dampening"] != 0),
            "Nesterov momentum requires a momentum and zero dampening",
        )

    def slots_of(self, group: dict[str, Any]) -> Slots:
        """A velocity if there is momentum; a step count only where the first step differs from later ones."""
        if not group["momentum"]:
            return {}
        return {"momentum_buffer": zeros_like} | ({"step": no_steps} if group["dampening"] else {})

    def state_dict(self) -> dict[str, Any]:
        """As for every optimizer; step counts, which PyTorch does not keep, are left out."""
        packed = super().state_dict()
        kept = {key: dict(value) for key, value in packed["state"].items()}
        for key, value in packed["state"].items():
            if "step" in value and not kept[key].pop("step"):
                del kept[key]
        return packed | {"state": kept}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As for every optimizer; PyTorch counts no steps, but a velocity tells that the first is over."""
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state.get(p, {})
                if state.get("momentum_buffer") is None:
                    state.pop("momentum_buffer", None)
                elif group["dampening"] and "step" not in state:
                    state["step"] = number(1.0, p)

    def factors(self, h: Any) -> tuple[Any, ...]:
        """The weight of the gradient in the velocity; the first is not dampened."""
        return (1 - cast(h.t > 1, float64) * h.dampening,)

    def update(self, p: Any, g: Any, s: Any, h: Any) -> Any:
        if h.weight_decay:
            g = g + p * h.weight_decay
        if not h.momentum:
            return g * h.lr
        s.momentum_buffer.mul_(h.momentum)
        if h.dampening:
            s.momentum_buffer.add_(g * h.factors[0])
        else:
            s.momentum_buffer.add_(g)
        return (g + s.momentum_buffer * h.momentum if h.nesterov else s.momentum_buffer) * h.lr


SGD.list_op = StepOp(SGD, "momentum_buffer", "momentum dampening weight_decay nesterov maximize").tried_with(
    {},
    {"weight_decay": 0.1, "maximize": True},
    {"momentum": 0.9, "weight_decay": 0.1},
    {"momentum": 0.9, "nesterov": True, "maximize": True},
    {"momentum": 0.9, "dampening": 0.5},
    {"momentum": 0.9, "dampening": 0.5, "step": 0.0},
)
