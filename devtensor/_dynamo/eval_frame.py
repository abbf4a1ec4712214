"""PyTorch's path to the class of compiled modules."""

from __future__ import annotations

from devtensor.compiler import OptimizedModule

__all__ = ["OptimizedModule"]
