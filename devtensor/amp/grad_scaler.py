"""GradScaler: keeps small float16 gradients from vanishing, by a loss scale that adapts itself."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable
from enum import Enum
from typing import Any

from devtensor.amp.casts import host_reads_refused
from devtensor.amp.masked_writes import masked_writes
from devtensor.amp.unscaling import (
    PerDevice,
    ScalerError,
    adapt,
    checked_scale,
    combined,
    gradients_of,
    masks_every_effect,
    unscale,
)
from devtensor.backend import registry
from devtensor.core.compiled import parameters_of
from devtensor.core.dtype import float32, float64, int32
from devtensor.core.errors import ArgumentError, AutogradError
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor
from devtensor.functions.creation import full

__all__ = ["GradScaler", "OptState"]


class OptState(Enum):
    """How far an optimizer is in this iteration."""

    READY = 0
    UNSCALED = 1
    STEPPED = 2


# PyTorch's name, which scalers of a stranger's import.
_MultiDeviceReplicator = PerDevice


def _refresh_per_optimizer_state() -> dict[str, Any]:
    return {"stage": OptState.READY, "found_inf_per_device": {}}


class GradScaler:
    """Multiplies the loss by a scale, divides the gradients by it, and skips steps with inf or NaN in them.

    After a skipped step the scale is multiplied by `backoff_factor`; after `growth_interval` steps in a row
    without one, by `growth_factor`. Scale, count and flags are tensors on the loss's device. On the CPU,
    where reading is free, the flag decides whether the optimizer runs; elsewhere, and while a graph is
    captured, nothing is read and the optimizer runs with its writes masked. Either way a skipped step leaves
    parameters, state and step counts as they were, bit for bit (masked, all of them that are tensors). A
    disabled one hands everything through, and has no scale, factors or interval to ask for.

    Source: Micikevicius et al. 2018; messages and state as in PyTorch.
    Errors: AutogradError for calls out of order and factors that cannot work, ArgumentError for float16
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
        self._enabled = enabled
        if enabled and device == "cuda" and not registry.available("cuda"):
            warnings.warn("[GradScaler] is enabled, but CUDA is not available. Disabling.", stacklevel=2)
            self._enabled = False
        if not self._enabled:
            return
        if growth_factor <= 1.0:
            raise ScalerError(f"[GradScaler] The growth factor must be > 1.0; got {growth_factor}")
        if backoff_factor >= 1.0:
            raise ScalerError(f"[GradScaler] The backoff factor must be < 1.0; got {backoff_factor}")
        self._init_scale = init_scale
        self._scale: Any = None
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._init_growth_tracker = 0
        self._growth_tracker: Any = None
        self._per_optimizer_states: defaultdict[int, dict[str, Any]] = defaultdict(
            _refresh_per_optimizer_state
        )

    def _check_scale_growth_tracker(self, funcname: str) -> tuple[Any, Any]:
        """Scale and count, once there are any."""
        for name in ("_scale", "_growth_tracker"):
            if getattr(self, name) is None:
                raise ScalerError(
                    f"[{funcname}] Attempted {funcname} but {name} is None: call scaler.scale(loss or "
                    "outputs) before it in the iteration"
                )
        return self._scale, self._growth_tracker

    def _lazy_init_scale_growth_tracker(self, dev: Any) -> None:
        if self._growth_tracker is not None:
            raise ScalerError("[GradScaler] _growth_tracker initialized before _scale")
        self._scale = full((), self._init_scale, dtype=float32, device=dev)
        self._growth_tracker = full((), self._init_growth_tracker, dtype=int32, device=dev)

    def scale(self, outputs: Any) -> Any:
        """The outputs, a tensor or an iterable of them, times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            if self._scale is None:
                self._lazy_init_scale_growth_tracker(outputs.device)
            return outputs * self._scale.to(outputs.device)  # type: ignore[operator]
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(map(self.scale, outputs))
        if isinstance(outputs, Iterable):
            return map(self.scale, outputs)
        raise ArgumentError(
            f"[scale] outputs must be a Tensor or an iterable of Tensors; got {type(outputs)}"
        )

    def _unscale_grads_(
        self, optimizer: Any, inv_scale: Any, found_inf: Any, allow_fp16: bool
    ) -> dict[Any, Any]:
        """Multiply an optimizer's gradients by `inv_scale`; gives, by device, what `found_inf` becomes."""
        with no_grad():
            gradients = gradients_of(optimizer, allow_fp16)
            return unscale(gradients, PerDevice(inv_scale), PerDevice(found_inf))

    def unscale_(self, optimizer: Any) -> None:
        """Divide the optimizer's gradients by the scale, so that they can be clipped, say, before `step`."""
        if not self._enabled:
            return
        scale, _ = self._check_scale_growth_tracker("unscale_")
        state = self._per_optimizer_states[id(optimizer)]
        if state["stage"] is OptState.UNSCALED:
            raise AutogradError(
                "[unscale_] unscale_() has already been called on this optimizer since the last update()."
            )
        if state["stage"] is OptState.STEPPED:
            raise AutogradError("[unscale_] unscale_() is being called after step().")
        with no_grad():
            inverse = (1.0 / scale.to(float64)).to(float32)
        found = full((), 0.0, dtype=float32, device=scale.device)
        state["found_inf_per_device"] = self._unscale_grads_(optimizer, inverse, found, False)
        state["stage"] = OptState.UNSCALED

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """`optimizer.step(...)`, without effect if a gradient is inf or NaN; unscales first if nobody has."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise AutogradError("[step] Closure use is not currently supported if GradScaler is enabled.")
        self._check_scale_growth_tracker("step")
        state = self._per_optimizer_states[id(optimizer)]
        if state["stage"] is OptState.STEPPED:
            raise AutogradError("[step] step() has already been called since the last update().")
        if getattr(optimizer, "_step_supports_amp_scaling", False):
            result = self._step_that_unscales(optimizer, state, args, kwargs)
        else:
            if state["stage"] is OptState.READY:
                self.unscale_(optimizer)
            if not state["found_inf_per_device"]:
                raise ScalerError(
                    "[step] No inf checks were recorded for this optimizer; no parameter has a gradient."
                )
            result = self._maybe_opt_step(optimizer, state, *args, **kwargs)
        state["stage"] = OptState.STEPPED
        return result

    def _step_that_unscales(self, optimizer: Any, state: dict, args: tuple, kwargs: dict) -> Any:
        """A step of an optimizer that divides and skips by itself: it finds scale and flag as attributes, or
        takes the scaler."""
        if "grad_scaler" in parameters_of(optimizer.step).names:
            warnings.warn(
                "[step] an argument `grad_scaler` of an optimizer's step is deprecated; read the attributes "
                "`grad_scale` and `found_inf` in it",
                FutureWarning,
                stacklevel=3,
            )
            return optimizer.step(*args, **kwargs, grad_scaler=self)
        unscaled = state["stage"] is OptState.UNSCALED
        if not unscaled:
            self._check_inf_per_device(optimizer)
        own = getattr(optimizer, "grad_scale", None)
        optimizer.grad_scale = own if unscaled else self._scale * (1 if own is None else own)
        found = state["found_inf_per_device"].values()
        optimizer.found_inf = combined(found, self._scale.device) if found else 0
        result = optimizer.step(*args, **kwargs)
        del optimizer.grad_scale, optimizer.found_inf
        return result

    def _maybe_opt_step(self, optimizer: Any, optimizer_state: dict, *args: Any, **kwargs: Any) -> Any:
        """Step where no gradient was inf or NaN: read the flag once, or mask the step's writes with it."""
        found = combined(optimizer_state["found_inf_per_device"].values())
        waits = not _reads_freely(found.device) and masks_every_effect(optimizer)
        if host_reads_refused() or waits:
            with masked_writes(found):
                return optimizer.step(*args, **kwargs)
        return None if found.item() else optimizer.step(*args, **kwargs)

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Adapt the scale to what this iteration found, or set it."""
        if not self._enabled:
            return
        scale, _ = self._check_scale_growth_tracker("update")
        with no_grad():
            if new_scale is None:
                states = self._per_optimizer_states.values()
                found = [flag for state in states for flag in state["found_inf_per_device"].values()]
                if not found:
                    raise ScalerError("[update] No inf checks were recorded prior to update.")
                adapt(self, found)
            else:
                scale.copy_(checked_scale(new_scale, self._device))
        self._per_optimizer_states = defaultdict(_refresh_per_optimizer_state)

    def _get_scale_async(self) -> Any:
        """The scale, where it is."""
        return self._scale

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
        if len(state_dict) == 0:
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
        if not self._enabled:
            return self.__dict__.copy()
        if self._per_optimizer_states:
            raise ScalerError(
                "[GradScaler] A GradScaler instance may only be pickled at the beginning of an iteration, "
                "or at the end after scaler.update()."
            )
        numbers = {"_init_scale": self.get_scale(), "_init_growth_tracker": self._get_growth_tracker()}
        return self.__dict__ | numbers | {"_scale": None, "_growth_tracker": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def _check_inf_per_device(self, optimizer: Any) -> dict[Any, Any]:
        """Look for inf and NaN in an optimizer's gradients and leave them scaled."""
        scale, _ = self._check_scale_growth_tracker("_check_inf_per_device")
        one, zero = (full((), value, dtype=float32, device=scale.device) for value in (1.0, 0.0))
        found = self._unscale_grads_(optimizer, one, zero, True)
        self._per_optimizer_states[id(optimizer)]["found_inf_per_device"] = found
        return found

    def _found_inf_per_device(self, optimizer: Any) -> dict[Any, Any]:
        """What `unscale_` found: device -> 1.0 if a gradient there was inf or NaN, else 0.0."""
        return self._per_optimizer_states[id(optimizer)]["found_inf_per_device"]


def _reads_freely(device: Any) -> bool:
    """Whether the host reads the device's numbers without waiting."""
    return getattr(device.backend, "host_reads_are_free", False)
