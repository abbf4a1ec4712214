"""Automatic mixed precision: `autocast` chooses dtypes, `GradScaler` keeps float16 gradients in range."""

from devtensor.amp.autocast import (
    autocast,
    get_autocast_dtype,
    is_autocast_available,
    is_autocast_enabled,
    set_autocast_dtype,
)
from devtensor.amp.custom_function import custom_bwd, custom_fwd
from devtensor.amp.grad_scaler import GradScaler

__all__ = [
    "GradScaler",
    "autocast",
    "custom_bwd",
    "custom_fwd",
    "get_autocast_dtype",
    "is_autocast_available",
    "is_autocast_enabled",
    "set_autocast_dtype",
]
