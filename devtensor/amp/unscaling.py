"""What GradScaler does on devices: gradients divided by the scale, flags that meet, the next scale."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from devtensor.core.dtype import float16, float32, float64
from devtensor.core.errors import ArgumentError, AutogradError
from devtensor.core.feed import depend
from devtensor.core.lists import grouped, over_lists
from devtensor.core.tensor import Tensor
from devtensor.ops.compare import isfinite, logical_and, logical_not, logical_or, where
from devtensor.ops.extremes import maximum
from devtensor.ops.reduce import all as all_of


class ScalerError(AutogradError, AssertionError):
    """Calls of a GradScaler's methods that do not go together."""


class PerDevice:
    """Copies of a tensor, made when a device first asks for one."""

    def __init__(self, master: Any) -> None:
        self.master = master
        self._per_device_tensors: dict[Any, Any] = {}

    def get(self, device: Any) -> Any:
        """The tensor on a device."""
        if device not in self._per_device_tensors:
            self._per_device_tensors[device] = self.master.to(device)
        return self._per_device_tensors[device]


def gradients_of(optimizer: Any, allow_fp16: bool) -> list[Any]:
    """The gradients that an optimizer will use.

    Errors: ArgumentError for float16 ones that are not allowed, ScalerError for what is no tensor.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for p in parameters:
        if not isinstance(p, Tensor):
            raise ScalerError(f"[unscale_] expected parameters to be tensors; got {type(p).__name__}")
    found = [p.grad for p in parameters if p.grad is not None]
    if not allow_fp16 and any(g.dtype is float16 for g in found):
        raise ArgumentError(
            "[unscale_] Attempting to unscale FP16 gradients; keep the parameters in float32 and let "
            "autocast choose float16 for the ops"
        )
    return found


@over_lists(lists="gradients", numbers="inverse found", writes="gradients found")
def unscale_all(gradients: Sequence[Any], inverse: Any, found: Any) -> None:
    """Multiply gradients by `inverse` in place; `found` becomes 1 if one of the results is not finite.

    Shapes: gradients [(*S), ...], inverse (), found ()
    """
    finite: Any = None
    for g in gradients:
        g.mul_(inverse)
        good = all_of(isfinite(g))
        finite = good if finite is None else logical_and(finite, good)
    if finite is not None:
        found.copy_(maximum(found, logical_not(finite).to(float32)))  # type: ignore[attr-defined]


@unscale_all.examples
def _(tensor: Any, number: Any) -> Iterator[tuple]:
    for factor, before in ((0.125, 0.0), (math.inf, 0.0), (0.5, 1.0)):
        yield [tensor(3, 4), tensor(), tensor(0), tensor(5)], number(factor), number(before)


def unscale(gradients: Sequence[Any], inverse: PerDevice, found: PerDevice) -> dict[Any, Any]:
    """Multiply all gradients in place; gives, by device, `found`, now 1 where a result is not finite."""
    flags: dict[Any, Any] = {}
    for _, (group,) in grouped(gradients):
        device = group[0].device
        flags[device] = found.get(device)
        unscale_all(group, inverse.get(device), flags[device])
    return flags


def combined(found: Iterable[Any], device: Any = None) -> Any:
    """Flags of several devices and optimizers in one, on a device: above 0 if any is set."""
    first, *others = found
    total = first if device is None else first.to(device)
    for flag in others:
        total = total + flag.to(total.device)
    return total


@over_lists(lists="found", numbers="scale tracker", writes="scale tracker")
def adapt_scale(
    found: Sequence[Any], scale: Any, tracker: Any, growth: float, backoff: float, interval: int
) -> None:
    """Write the next loss scale, and the next count of good steps.

    Where a flag in `found` is set, scale * backoff and 0; after `interval` good steps, scale * growth, if it
    is finite, and 0. Multiplied in float64 and rounded once, as PyTorch does, so that both go through the
    same numbers.

    Shapes: found [(), ...], scale (), tracker ()
    """
    skipped = combined(found) != 0
    count = tracker + 1
    due = count == interval
    wide = scale.to(float64)
    grown = (wide * growth).to(float32)
    grown = where(logical_and(due, isfinite(grown)), grown, scale)
    reduced = (wide * backoff).to(float32)
    scale.copy_(where(skipped, reduced, grown))
    tracker.copy_(where(logical_or(skipped, due), 0, count))


@adapt_scale.examples
def _(tensor: Any, number: Any) -> Iterator[tuple]:
    for found, scale, count in ((0.0, 8.0, 1), (0.0, 8.0, 2), (0.0, 3e38, 2), (1.0, 8.0, 2), (2.0, 0.3, 0)):
        yield [number(found)], number(scale), number(count, "int32"), 2.5, 0.3, 3
    for several in ((0.0, 0.0), (0.0, 0.0, 1.0), (1.0, *[0.0] * 7)):
        yield [number(found) for found in several], number(8.0), number(2, "int32"), 2.5, 0.3, 3


def adapt(scaler: Any, found: Sequence[Any]) -> None:
    """Write a scaler's next scale and count of good steps into its tensors, given all optimizers' flags."""
    names = "_growth_factor", "_backoff_factor", "_growth_interval"
    told = [depend(partial(getattr, scaler, name)) for name in names]
    flags = [flag.to(scaler._scale.device) for flag in found]
    adapt_scale(flags, scaler._scale, scaler._growth_tracker, *told)


def checked_scale(new_scale: Any, device_type: str) -> Any:
    """A scale that `update` may take: a number, or a tensor of one element on the scaler's device type.

    Errors: ScalerError for any other.
    """
    if isinstance(new_scale, (float, int)) and not isinstance(new_scale, bool):
        return float(new_scale)
    one = isinstance(new_scale, Tensor) and new_scale.shape.numel() == 1 and not new_scale.requires_grad
    if not isinstance(new_scale, Tensor) or not one or new_scale.device.type != device_type:
        raise ScalerError(
            f"[update] new_scale should be a float or a 1-element Tensor on {device_type} with "
            f"requires_grad=False; got {new_scale!r:.80}"
        )
    return new_scale.reshape(())  # type: ignore[attr-defined]


def masks_every_effect(optimizer: Any) -> bool:
    """Whether all that a step does are writes to tensors: it is UpdateRule's own, and nobody hooked in."""
    step = getattr(type(optimizer), "step", None)
    patched = vars(optimizer).get("step")
    hooks = optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks
    return getattr(step, "__qualname__", "") == "UpdateRule.step" and patched is None and not hooks
