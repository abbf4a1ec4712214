"""PyTorch's path to autocast."""

from __future__ import annotations

from devtensor.amp.autocast import (
    _enter_autocast,
    _exit_autocast,
    autocast,
    autocast_decorator,
    is_autocast_available,
)
from devtensor.amp.custom_function import _cast, custom_bwd, custom_fwd

__all__ = [
    "_cast",
    "_enter_autocast",
    "_exit_autocast",
    "autocast",
    "autocast_decorator",
    "custom_bwd",
    "custom_fwd",
    "is_autocast_available",
]
