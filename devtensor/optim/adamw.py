"""PyTorch's path to AdamW."""

from __future__ import annotations

from devtensor.optim.adam import AdamW

__all__ = ["AdamW"]
