"""Batches in page-locked host memory, from which copies to an accelerator need not wait."""

from __future__ import annotations

import warnings
from typing import Any

from devtensor import backend
from devtensor.core.tensor import Tensor
from devtensor.utils.data.collate import map_leaves


def can_pin() -> bool:
    """Whether there is a device that pinned memory is for; warns if not."""
    if backend.available("cuda"):
        return True
    warnings.warn(
        "[DataLoader] got pin_memory=True, but no CUDA device is available; batches stay in pageable memory",
        stacklevel=4,
    )
    return False


def pin_memory(data: Any) -> Any:
    """Copy the tensors of a batch to pinned memory; objects with a method `pin_memory()` pin themselves."""
    return map_leaves(data, _pin)


def _pin(value: Any) -> Any:
    if isinstance(value, Tensor) or hasattr(value, "pin_memory"):
        return value.pin_memory()
    return value
