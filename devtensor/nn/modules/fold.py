"""PyTorch's path to layers between images and columns of their patches."""

from __future__ import annotations

from devtensor.nn.modules.shuffling import Fold, Unfold

__all__ = ["Fold", "Unfold"]
