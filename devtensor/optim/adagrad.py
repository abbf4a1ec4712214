"""Adagrad."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from devtensor.functions.creation import full_like
from devtensor.optim.list_steps import StepOp
from devtensor.optim.update_rule import Slots, UpdateRule, no_steps, settings


def _started(p: Any, value: float) -> Any:
    """The first sum of squares; both parts of a complex number have one."""
    return full_like(p, complex(value, value) if p.is_complex() else value)


class Adagrad(UpdateRule):
    """Steps divided by the root of the sum of all squared gradients.

    v <- v + g^2;  p <- p - lr / (1 + (t - 1) lr_decay) g / (sqrt(v) + eps). The state exists from the
    beginning, v as `initial_accumulator_value`.

    Source: Duchi, Hazan & Singer 2011.
    """

    defaults: Mapping[str, Any] = dict(
        lr=1e-2, lr_decay=0, weight_decay=0, initial_accumulator_value=0, eps=1e-10, foreach=None
    )
    settings: Mapping[str, Any] = settings("maximize differentiable fused")
    written = "lr lr_decay eps weight_decay initial_accumulator_value foreach maximize differentiable fused"

    def __init__(self, params: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(params, *args, **kwargs)
        for group in self.param_groups:
            for p in group["params"]:
                self._begun(p, self.slots_of(group))

    def slots_of(self, group: dict[str, Any]) -> Slots:
        """The sum of squares, which begins with the optimizer's own value for all groups."""
        return {"step": no_steps, "sum": partial(_started, value=self.defaults["initial_accumulator_value"])}

    def share_memory(self) -> None:
        """Move the sums of squares to memory that processes share."""
        for state in self.state.values():
            state["sum"].share_memory_()

    def factors(self, h: Any) -> tuple[Any, ...]:
        """The step's length."""
        return (h.lr / ((h.t - 1) * h.lr_decay + 1),)

    def update(self, p: Any, g: Any, s: Any, h: Any) -> Any:
        if h.weight_decay:
            g = g + p * h.weight_decay
        s.sum.add_(g * g)
        return (g / (s.sum.sqrt() + h.eps)).mul_(h.factors[0])


Adagrad.list_op = StepOp(Adagrad, "sum", "lr_decay eps weight_decay maximize").tried_with(
    {}, {"lr_decay": 0.1, "weight_decay": 0.1, "maximize": True}
)
