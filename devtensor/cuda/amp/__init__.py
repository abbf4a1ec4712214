"""Mixed precision on CUDA by its older names: `devtensor.amp` with the device type filled in."""

from __future__ import annotations

from devtensor.cuda.amp.autocast_mode import autocast, custom_bwd, custom_fwd
from devtensor.cuda.amp.common import amp_definitely_not_available
from devtensor.cuda.amp.grad_scaler import GradScaler

__all__ = ["GradScaler", "amp_definitely_not_available", "autocast", "custom_bwd", "custom_fwd"]
