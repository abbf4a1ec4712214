"""Automatic mixed precision: `autocast` chooses dtypes, `GradScaler` keeps float16 gradients in range."""

from devtensor.amp.autocast_mode import _enter_autocast as _enter_autocast
from devtensor.amp.autocast_mode import _exit_autocast as _exit_autocast
from devtensor.amp.autocast_mode import autocast, custom_bwd, custom_fwd, is_autocast_available
from devtensor.amp.grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]
