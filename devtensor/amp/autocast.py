"""autocast: a layer that chooses the dtype of each op's inputs, and the regions it is on in."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, Literal

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
    HALVES,
    clear_autocast_cache,
    get_autocast_dtype,
    is_autocast_cache_enabled,
    known,
    nesting,
    remember_dtype,
    set_autocast_cache_enabled,
)
from devtensor.backend import registry
from devtensor.core.device import Device
from devtensor.core.dtype import DType, as_dtype, float32
from devtensor.core.errors import ArgumentError, ArgumentTypeError, AutogradError
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


class autocast:
    """Within it, or within a function it decorates, ops on `device_type` run in the precision they need.

    Matrix products and convolutions run in `dtype` (by default float16 on CUDA, bfloat16 on the CPU), ops
    that need range in float32, by the device's table in devtensor.amp.policies. Backward runs in the dtypes
    that forward chose. Regions nest, and `enabled=False` switches off inside. A weight used twice is cast
    once, unless `cache_enabled` is false; such casts are kept until the outermost region ends.

    Errors: ArgumentError for a device type that is not a text or not known. A device that is not there, or a
    dtype other than float16 and bfloat16, switches off with a warning.
    Example: `with autocast("cuda", dtype=devtensor.bfloat16): loss = model(x)`.
    """

    def __init__(
        self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        if not isinstance(device_type, str):
            raise ArgumentError(
                f"[autocast] Expected `device_type` of type `str`, got {type(device_type)}; give 'cuda', say"
            )
        self.device = device_type
        self._type = known("autocast", device_type)
        dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        self.fast_dtype = as_dtype(dtype) if isinstance(dtype, str) else dtype
        self._cache_enabled = is_autocast_cache_enabled() if cache_enabled is None else cache_enabled
        self._enabled = False if enabled and not _usable(self._type, self.fast_dtype) else enabled
        self._before: list[tuple[bool, DType, bool]] = []

    def __enter__(self) -> autocast:
        device = self._type
        _check_switch("autocast", self._enabled)
        before = is_autocast_enabled(device), get_autocast_dtype(device), is_autocast_cache_enabled()
        self._before.append(before)
        remember_dtype(device, self.fast_dtype)
        set_autocast_enabled(device, self._enabled)
        nesting(1)
        set_autocast_cache_enabled(self._cache_enabled)
        return self

    def __exit__(self, *error: object) -> Literal[False]:
        enabled, dtype, cached = self._before.pop()
        if nesting(-1) == 0:
            clear_autocast_cache()
        remember_dtype(self._type, dtype)
        set_autocast_enabled(self._type, enabled)
        set_autocast_cache_enabled(cached)
        return False

    def __call__(self, func: Callable) -> Callable:
        if not callable(func):
            raise ArgumentTypeError(
                f"[autocast] autocast()(func) requires a callable, but got {type(func).__name__}; for a "
                "block of lines write `with autocast(...):`"
            )
        return autocast_decorator(self, func)


def autocast_decorator(autocast_instance: autocast, func: Callable) -> Callable:
    """The function with its call inside the region; what it hands out to run later, runs without."""

    @functools.wraps(func)
    def inside(*args: Any, **kwargs: Any) -> Any:
        with autocast_instance:
            return func(*args, **kwargs)

    return inside


def _enter_autocast(*arguments: Any) -> autocast:
    """Begin a region without a block, with autocast's arguments; gives what ends it."""
    return autocast(*arguments).__enter__()


def _exit_autocast(mode: autocast) -> None:
    """End a region that `_enter_autocast` began."""
    mode.__exit__(None, None, None)


def _usable(device_type: str, dtype: Any) -> bool:
    """Whether autocast can do anything here; says why not."""
    if device_type == "cuda":
        if not registry.available("cuda"):
            warnings.warn("[autocast] CUDA is not available. Disabling autocast.", stacklevel=3)
            return False
    elif dtype not in HALVES:
        warnings.warn(
            f"[autocast] In {device_type.upper()} autocast the target dtype is not supported: got {dtype}, "
            "and it takes bfloat16 and float16. Disabling autocast.",
            stacklevel=3,
        )
        return False
    return True


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


def _check_switch(function: str, enabled: Any) -> None:
    if not isinstance(enabled, bool):
        raise ArgumentTypeError(f"[{function}] enabled must be a bool, got {type(enabled).__name__}")


def set_autocast_enabled(device_type: str | bool, enabled: bool | None = None) -> None:
    """Switch autocast on or off in this thread; without a device type, for CUDA.

    Errors: ArgumentError for a device type that is not known, ArgumentTypeError for a switch that is no bool.
    """
    if enabled is None:
        device_type, enabled = "cuda", device_type  # type: ignore[assignment]
    _check_switch("set_autocast_enabled", enabled)
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


def is_autocast_available(device_type: str) -> bool:
    """Whether autocast knows this device type; whether there is such a device is another question.

    Errors: ArgumentTypeError for what is no text, ArgumentError for what is no device type at all.
    """
    if isinstance(device_type, str) and device_type == "meta":
        return False
    return bool(known("is_autocast_available", device_type))
