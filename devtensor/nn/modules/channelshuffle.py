"""PyTorch's path to the layer that mixes groups of channels."""

from __future__ import annotations

from devtensor.nn.modules.shuffling import ChannelShuffle

__all__ = ["ChannelShuffle"]
