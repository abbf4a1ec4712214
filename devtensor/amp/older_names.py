"""Autocast by the names that PyTorch has at its top level, with the device type in them."""

from __future__ import annotations

from typing import Any

from devtensor.amp.autocast import get_autocast_dtype, is_autocast_enabled, set_autocast_dtype
from devtensor.core.dtype import DType

__all__ = [
    "clear_autocast_cache",
    "get_autocast_cpu_dtype",
    "get_autocast_gpu_dtype",
    "is_autocast_cache_enabled",
    "is_autocast_cpu_enabled",
    "set_autocast_cache_enabled",
    "set_autocast_cpu_dtype",
    "set_autocast_gpu_dtype",
]

_cache = [True]


def get_autocast_gpu_dtype() -> DType:
    """The dtype that products on CUDA run in within autocast."""
    return get_autocast_dtype("cuda")


def get_autocast_cpu_dtype() -> DType:
    """The dtype that products on the CPU run in within autocast."""
    return get_autocast_dtype("cpu")


def set_autocast_gpu_dtype(dtype: Any) -> None:
    """The dtype of later regions on CUDA that name none."""
    set_autocast_dtype("cuda", dtype)


def set_autocast_cpu_dtype(dtype: Any) -> None:
    """The dtype of later regions on the CPU that name none."""
    set_autocast_dtype("cpu", dtype)


def is_autocast_cpu_enabled() -> bool:
    """Whether this thread is in an enabled region of the CPU."""
    return is_autocast_enabled("cpu")


def is_autocast_cache_enabled() -> bool:
    """What `set_autocast_cache_enabled` was told."""
    return _cache[0]


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Kept and given back; a region's own `cache_enabled` decides whether casts of weights are kept."""
    _cache[0] = bool(enabled)


def clear_autocast_cache() -> None:
    """Taken, without effect: kept casts go with the region that made them."""
