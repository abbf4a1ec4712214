"""PyTorch's path to the handle that takes a hook away again."""

from __future__ import annotations

from devtensor.core.hooks import RemovableHandle

__all__ = ["RemovableHandle"]
