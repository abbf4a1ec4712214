"""UpdateRule: what turns an optimizer's mathematics into an optimizer."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from math import log
from types import SimpleNamespace
from typing import Any

from devtensor.core.dtype import float32, float64
from devtensor.core.errors import ArgumentError, ArgumentTypeError
from devtensor.core.feed import depend, feed
from devtensor.core.state import enable_grad, set_grad_enabled
from devtensor.core.tensor import Tensor
from devtensor.functions.creation import zeros
from devtensor.ops.create import cast
from devtensor.optim.optimizer import Optimizer

# Keyword-only settings of most rules. `maximize` climbs instead of descending, and `differentiable` lets
# autograd see the step; the others choose among PyTorch's implementations, of which there is one here, so
# they are kept and change nothing.
SETTINGS: dict[str, Any] = {
    "maximize": False,
    "foreach": None,
    "capturable": False,
    "differentiable": False,
    "fused": None,
}

# Hyperparameters that must not be negative, and how messages call them.
NOT_NEGATIVE = {
    "lr": "learning rate",
    "eps": "epsilon value",
    "weight_decay": "weight_decay value",
    "momentum": "momentum value",
}


# Name in the state -> what makes its first value from the parameter.
Slots = Mapping[str, Callable[[Any], Any]]


def no_steps(p: Any) -> Tensor:
    """A step count for parameter `p`."""
    return zeros((), dtype=float32, device=p.device)


def bias_correction(beta: Any, t: Any) -> Any:
    """1 - beta^t: what a running mean that began at zero must be divided by."""
    if isinstance(beta, Tensor) or beta == 0:
        return 1 - beta**t
    return -(t * log(beta)).expm1()


class Hyperparameters:
    """A group's hyperparameters as attributes, and `t`, the number of this step, as a 0-d float64 tensor.

    The learning rate is data, everything else shapes the computation: a captured graph reads the first anew
    at each replay and checks the others.
    """

    t: Any

    def __init__(self, group: dict[str, Any]) -> None:
        self._group = group

    def __getattr__(self, name: str) -> Any:
        group = self.__dict__["_group"]
        if name not in group:
            raise AttributeError(f"the parameter group has no {name!r}; it has {', '.join(sorted(group))}")
        value = (feed if name == "lr" else depend)(lambda: group[name])
        setattr(self, name, value)
        return value


def _generation(optimizer: weakref.ref[UpdateRule]) -> int | None:
    """How often the optimizer's groups and state were replaced; None when it is gone."""
    found = optimizer()
    return None if found is None else found._generation


class UpdateRule(Optimizer):
    """An optimizer that writes only its mathematics.

    A subclass states `defaults` (hyperparameters in the order of its arguments), `settings` (keyword-only
    ones), `slots` (name in the state -> what makes its first value from the parameter; always zeros; "step"
    is counted up by itself), and `update`.
    """

    defaults: Mapping[str, Any] = {}
    settings: Mapping[str, Any] = SETTINGS
    slots: Mapping[str, Any] = {}

    def __init__(self, params: Any, *args: Any, **kwargs: Any) -> None:
        names = list(type(self).defaults)
        if len(args) > len(names):
            raise ArgumentTypeError(
                f"[{type(self).__name__}] got {len(args)} arguments; it takes {', '.join(names)}"
            )
        given = dict(zip(names, args, strict=False))
        known = {**type(self).defaults, **self.settings}
        for name, value in kwargs.items():
            if name not in known or name in given:
                what = "is given twice" if name in given else f"is unknown; it takes {', '.join(known)}"
                raise ArgumentTypeError(f"[{type(self).__name__}] argument {name!r} {what}")
            given[name] = value
        super().__init__(params, known | given)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        kinds = inspect.Parameter
        parameters = [kinds("params", kinds.POSITIONAL_OR_KEYWORD)]
        parameters += [kinds(n, kinds.POSITIONAL_OR_KEYWORD, default=v) for n, v in cls.defaults.items()]
        parameters += [kinds(n, kinds.KEYWORD_ONLY, default=v) for n, v in cls.settings.items()]
        cls.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]

    def check(self, group: dict[str, Any]) -> None:
        """Refuse negative rates and decay rates outside [0, 1)."""
        for name, text in NOT_NEGATIVE.items():
            value = group.get(name)
            if value is not None and not isinstance(value, Tensor) and not value >= 0:
                raise ArgumentError(f"[{type(self).__name__}] Invalid {text}: {value}; it must be at least 0")
        for place, beta in enumerate(group.get("betas", ())):
            if not isinstance(beta, Tensor) and not 0 <= beta < 1:
                raise ArgumentError(
                    f"[{type(self).__name__}] Invalid beta parameter at index {place}: {beta}; "
                    "it must be in [0, 1)"
                )

    def slots_of(self, group: dict[str, Any]) -> Slots:
        """The state that parameters of this group have; a subclass may let hyperparameters decide."""
        return self.slots

    def update(self, p: Any, g: Any, s: Any, h: Any) -> Any:
        """The step to subtract from parameter `p`, given its gradient `g`, state `s` and hyperparameters `h`.

        It must leave `g` alone; state is changed in place.
        """
        raise NotImplementedError(f"[{type(self).__name__}] has no update; write the rule there")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient; `closure` computes the loss anew and returns it."""
        loss = None
        depend(partial(_generation, weakref.ref(self)))
        with set_grad_enabled(bool(self.defaults.get("differentiable"))):
            if closure is not None:
                with enable_grad():
                    loss = closure()
            for group in self.param_groups:
                self._step_group(group)
        return loss

    def _step_group(self, group: dict[str, Any]) -> None:
        h = Hyperparameters(group)
        slots = self.slots_of(group)
        for p in group["params"]:
            g = p.grad
            if g is None:
                continue
            state = self.state[p] if slots else {}
            for name, born in slots.items():
                if name not in state:
                    state[name] = born(p)
            s = SimpleNamespace(**state)
            if "step" in slots:
                s.step.add_(1)
                h.t = cast(s.step, float64)
            step = self.update(p, -g if h.maximize else g, s, h)
            if step is not None:
                p.sub_(step)
