"""Functions with a backward of their own inside autocast: `custom_fwd` and `custom_bwd`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from devtensor.amp.autocast import autocast, is_autocast_enabled
from devtensor.amp.casts import eligible
from devtensor.amp.settings import get_autocast_dtype
from devtensor.core.dtype import DType
from devtensor.core.errors import ArgumentError
from devtensor.core.tensor import Tensor

__all__ = ["custom_bwd", "custom_fwd"]


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
