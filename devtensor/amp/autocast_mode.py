"""PyTorch's path to autocast."""

from __future__ import annotations

from devtensor.amp.autocast import _enter_autocast as _enter_autocast
from devtensor.amp.autocast import _exit_autocast as _exit_autocast
from devtensor.amp.autocast import autocast, autocast_decorator, is_autocast_available
from devtensor.amp.custom_function import _cast as _cast
from devtensor.amp.custom_function import custom_bwd, custom_fwd

__all__ = ["autocast", "autocast_decorator", "custom_bwd", "custom_fwd", "is_autocast_available"]
