"""Batches in page-locked host memory, from which copies to an accelerator need not wait."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from devtensor import backend
from devtensor.utils.data.collate import like_mapping, like_sequence


def can_pin(device: str = "") -> bool:
    """Whether there is a device that pinned memory is for; warns if not, or if the user names one."""
    if device:
        warnings.warn(
            f"[DataLoader] got pin_memory_device={device!r}, which is ignored: "
            "memory is pinned for the current accelerator",
            stacklevel=4,
        )
    if backend.available("cuda"):
        return True
    warnings.warn(
        "[DataLoader] got pin_memory=True, but no accelerator is available; batches stay in pageable memory",
        stacklevel=4,
    )
    return False


def pin_memory(data: Any, device: Any = None) -> Any:
    """Copy the tensors of a batch to pinned memory; objects with a method `pin_memory()` pin themselves.

    Containers are rebuilt around them, tuples as tuples; `device` is taken and changes nothing.
    """
    if hasattr(data, "pin_memory"):
        return data.pin_memory()
    if isinstance(data, Mapping):
        return like_mapping(data, {key: pin_memory(value) for key, value in data.items()})
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        pinned = [pin_memory(value) for value in data]
        return tuple(pinned) if type(data) is tuple else like_sequence(data, pinned)
    return data
