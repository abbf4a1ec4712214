"""autocast: a layer that chooses the dtype of each op's inputs."""

from __future__ import annotations

import warnings
from contextvars import ContextVar
from typing import Any

from devtensor.amp.policies import policy_of, table_of
from devtensor.backend import registry
from devtensor.core.device import Device, resolve
from devtensor.core.dtype import FLOAT, DType, as_dtype, bfloat16, float16, float32, float64, promote
from devtensor.core.errors import ArgumentError
from devtensor.core.op import Op
from devtensor.core.state import Layer, Switch, current, switched
from devtensor.core.tensor import Tensor
from devtensor.ops.create import cast

HALVES = (float16, bfloat16)

_defaults: ContextVar[dict[str, DType]] = ContextVar("devtensor_autocast", default={})  # noqa: B039 - never changed


class WeightCasts:
    """Casts of weights, made once a region: a weight used twice is cast once, and its gradient is one cast.

    A cast is used again only while the weight's memory is as it was. While a graph is captured that began
    inside the region none is used, since the graph must contain its own.
    """

    def __init__(self) -> None:
        self.listening = host_reads_refused()
        self.made: dict[tuple[Tensor, DType], tuple[Any, int, Tensor]] = {}

    def cast(self, weight: Tensor, dtype: DType) -> Tensor:
        """The weight in `dtype`."""
        if host_reads_refused() is not self.listening:
            return cast(weight, dtype)
        key = weight, dtype
        array, version, made = self.made.get(key, (None, 0, weight))
        if array is not weight.array or version != weight._version:
            made = cast(weight, dtype)
            self.made[key] = weight.array, weight._version, made
        return made


def host_reads_refused() -> bool:
    """Whether some layer, such as a capture, forbids to read a tensor's numbers."""
    return any(hasattr(layer, "host_read") for layer in current().layers)


class AutocastLayer(Layer):
    """Casts the floating-point inputs of ops on one device type as the device's policy table says.

    float64 stays. A composite that is cast, or is one node of the tape, runs with the layer off inside; any
    other leaves it on.
    """

    rank = 10
    forward_only = True

    def __init__(self, device_type: str, dtype: DType, casts: WeightCasts | None) -> None:
        self.device_type = device_type
        self.dtype = dtype
        self.casts = casts
        self.table = table_of(Device(device_type))

    @property
    def key(self) -> tuple[str, str, DType, bool]:
        """What two layers have in common that treat every op alike."""
        return "autocast", self.device_type, self.dtype, self.casts is not None

    def call(self, op: Op, inputs: tuple, params: tuple, below: Any) -> Any:
        policy = policy_of(op, inputs, self.table)
        if policy is not None and any(self.eligible(i) for i in inputs):
            target = self.target(policy, inputs)
            if target is not None:
                inputs = tuple([self.cast(i, target) if self.eligible(i) else i for i in inputs])
        elif op.differentiable is None:
            return below(op, inputs, params)
        if op.body is None:
            return below(op, inputs, params)
        with switched(layers=tuple(layer for layer in current().layers if layer is not self)):
            return below(op, inputs, params)

    def eligible(self, value: Any) -> bool:
        """Whether the layer may cast this input."""
        if not isinstance(value, Tensor):
            return False
        kind = value.kind
        return (
            kind.dtype.category == FLOAT
            and kind.dtype is not float64
            and kind.device.type == self.device_type
        )

    def target(self, policy: str, inputs: tuple) -> DType | None:
        """The dtype that eligible inputs are cast to; None if they stay."""
        if policy == "lower":
            return self.dtype
        if policy == "float32":
            return float32
        # Numbers without dimensions do not widen the others.
        dtypes = [i.kind.dtype for i in inputs if self.eligible(i) and i.array.ndim]
        widest = dtypes[0] if dtypes else None
        for dtype in dtypes[1:]:
            widest = promote(widest, dtype)  # type: ignore[arg-type]
        return None if all(dtype is widest for dtype in dtypes) else widest

    def cast(self, value: Tensor, dtype: DType) -> Tensor:
        """The input in `dtype`; a weight's cast is kept for the region."""
        if value.kind.dtype is dtype:
            return value
        weight = (
            value.requires_grad and value.node is None and value.kind.dtype is float32 and dtype in HALVES
        )
        viewed = value.alias is not None and value.alias.chain
        if weight and not viewed and self.casts is not None and current().grad:
            return self.casts.cast(value, dtype)
        return cast(value, dtype)


class autocast(Switch):
    """Within it, or within a function it decorates, ops on `device_type` run in the precision they need.

    Matrix products and convolutions run in `dtype` (by default float16 on CUDA, bfloat16 on the CPU), ops
    that need range in float32, by the device's table in devtensor.amp.policies. Backward runs in the dtypes
    that forward chose. Regions nest, and `enabled=False` switches off inside.

    Errors: ArgumentError for an unknown device type or a dtype that is not floating point. A device that is
    not available, or a dtype other than float16 and bfloat16, switches off with a warning.
    Example: `with autocast("cuda", dtype=devtensor.bfloat16): loss = model(x)`.
    """

    def __init__(
        self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        self.device_type = _known(device_type)
        self.dtype = None if dtype is None else as_dtype(dtype)
        self.cache_enabled = cache_enabled is not False
        self.enabled = bool(enabled) and _usable(device_type, self.dtype)
        self._entered: list[tuple[AutocastLayer | None, list[AutocastLayer]]] = []

    def again(self) -> autocast:
        return autocast(self.device_type, self.dtype, self.enabled, self.cache_enabled)

    def __enter__(self) -> autocast:
        outer = _active(self.device_type)
        for layer in outer:
            layer.__exit__()
        layer = None
        if self.enabled:
            casts = (outer[0].casts if outer else None) or WeightCasts()
            dtype = self.dtype or get_autocast_dtype(self.device_type)
            layer = AutocastLayer(self.device_type, dtype, casts if self.cache_enabled else None)
            layer.__enter__()
        self._entered.append((layer, outer))
        return self

    def __exit__(self, *error: object) -> None:
        layer, outer = self._entered.pop()
        if layer is not None:
            layer.__exit__()
        for displaced in outer:
            displaced.__enter__()


def _active(device_type: str) -> list[AutocastLayer]:
    """The layer that serves this device type now, if any, as a list."""
    layers = current().layers
    return [
        layer for layer in layers if isinstance(layer, AutocastLayer) and layer.device_type == device_type
    ]


def _known(device_type: Any) -> str:
    if not isinstance(device_type, str):
        raise ArgumentError(f"[autocast] device_type is {device_type!r}; give a text such as 'cuda' or 'cpu'")
    if device_type not in registry.names():
        known = ", ".join(registry.names())
        raise ArgumentError(f"[autocast] unsupported autocast device_type {device_type!r}; there are {known}")
    return device_type


def _usable(device_type: str, dtype: DType | None) -> bool:
    """Whether autocast can do anything here; says why not."""
    if dtype is not None and dtype.category != FLOAT:
        raise ArgumentError(f"[autocast] dtype is {dtype.name}; use float16 or bfloat16")
    if not registry.available(device_type):
        warnings.warn(f"autocast: device type {device_type!r} is not available; disabling", stacklevel=3)
        return False
    if dtype is not None and dtype not in HALVES:
        warnings.warn(f"autocast supports float16 and bfloat16, not {dtype.name}; disabling", stacklevel=3)
        return False
    return True


def is_autocast_available(device_type: str) -> bool:
    """Whether autocast can be used on this device type."""
    return device_type in registry.names() and registry.available(device_type)


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Whether this thread is in an enabled region now: for this device type, or for any if none is named."""
    return any(
        isinstance(layer, AutocastLayer) and device_type in (None, layer.device_type)
        for layer in current().layers
    )


def get_autocast_dtype(device_type: str) -> DType:
    """The dtype of the region this thread is in, or of the next one that names none."""
    active = _active(_known(device_type))
    if active:
        return active[0].dtype
    chosen = _defaults.get().get(device_type)
    if chosen is not None:
        return chosen
    follows_cpu = registry.available(device_type) and table_of(resolve(device_type)) is not None
    return bfloat16 if follows_cpu else float16


def set_autocast_dtype(device_type: str, dtype: Any) -> None:
    """The dtype of this thread's later regions that name none.

    Errors: ArgumentError unless it is float16 or bfloat16.
    """
    dtype = as_dtype(dtype)
    if dtype not in HALVES:
        raise ArgumentError(f"[set_autocast_dtype] got {dtype.name}; use float16 or bfloat16")
    _defaults.set(_defaults.get() | {_known(device_type): dtype})
