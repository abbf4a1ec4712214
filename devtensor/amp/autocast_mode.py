"""PyTorch's path to autocast."""

from __future__ import annotations

from devtensor.amp.autocast import autocast, is_autocast_available
from devtensor.amp.custom_function import custom_bwd, custom_fwd

__all__ = ["autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]
