"""autocast, in regions and around functions, and what functions with a backward of their own need in it."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from devtensor.amp.casts import eligible
from devtensor.amp.layer import check_switch, is_autocast_enabled, set_autocast_enabled
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
from devtensor.core.dtype import DType, as_dtype
from devtensor.core.errors import ArgumentError, ArgumentTypeError
from devtensor.core.tensor import Tensor

__all__ = ["autocast", "autocast_decorator", "custom_bwd", "custom_fwd", "is_autocast_available"]


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
        _check_device_type("autocast", device_type)
        self.device = device_type
        self._type = known("autocast", device_type)
        dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        self.fast_dtype = as_dtype(dtype) if isinstance(dtype, str) else dtype
        self._cache_enabled = is_autocast_cache_enabled() if cache_enabled is None else cache_enabled
        self._enabled = False if enabled and not _usable(self._type, self.fast_dtype) else enabled
        self._before: list[tuple[bool, DType, bool]] = []

    def __enter__(self) -> autocast:
        device = self._type
        before = is_autocast_enabled(device), get_autocast_dtype(device), is_autocast_cache_enabled()
        check_switch("autocast", self._enabled)
        set_autocast_cache_enabled(self._cache_enabled)
        self._before.append(before)
        remember_dtype(device, self.fast_dtype)
        set_autocast_enabled(device, self._enabled)
        nesting(1)
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


def is_autocast_available(device_type: str) -> bool:
    """Whether autocast knows this device type; whether there is such a device is another question.

    Errors: ArgumentTypeError for what is no text, ArgumentError for what is no device type at all.
    """
    if isinstance(device_type, str) and device_type == "meta":
        return False
    return bool(known("is_autocast_available", device_type))


def _cast(value: Any, device_type: str, dtype: DType) -> Any:
    """The value with its floating-point tensors on the device type in `dtype`; float64 stays."""
    if isinstance(value, Tensor):
        return value.to(dtype) if eligible(value, device_type) else value  # type: ignore[attr-defined]
    if isinstance(value, (str, bytes)) or hasattr(value, "__array_interface__"):
        return value
    if isinstance(value, Mapping):
        return {_cast(k, device_type, dtype): _cast(v, device_type, dtype) for k, v in value.items()}
    if not isinstance(value, Iterable):
        return value
    items = (_cast(item, device_type, dtype) for item in value)
    if not isinstance(value, (list, tuple)):
        return items
    return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)


def _check_device_type(function: str, device_type: Any) -> None:
    if not isinstance(device_type, str):
        raise ArgumentError(
            f"[{function}] Expected `device_type` of type `str`, got {type(device_type)}; give 'cuda', say"
        )


def custom_fwd(
    fwd: Callable | None = None, *, device_type: str, cast_inputs: DType | None = None
) -> Callable[..., Any]:
    """Decorate `forward` of an autograd Function: it remembers autocast's state for `custom_bwd`.

    With `cast_inputs` it runs outside autocast, with its floating-point inputs in that dtype, where autocast
    was on.
    """
    _check_device_type("custom_fwd", device_type)
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def forward(*args: Any, **kwargs: Any) -> Any:
        context = args[0]
        context._dtype = get_autocast_dtype(device_type)
        enabled = is_autocast_enabled(device_type)
        context._fwd_used_autocast = enabled and cast_inputs is None
        if not enabled or cast_inputs is None:
            return fwd(*args, **kwargs)
        with autocast(device_type, enabled=False):
            return fwd(*_cast(args, device_type, cast_inputs), **_cast(kwargs, device_type, cast_inputs))

    return forward


def custom_bwd(bwd: Callable | None = None, *, device_type: str) -> Callable[..., Any]:
    """Decorate `backward` of a Function whose `forward` has `custom_fwd`: it runs in the same autocast."""
    _check_device_type("custom_bwd", device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def backward(*args: Any, **kwargs: Any) -> Any:
        context = args[0]
        with autocast(device_type, enabled=context._fwd_used_autocast, dtype=context._dtype):
            return bwd(*args, **kwargs)

    return backward
