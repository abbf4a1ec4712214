"""Hyperparameters: a group's values as an update rule sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import log
from typing import Any

from devtensor.amp.casts import host_reads_refused
from devtensor.core.dtype import complex128, float32, float64
from devtensor.core.errors import ArgumentError, ArgumentTypeError, IndexingError
from devtensor.core.feed import depend, feed
from devtensor.core.tensor import Tensor
from devtensor.ops.create import cast
from devtensor.optim.subclassing import _to_scalar

# Hyperparameters that must not be negative, and how messages call them.
NOT_NEGATIVE = {
    "lr": "learning rate",
    "eps": "epsilon value",
    "weight_decay": "weight_decay value",
    "momentum": "momentum value",
    "momentum_decay": "momentum_decay value",
    "alpha": "alpha value",
    "lr_decay": "lr_decay value",
    "initial_accumulator_value": "initial_accumulator_value value",
}


def refuse_bad_numbers(optimizer: str, values: Mapping[str, Any]) -> None:
    """Refuse negative rates, decay rates outside [0, 1), and implementations that exclude each other.

    Errors: ArgumentError.
    """
    if isinstance(values.get("lr"), Tensor) and values["lr"].numel() != 1:
        raise ArgumentError(f"[{optimizer}] Tensor lr must be 1-element; it has {values['lr'].numel()}")
    for name, text in NOT_NEGATIVE.items():
        if name in values and _is_wrong(optimizer, name, lambda value: value >= 0, values[name]):
            raise ArgumentError(f"[{optimizer}] Invalid {text}: {values[name]}; it must be at least 0")
    for place, beta in enumerate(pair_of(optimizer, "betas", values["betas"]) if "betas" in values else ()):
        if isinstance(beta, Tensor) and beta.numel() != 1:
            raise ArgumentError(f"[{optimizer}] Tensor betas[{place}] must be 1-element")
        if _is_wrong(optimizer, "betas", lambda value: 0 <= value < 1, beta):
            raise ArgumentError(
                f"[{optimizer}] Invalid beta parameter at index {place}: {beta}; it must be in [0, 1)"
            )
    if values.get("fused") and values.get("differentiable"):
        raise ArgumentError(f"[{optimizer}] `fused` does not support `differentiable`; ask for one of them")
    if values.get("fused") and values.get("foreach"):
        raise ArgumentError(
            f"[{optimizer}] `fused` and `foreach` cannot be `True` together; ask for one of them"
        )


def pair_of(optimizer: str, name: str, value: Any) -> tuple[Any, Any]:
    """The two numbers that a hyperparameter holds.

    Errors: ArgumentTypeError for what holds nothing, IndexingError for fewer than two.
    """
    try:
        found = tuple(value)
    except TypeError:
        raise ArgumentTypeError(f"[{optimizer}] {name} must be two numbers; got {value!r}") from None
    if len(found) < 2:
        raise IndexingError(f"[{optimizer}] {name} must be two numbers; got {value!r}")
    return found[0], found[1]


def _is_wrong(optimizer: str, name: str, holds: Callable[[Any], Any], value: Any) -> bool:
    """Whether a number does not hold what it must."""
    try:
        return not holds(value)
    except TypeError:
        raise ArgumentTypeError(f"[{optimizer}] {name} must be a number; got {value!r}") from None


def bias_correction(beta: Any, t: Any) -> Any:
    """1 - beta^t: what a running mean that began at zero must be divided by."""
    if isinstance(beta, Tensor) or beta == 0:
        return 1 - beta**t
    return -(t * log(beta)).expm1()


class Hyperparameters:
    """A group's hyperparameters as attributes; `t`, the number of this step, as a 0-d float64 tensor; and
    `factors`, what the rule makes of them for parameters of one dtype.

    The learning rate is data, everything else shapes the computation: a captured graph reads the first anew
    at each replay and checks the others.
    """

    t: Any
    factors: tuple[Any, ...]
    # For rules that cannot be asked for these.
    maximize = False
    differentiable = False

    def __init__(self, group: dict[str, Any], rule: Callable[[Any], tuple[Any, ...]]) -> None:
        self._group = group
        self._rule = rule
        self._known: dict[Any, tuple[Any, tuple[Any, ...]]] = {}
        for name in ("maximize", "differentiable"):
            if name in group:
                setattr(self, name, depend(lambda name=name: group[name]))

    def __getattr__(self, name: str) -> Any:
        group = self.__dict__["_group"]
        if name not in group:
            raise AttributeError(f"the parameter group has no {name!r}; it has {', '.join(sorted(group))}")
        value = _to_scalar(feed(lambda: group[name])) if name == "lr" else depend(lambda: group[name])
        setattr(self, name, value)
        return value

    def count(self, step: Any, dtype: Any) -> None:
        """Set the number of the step, and the factors for parameters of this dtype.

        Parameters have often been through equally many steps: where looking costs nothing, the factors are
        worked out once for all of them.
        """
        looks = getattr(step.device.backend, "host_reads_are_free", False) and not host_reads_refused()
        key = (step.item(), step.device, dtype) if looks else None
        if key is None or key not in self._known:
            self.t = cast(step, float64)
            wide = float64 if dtype in (float64, complex128) else float32
            self._known[key] = self.t, tuple(_cast(factor, wide) for factor in self._rule(self))
        self.t, self.factors = self._known[key]


def _cast(factor: Any, dtype: Any) -> Any:
    """A tensor of floating-point numbers in this dtype; anything else stays."""
    return cast(factor, dtype) if isinstance(factor, Tensor) and factor.is_floating_point() else factor
