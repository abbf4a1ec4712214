"""PyTorch's path to the standard library's queue of multiprocessing."""

from __future__ import annotations

from multiprocessing.queues import Queue, SimpleQueue

__all__ = ["Queue", "SimpleQueue"]
