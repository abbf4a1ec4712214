"""Automatic mixed precision: `autocast` chooses dtypes, `GradScaler` keeps float16 gradients in range."""

from devtensor.amp.autocast import is_autocast_enabled, set_autocast_dtype
from devtensor.amp.autocast_mode import (
    _enter_autocast,
    _exit_autocast,
    autocast,
    custom_bwd,
    custom_fwd,
    is_autocast_available,
)
from devtensor.amp.grad_scaler import GradScaler
from devtensor.amp.settings import get_autocast_dtype

__all__ = [
    "GradScaler",
    "_enter_autocast",
    "_exit_autocast",
    "autocast",
    "custom_bwd",
    "custom_fwd",
    "get_autocast_dtype",
    "is_autocast_available",
    "is_autocast_enabled",
    "set_autocast_dtype",
]
