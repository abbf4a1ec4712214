"""The order in which the weights of convolutions lie in memory."""

from __future__ import annotations

from typing import Any, TypeVar

from devtensor.nn.modules.conv import Conv2d, Conv3d, ConvTranspose2d, ConvTranspose3d
from devtensor.nn.modules.module import Module

__all__ = ["convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format"]

SomeModule = TypeVar("SomeModule", bound=Module)


def _convert(module: Module, kinds: tuple[type, ...], memory_format: Any) -> None:
    for part in module.modules():
        if isinstance(part, kinds):
            weight: Any = part.weight
            weight.data = weight.detach().clone(memory_format=memory_format)


def convert_conv2d_weight_memory_format(module: SomeModule, memory_format: Any) -> SomeModule:
    """Lay out the weights of all Conv2d and ConvTranspose2d in a module, or of itself, in a memory format."""
    _convert(module, (Conv2d, ConvTranspose2d), memory_format)
    return module


def convert_conv3d_weight_memory_format(module: SomeModule, memory_format: Any) -> SomeModule:
    """Lay out the weights of all Conv3d and ConvTranspose3d in a module, or of itself, in a memory format."""
    _convert(module, (Conv3d, ConvTranspose3d), memory_format)
    return module
