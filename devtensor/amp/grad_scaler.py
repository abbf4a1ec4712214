"""GradScaler: keeps small float16 gradients from vanishing, by a loss scale that adapts itself."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable
from enum import Enum
from typing import Any

from devtensor.amp.autocast import host_reads_refused
from devtensor.amp.masked_writes import masked_writes
from devtensor.backend import registry
from devtensor.core.dtype import float16, float32, float64, int32
from devtensor.core.errors import ArgumentError, ArgumentTypeError, AutogradError
from devtensor.core.feed import depend
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor
from devtensor.functions.creation import full
from devtensor.ops.compare import isfinite, logical_and, logical_not, logical_or, where
from devtensor.ops.reduce import all as all_of


class Stage(Enum):
    """How far an optimizer is in this iteration."""

    READY = 0
    UNSCALED = 1
    STEPPED = 2


def _fresh() -> dict[str, Any]:
    return {"stage": Stage.READY, "found_inf_per_device": {}}


class GradScaler:
    """Multiplies the loss by a scale, divides the gradients by it, and skips steps with inf or NaN in them.

    After a skipped step the scale is multiplied by `backoff_factor`; after `growth_interval` steps in a row
    without one, by `growth_factor`. Scale, count and flags are tensors on the loss's device. On the CPU,
    where reading is free, the flag decides whether the optimizer runs; elsewhere, and while a graph is
    captured, nothing is read and the optimizer runs with its writes masked. Either way a skipped step leaves
    parameters, state and step counts as they were, bit for bit (masked, all of them that are tensors).

    Source: Micikevicius et al. 2018; messages and state as in PyTorch.
    Errors: AutogradError for calls out of order, ArgumentError for factors that cannot work and float16
    gradients, whose parameters should be float32.
    Example: `scaler.scale(loss).backward(); scaler.step(optimizer); scaler.update()`.
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._device = device
        self._enabled = bool(enabled)
        if enabled and not (device in registry.names() and registry.available(device)):
            warnings.warn(f"GradScaler is enabled, but {device!r} is not available; disabling", stacklevel=2)
            self._enabled = False
        if enabled and growth_factor <= 1.0:
            raise ArgumentError(f"[GradScaler] The growth factor must be > 1.0; got {growth_factor}")
        if enabled and backoff_factor >= 1.0:
            raise ArgumentError(f"[GradScaler] The backoff factor must be < 1.0; got {backoff_factor}")
        self._init_scale = init_scale
        self._init_growth_tracker = 0
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._scale: Any = None
        self._growth_tracker: Any = None
        self._per_optimizer_states: defaultdict[int, dict[str, Any]] = defaultdict(_fresh)

    def scale(self, outputs: Any) -> Any:
        """The outputs, a tensor or an iterable of them, times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            if self._scale is None:
                self._begin(outputs.device)
            return outputs * self._scale.to(outputs.device)  # type: ignore[operator]
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(self.scale(output) for output in outputs)
        if isinstance(outputs, Iterable):
            return (self.scale(output) for output in outputs)
        raise ArgumentTypeError(
            f"[scale] outputs must be a Tensor or an iterable of Tensors; got {type(outputs)}"
        )

    def _begin(self, device: Any) -> None:
        self._scale = full((), self._init_scale, dtype=float32, device=device)
        self._growth_tracker = full((), self._init_growth_tracker, dtype=int32, device=device)

    def _check_begun(self, name: str) -> None:
        if self._scale is None:
            raise AutogradError(
                f"[{name}] Attempted {name} but _scale is None.  This may indicate your script did not use "
                "scaler.scale(loss or outputs) earlier in the iteration."
            )

    def unscale_(self, optimizer: Any) -> None:
        """Divide the optimizer's gradients by the scale, so that they can be clipped, say, before `step`."""
        if not self._enabled:
            return
        self._check_begun("unscale_")
        state = self._per_optimizer_states[id(optimizer)]
        if state["stage"] is Stage.UNSCALED:
            raise AutogradError(
                "[unscale_] unscale_() has already been called on this optimizer since the last update()."
            )
        if state["stage"] is Stage.STEPPED:
            raise AutogradError("[unscale_] unscale_() is being called after step().")
        with no_grad():
            inverse = (1.0 / self._scale.to(float64)).to(float32)
            state["found_inf_per_device"] = _unscale(optimizer, inverse)
        state["stage"] = Stage.UNSCALED

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """`optimizer.step(...)`, without effect if a gradient is inf or NaN; unscales first if nobody has."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise AutogradError("[step] Closure use is not currently supported if GradScaler is enabled.")
        self._check_begun("step")
        state = self._per_optimizer_states[id(optimizer)]
        if state["stage"] is Stage.STEPPED:
            raise AutogradError("[step] step() has already been called since the last update().")
        if state["stage"] is Stage.READY:
            self.unscale_(optimizer)
        if not state["found_inf_per_device"]:
            raise AutogradError(
                "[step] No inf checks were recorded for this optimizer; no parameter has a gradient."
            )
        result = self._step_where_finite(
            optimizer, _combined(state["found_inf_per_device"].values()), args, kwargs
        )
        state["stage"] = Stage.STEPPED
        return result

    def _step_where_finite(self, optimizer: Any, found_inf: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        if host_reads_refused() or not _reads_freely(found_inf.device):
            with masked_writes(found_inf != 0):
                return optimizer.step(*args, **kwargs)
        # A schedule need not warn of a step that was skipped on purpose.
        optimizer._opt_called = True
        return None if found_inf.item() else optimizer.step(*args, **kwargs)

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Adapt the scale to what this iteration found, or set it."""
        if not self._enabled:
            return
        self._check_begun("update")
        with no_grad():
            if new_scale is None:
                self._adapt()
            else:
                self._scale.copy_(_checked_scale(new_scale))
        self._per_optimizer_states = defaultdict(_fresh)

    def _adapt(self) -> None:
        found = [
            f for state in self._per_optimizer_states.values() for f in state["found_inf_per_device"].values()
        ]
        if not found:
            raise AutogradError("[update] No inf checks were recorded prior to update.")
        skipped = _combined(found).to(self._scale.device) != 0
        count = self._growth_tracker + 1
        due = count == depend(lambda: self._growth_interval)
        grown = self._scale * depend(lambda: self._growth_factor)
        grown = where(logical_and(due, isfinite(grown)), grown, self._scale)
        reduced = self._scale * depend(lambda: self._backoff_factor)
        self._scale.copy_(where(skipped, reduced, grown))
        self._growth_tracker.copy_(where(logical_or(skipped, due), 0, count))

    def get_scale(self) -> float:
        """The scale, read from the device."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale is None else self._scale.item()

    def get_growth_factor(self) -> float:
        """What the scale is multiplied by when it grows."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Change what the scale is multiplied by when it grows."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What the scale is multiplied by after a skipped step."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Change what the scale is multiplied by after a skipped step."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """After how many good steps in a row the scale grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Change after how many good steps in a row the scale grows."""
        self._growth_interval = new_interval

    def _get_growth_tracker(self) -> int:
        """The good steps since the scale last changed, read from the device."""
        if not self._enabled:
            return 0
        return self._init_growth_tracker if self._growth_tracker is None else self._growth_tracker.item()

    def is_enabled(self) -> bool:
        """Whether the scaler does anything."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """Scale, factors and count as Python numbers; empty if disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._get_growth_tracker(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        if not self._enabled:
            return
        if not state_dict:
            raise AutogradError(
                "[GradScaler] The source state dict is empty, possibly because it was saved "
                "from a disabled instance of GradScaler."
            )
        self._init_scale = state_dict["scale"]
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._init_growth_tracker = state_dict["_growth_tracker"]
        if self._scale is not None:
            self._scale.fill_(self._init_scale)
            self._growth_tracker.fill_(self._init_growth_tracker)

    def __getstate__(self) -> dict[str, Any]:
        if self._per_optimizer_states:
            raise AutogradError(
                "[GradScaler] A GradScaler instance may only be pickled at the beginning of an iteration, "
                "or at the end after scaler.update()."
            )
        numbers = {"_init_scale": self.get_scale(), "_init_growth_tracker": self._get_growth_tracker()}
        return self.__dict__ | numbers | {"_scale": None, "_growth_tracker": None}

    def _found_inf_per_device(self, optimizer: Any) -> dict[Any, Tensor]:
        """What `unscale_` found: device -> 1.0 if a gradient there was inf or NaN, else 0.0."""
        return self._per_optimizer_states[id(optimizer)]["found_inf_per_device"]


def _reads_freely(device: Any) -> bool:
    """Whether the host reads the device's numbers without waiting."""
    return getattr(device.backend, "host_reads_are_free", False)


def _unscale(optimizer: Any, inverse: Any) -> dict[Any, Tensor]:
    """Multiply all gradients in place; gives, per device, whether a result is not finite, as 0.0 or 1.0."""
    inverses = {inverse.device: inverse}
    finite: dict[Any, Any] = {}
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    if any(g.dtype is float16 for g in gradients):
        raise ArgumentError(
            "[unscale_] Attempting to unscale FP16 gradients; keep the parameters in float32 and let "
            "autocast choose float16 for the ops"
        )
    for g in gradients:
        device = g.device
        if device not in inverses:
            inverses[device] = inverse.to(device)
        g.mul_(inverses[device])
        good = all_of(isfinite(g))
        finite[device] = logical_and(finite[device], good) if device in finite else good
    return {device: logical_not(good).to(float32) for device, good in finite.items()}


def _combined(found: Iterable[Any]) -> Any:
    """Flags of several devices and optimizers in one: above 0 if any is set."""
    first, *others = found
    for flag in others:
        first = first + flag.to(first.device)
    return first


def _checked_scale(new_scale: Any) -> Any:
    if isinstance(new_scale, (float, int)) and not isinstance(new_scale, bool):
        return float(new_scale)
    if isinstance(new_scale, Tensor) and new_scale.shape.numel() == 1 and not new_scale.requires_grad:
        return new_scale.reshape(())  # type: ignore[attr-defined]
    raise ArgumentTypeError(
        "[update] new_scale should be a float or a 1-element Tensor with requires_grad=False."
    )
