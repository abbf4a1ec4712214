"""PyTorch's path to layers that trade channels for pixels."""

from __future__ import annotations

from devtensor.nn.modules.shuffling import PixelShuffle, PixelUnshuffle

__all__ = ["PixelShuffle", "PixelUnshuffle"]
