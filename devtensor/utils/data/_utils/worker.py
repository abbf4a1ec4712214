"""PyTorch's private path to what a worker knows of itself."""

from __future__ import annotations

from devtensor.utils.data.worker_info import WorkerInfo, get_worker_info

__all__ = ["WorkerInfo", "get_worker_info"]
