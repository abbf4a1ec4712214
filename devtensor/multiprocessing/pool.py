"""PyTorch's path to the standard library's pool of multiprocessing."""

from __future__ import annotations

from multiprocessing.pool import Pool

__all__ = ["Pool"]
