"""PyTorch's private path to what pins a batch."""

from __future__ import annotations

from devtensor.utils.data.pinning import pin_memory

__all__ = ["pin_memory"]
