"""Mixed precision on the CPU by its older names: `devtensor.amp` with the device type filled in."""

from __future__ import annotations

from devtensor.cpu.amp.autocast_mode import autocast
from devtensor.cpu.amp.grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast"]
