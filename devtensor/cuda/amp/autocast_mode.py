"""Autocast on CUDA by its older names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor import amp
from devtensor.amp.autocast_mode import _cast as cast_on
from devtensor.amp.older_names import warn_older
from devtensor.core.dtype import float16

__all__ = ["autocast", "custom_bwd", "custom_fwd"]


class autocast(amp.autocast):
    """`devtensor.amp.autocast` on CUDA, by default in float16."""

    def __init__(self, enabled: bool = True, dtype: Any = float16, cache_enabled: bool = True) -> None:
        warn_older("cuda.amp.autocast", "amp.autocast('cuda', ...)")
        super().__init__("cuda", enabled=enabled, dtype=dtype, cache_enabled=cache_enabled)


def custom_fwd(fwd: Callable | None = None, *, cast_inputs: Any = None) -> Callable:
    """`devtensor.amp.custom_fwd` on CUDA."""
    warn_older("cuda.amp.custom_fwd", "amp.custom_fwd(..., device_type='cuda')")
    return amp.custom_fwd(fwd, device_type="cuda", cast_inputs=cast_inputs)


def custom_bwd(bwd: Callable) -> Callable:
    """`devtensor.amp.custom_bwd` on CUDA."""
    warn_older("cuda.amp.custom_bwd", "amp.custom_bwd(..., device_type='cuda')")
    return amp.custom_bwd(bwd, device_type="cuda")


def _cast(value: Any, dtype: Any) -> Any:
    """The value with its floating-point tensors on CUDA in `dtype`."""
    warn_older("cuda.amp.autocast_mode._cast", "amp.autocast_mode._cast(value, 'cuda', dtype)")
    return cast_on(value, "cuda", dtype)
