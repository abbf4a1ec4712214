"""What GradScaler does on devices: gradients divided by the scale, flags that meet, the next scale."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from devtensor.core.dtype import float16, float32, float64
from devtensor.core.errors import ArgumentError, AutogradError
from devtensor.core.feed import depend
from devtensor.core.tensor import Tensor
from devtensor.ops.compare import isfinite, logical_and, logical_not, logical_or, where
from devtensor.ops.elementwise import maximum
from devtensor.ops.reduce import all as all_of


class ScalerError(AutogradError, AssertionError):
    """Calls of a GradScaler's methods that do not go together."""


class PerDevice:
    """Copies of a tensor, made when a device first asks for one."""

    def __init__(self, master: Any) -> None:
        self.master = master
        self._copies: dict[Any, Any] = {}

    def get(self, device: Any) -> Any:
        """The tensor on a device."""
        if device not in self._copies:
            self._copies[device] = self.master.to(device)
        return self._copies[device]


def gradients_of(optimizer: Any, allow_fp16: bool) -> list[Any]:
    """The gradients that an optimizer will use.

    Errors: ArgumentError for float16 ones that are not allowed.
    """
    found = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    if not allow_fp16 and any(g.dtype is float16 for g in found):
        raise ArgumentError(
            "[unscale_] Attempting to unscale FP16 gradients; keep the parameters in float32 and let "
            "autocast choose float16 for the ops"
        )
    return found


def unscale(gradients: Iterable[Any], inverse: PerDevice, found: PerDevice) -> dict[Any, Any]:
    """Multiply all gradients in place; gives, by device, `found`, or 1.0 where a result is not finite."""
    finite: dict[Any, Any] = {}
    for g in gradients:
        device = g.device
        g.mul_(inverse.get(device))
        good = all_of(isfinite(g))
        finite[device] = logical_and(finite[device], good) if device in finite else good
    return {
        device: maximum(found.get(device), logical_not(good).to(float32))  # type: ignore[attr-defined]
        for device, good in finite.items()
    }


def combined(found: Iterable[Any], device: Any = None) -> Any:
    """Flags of several devices and optimizers in one, on a device: above 0 if any is set."""
    first, *others = found
    total = first if device is None else first.to(device)
    for flag in others:
        total = total + flag.to(total.device)
    return total


def adapt(scaler: Any, found: Any) -> None:
    """Write a scaler's next scale and count of good steps into its tensors.

    Multiplied in float64 and rounded once, as PyTorch does, so that both go through the same numbers.
    """
    scale, tracker = scaler._scale, scaler._growth_tracker
    skipped = found != 0
    count = tracker + 1
    due = count == depend(lambda: scaler._growth_interval)
    wide = scale.to(float64)
    grown = (wide * depend(lambda: scaler._growth_factor)).to(float32)
    grown = where(logical_and(due, isfinite(grown)), grown, scale)
    reduced = (wide * depend(lambda: scaler._backoff_factor)).to(float32)
    scale.copy_(where(skipped, reduced, grown))
    tracker.copy_(where(logical_or(skipped, due), 0, count))


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
