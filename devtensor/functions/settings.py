"""Switches and limits: default dtype and device, threads, determinism, numbers that dtypes hold."""

from __future__ import annotations

import os
from typing import Any

from devtensor.core import dtype as dtypes
from devtensor.core.device import Device, default_device
from devtensor.core.dtype import DType, as_dtype, default_dtype
from devtensor.core.errors import ArgumentError

__all__ = [
    "are_deterministic_algorithms_enabled",
    "finfo",
    "get_default_device",
    "get_default_dtype",
    "get_float32_matmul_precision",
    "get_num_interop_threads",
    "get_num_threads",
    "iinfo",
    "is_deterministic_algorithms_warn_only_enabled",
    "set_float32_matmul_precision",
    "set_num_interop_threads",
    "set_num_threads",
    "typename",
    "use_deterministic_algorithms",
]


class finfo(dtypes.finfo):
    """Limits of a floating-point dtype, the default one if none is named."""

    __slots__ = ()

    def __new__(cls, type: Any = None) -> finfo:
        return super().__new__(cls, *dtypes.finfo.of(default_dtype() if type is None else as_dtype(type)))


class iinfo(dtypes.iinfo):
    """Limits of an integer dtype."""

    __slots__ = ()

    def __new__(cls, type: Any) -> iinfo:
        return super().__new__(cls, *dtypes.iinfo.of(as_dtype(type)))


def get_default_dtype() -> DType:
    """The dtype of tensors made from Python floats."""
    return default_dtype()


def get_default_device() -> Device:
    """The device of new tensors when none is named."""
    return default_device()


_threads = {"math": os.cpu_count() or 1, "interop": 1}
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def get_num_threads() -> int:
    """How many threads the libraries underneath were asked to use."""
    return _threads["math"]


def set_num_threads(num: int) -> None:
    """Ask libraries that are loaded later to use so many threads; what runs already keeps its own count.

    Errors: ArgumentError unless positive.
    """
    if num < 1:
        raise ArgumentError(f"[set_num_threads] expects a positive integer, got {num}")
    _threads["math"] = num
    for name in THREAD_VARIABLES:
        os.environ[name] = str(num)


def get_num_interop_threads() -> int:
    """How many ops run side by side: what was set, without effect."""
    return _threads["interop"]


def set_num_interop_threads(num: int) -> None:
    """Kept and given back; ops run one after the other."""
    _threads["interop"] = num


_deterministic = {"on": False, "warn_only": False}


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Kept and given back; kernels give the same result every time as it is, but for sums by index on
    CUDA."""
    _deterministic.update(on=bool(mode), warn_only=bool(warn_only))


def are_deterministic_algorithms_enabled() -> bool:
    """What `use_deterministic_algorithms` was told."""
    return _deterministic["on"]


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """What `use_deterministic_algorithms` was told of warnings."""
    return _deterministic["warn_only"]


PRECISIONS = ("highest", "high", "medium")
_precision = ["highest"]


def set_float32_matmul_precision(precision: str) -> None:
    """Kept and given back; float32 products are computed in float32.

    Errors: ArgumentError for an unknown word.
    """
    if precision not in PRECISIONS:
        raise ArgumentError(
            f"[set_float32_matmul_precision] got {precision!r}; it needs one of {', '.join(PRECISIONS)}"
        )
    _precision[0] = precision


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` was told."""
    return _precision[0]


def typename(obj: Any) -> str:
    """The name of an object's type with its module."""
    if hasattr(obj, "dtype") and hasattr(obj, "array"):
        from devtensor.functions.legacy import legacy_name

        return legacy_name(obj)
    kind = type(obj)
    return (
        kind.__qualname__ if kind.__module__ in ("", "builtins") else f"{kind.__module__}.{kind.__qualname__}"
    )
