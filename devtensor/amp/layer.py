"""The layer that chooses the dtype of each op's inputs within autocast, and the switches that turn it on."""

from __future__ import annotations

from typing import Any

from devtensor.amp.casts import (
    cast_input,
    cast_nested,
    eligible,
    refuse_other_half,
    tensors_in,
    widest,
)
from devtensor.amp.policies import policy_in, policy_of, table_of
from devtensor.amp.settings import (
    get_autocast_dtype,
    is_autocast_cache_enabled,
    known,
    remember_dtype,
)
from devtensor.backend import registry
from devtensor.core.device import Device
from devtensor.core.dtype import DType, as_dtype, float32
from devtensor.core.errors import ArgumentTypeError, AutogradError
from devtensor.core.op import Op
from devtensor.core.state import Layer, current, replace, switched


class AutocastLayer(Layer):
    """Casts the floating-point inputs of ops on one device type as the device's policy table says.

    float64 stays. A composite that is cast, or is one node of the tape, runs with the layer off inside; any
    other leaves it on.
    """

    rank = 10
    forward_only = True

    def __init__(self, device_type: str, dtype: DType) -> None:
        self.device_type = device_type
        self.dtype = dtype
        there = device_type in registry.names() and registry.available(device_type)
        self.table = table_of(Device(device_type)) if there else None

    @property
    def key(self) -> tuple[str, str, DType, bool]:
        """What two layers have in common that treat every op alike."""
        return "autocast", self.device_type, self.dtype, is_autocast_cache_enabled()

    def call(self, op: Op, inputs: tuple, params: tuple, below: Any) -> Any:
        policy = policy_of(op, inputs, self.table)
        if policy is not None and any(eligible(i, self.device_type) for i in inputs):
            target = self.target(policy, inputs)
            if target is not None:
                inputs = tuple([cast_input(i, target, self.device_type) for i in inputs])
        elif op.differentiable is None:
            return below(op, inputs, params)
        if op.body is None:
            return below(op, inputs, params)
        with switched(layers=tuple(layer for layer in current().layers if layer is not self)):
            return below(op, inputs, params)

    def whole(self, name: str, amp: str | None, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
        policy = amp if self.table is None else policy_in(self.table, name, args, kwargs)
        tensors = [t for t in tensors_in((args, kwargs)) if t.kind.device.type == self.device_type]
        if policy is None or not tensors:
            return None
        if policy == "refused":
            raise AutogradError(
                f"[{name}] is unsafe to autocast on {self.device_type}: float16 probabilities round to 0 and "
                f"1; use {name}_with_logits without the sigmoid before it, or switch autocast off"
            )
        if policy == "widest":
            refuse_other_half(name, [t for t in tensors if eligible(t, self.device_type)], self.dtype)
        target = self.target(policy, tuple(tensors))
        if target is None:
            return args, kwargs
        return cast_nested((args, kwargs), target, self.device_type)

    def target(self, policy: str, inputs: tuple) -> DType | None:
        """The dtype that eligible inputs are cast to; None if they stay."""
        if policy == "lower":
            return self.dtype
        if policy == "float32":
            return float32
        return widest([i for i in inputs if eligible(i, self.device_type)])


def _active(device_type: str) -> AutocastLayer | None:
    """The layer that serves this device type now, if any."""
    for layer in current().layers:
        if isinstance(layer, AutocastLayer) and layer.device_type == device_type:
            return layer
    return None


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether this thread is in an enabled region of this device type now.

    Errors: ArgumentError for a device type that is not known.
    """
    return _active(known("is_autocast_enabled", device_type)) is not None


def is_any_autocast_enabled() -> bool:
    """Whether this thread is in an enabled region of any device type."""
    return any(isinstance(layer, AutocastLayer) for layer in current().layers)


def check_switch(function: str, enabled: Any) -> None:
    if not isinstance(enabled, bool):
        raise ArgumentTypeError(f"[{function}] enabled must be a bool, got {type(enabled).__name__}")


def set_autocast_enabled(device_type: str | bool, enabled: bool | None = None) -> None:
    """Switch autocast on or off in this thread; without a device type, for CUDA.

    Errors: ArgumentError for a device type that is not known, ArgumentTypeError for a switch that is no bool.
    """
    if enabled is None:
        device_type, enabled = "cuda", device_type  # type: ignore[assignment]
    check_switch("set_autocast_enabled", enabled)
    device = known("set_autocast_enabled", device_type)
    active = _active(device)
    dtype = get_autocast_dtype(device)
    if (active is not None) is enabled and (active is None or active.dtype is dtype):
        return
    replace(layers=tuple([layer for layer in current().layers if layer is not active]))
    if enabled:
        AutocastLayer(device, dtype).__enter__()


def set_autocast_dtype(device_type: str, dtype: Any) -> None:
    """The dtype of this thread's region from here on, and of later ones that name none.

    Errors: ArgumentError for a device type that is not known, ArgumentTypeError for what is no dtype.
    """
    if not isinstance(dtype, (DType, str)):
        raise ArgumentTypeError(f"[set_autocast_dtype] dtype must be a dtype, got {type(dtype).__name__}")
    remember_dtype(known("set_autocast_dtype", device_type), as_dtype(dtype))
    set_autocast_enabled(device_type, is_autocast_enabled(device_type))
