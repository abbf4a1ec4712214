"""PyTorch's path to the switches that decide whether ops are recorded."""

from __future__ import annotations

from devtensor.core.state import enable_grad, inference_mode, no_grad, set_grad_enabled

__all__ = ["enable_grad", "inference_mode", "no_grad", "set_grad_enabled"]
