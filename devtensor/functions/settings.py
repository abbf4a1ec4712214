"""Switches and limits: default dtype and device, threads, determinism, numbers that dtypes hold."""

from __future__ import annotations

import importlib
import os
import warnings
from contextlib import suppress
from typing import Any

from devtensor.backend.wishes import wishes
from devtensor.core import dtype as dtypes
from devtensor.core.device import Device, default_device
from devtensor.core.dtype import INTEGER, DType, as_dtype, default_dtype
from devtensor.core.errors import ArgumentTypeError, SettingError
from devtensor.core.tensor import Tensor
from devtensor.functions.legacy import legacy_name

__all__ = [
    "are_deterministic_algorithms_enabled",
    "compiled_with_cxx11_abi",
    "finfo",
    "get_default_device",
    "get_default_dtype",
    "get_deterministic_debug_mode",
    "get_float32_matmul_precision",
    "get_num_interop_threads",
    "get_num_threads",
    "iinfo",
    "is_deterministic_algorithms_warn_only_enabled",
    "is_warn_always_enabled",
    "set_deterministic_debug_mode",
    "set_float32_matmul_precision",
    "set_num_interop_threads",
    "set_num_threads",
    "set_warn_always",
    "typename",
    "use_deterministic_algorithms",
]


class finfo(dtypes.finfo):
    """Limits of a floating-point dtype, the default one if none is named."""

    __slots__ = ()

    def __new__(cls, type: Any = None) -> finfo:
        wanted = default_dtype() if type is None else as_dtype(type)
        if not wanted.differentiable:
            raise ArgumentTypeError(f"[finfo] {wanted} is no floating-point dtype; use iinfo for integers")
        return super().__new__(cls, *dtypes.finfo.of(wanted))

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
            f"smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})"
        )


class iinfo(dtypes.iinfo):
    """Limits of an integer dtype."""

    __slots__ = ()

    def __new__(cls, type: Any) -> iinfo:
        wanted = as_dtype(type)
        if wanted.category != INTEGER:
            raise ArgumentTypeError(f"[iinfo] {wanted} is no integer dtype; use finfo for floating point")
        return super().__new__(cls, *dtypes.iinfo.of(wanted))

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


def get_default_dtype() -> DType:
    """The dtype of tensors made from Python floats."""
    return default_dtype()


def get_default_device() -> Device:
    """The device of new tensors when none is named."""
    return default_device()


_threads = {"math": os.cpu_count() or 1, "interop": 1}
_interop_was_set = [False]
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def _thread_count(name: str, num: Any) -> int:
    if not isinstance(num, int) or isinstance(num, bool):
        raise SettingError(f"[{name}] {name} expects an int, but got {type(num).__name__}")
    if num < 1:
        raise SettingError(f"[{name}] {name} expects a positive integer, got {num}")
    return num


def get_num_threads() -> int:
    """How many threads the libraries underneath were asked to use."""
    return _threads["math"]


def set_num_threads(num: int) -> None:
    """Limit the threads of the math libraries underneath.

    With the package threadpoolctl libraries that are loaded already are limited at once; without it only
    those that are loaded later take the number, from the environment.

    Errors: SettingError unless it is a positive int.
    """
    _threads["math"] = _thread_count("set_num_threads", num)
    for name in THREAD_VARIABLES:
        os.environ[name] = str(num)
    with suppress(ImportError):
        importlib.import_module("threadpoolctl").threadpool_limits(num)


def get_num_interop_threads() -> int:
    """How many ops run side by side: what was set, without effect."""
    return _threads["interop"]


def set_num_interop_threads(num: int) -> None:
    """Kept and given back; ops run one after the other.

    Errors: SettingError unless it is a positive int, or at a second call.
    """
    _thread_count("set_num_interop_threads", num)
    if _interop_was_set[0]:
        raise SettingError(
            "[set_num_interop_threads] cannot set number of interop threads after "
            "set_num_interop_threads was called"
        )
    _interop_was_set[0], _threads["interop"] = True, num


_warn_only = [False]
DEBUG_MODES = ("default", "warn", "error")


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Whether sums by index on CUDA are taken in the same order every time, at the cost of a sort; all other
    kernels give the same result every time as it is. So nothing is refused, and there is nothing to warn of.

    Errors: ArgumentTypeError unless both are bools.
    """
    for name, value in (("mode", mode), ("warn_only", warn_only)):
        if not isinstance(value, bool):
            raise ArgumentTypeError(
                f"[use_deterministic_algorithms] {name} must be bool, not {type(value).__name__}"
            )
    wishes.deterministic, _warn_only[0] = mode, warn_only


def are_deterministic_algorithms_enabled() -> bool:
    """What `use_deterministic_algorithms` was told."""
    return wishes.deterministic


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """What `use_deterministic_algorithms` was told of warnings."""
    return _warn_only[0]


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """The same as one word or number: "default" (0), "warn" (1) or "error" (2).

    Errors: SettingError for another, ArgumentTypeError for another kind of value.
    """
    if not isinstance(debug_mode, int | str):
        raise ArgumentTypeError(
            f"[set_deterministic_debug_mode] debug_mode must be str or int, but got {type(debug_mode)}"
        )
    if debug_mode not in DEBUG_MODES and debug_mode not in range(len(DEBUG_MODES)):
        raise SettingError(
            f"[set_deterministic_debug_mode] got {debug_mode!r}; it needs one of {', '.join(DEBUG_MODES)}, "
            "or 0, 1, 2"
        )
    level = debug_mode if isinstance(debug_mode, int) else DEBUG_MODES.index(debug_mode)
    use_deterministic_algorithms(level > 0, warn_only=level == 1)


def get_deterministic_debug_mode() -> int:
    """0 for "default", 1 for "warn", 2 for "error"."""
    return 0 if not wishes.deterministic else 1 if _warn_only[0] else 2


PRECISIONS = ("highest", "high", "medium")
_precision = ["highest"]


def set_float32_matmul_precision(precision: str) -> None:
    """Kept and given back; float32 products are computed in float32. Unknown words only give a warning."""
    if precision in PRECISIONS:
        _precision[0] = precision
    else:
        warnings.warn(
            f"{precision} is not one of 'highest', 'high', or 'medium'; set_float32_matmul_precision has no "
            "effect",
            stacklevel=2,
        )


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` was told."""
    return _precision[0]


_warn_always = [False]


def set_warn_always(b: bool) -> None:
    """Kept and given back; how often warnings show is Python's own setting."""
    _warn_always[0] = bool(b)


def is_warn_always_enabled() -> bool:
    """What `set_warn_always` was told."""
    return _warn_always[0]


def compiled_with_cxx11_abi() -> bool:
    """Whether libraries in C++ would be linked by today's rules: yes, and there are none."""
    return True


def typename(obj: Any) -> str:
    """The name of an object's type with its module; of a type or a function, its own."""
    if isinstance(obj, Tensor):
        return legacy_name(obj)
    named = obj if hasattr(obj, "__qualname__") else type(obj)
    module = getattr(named, "__module__", None)
    return named.__qualname__ if module in (None, "", "builtins") else f"{module}.{named.__qualname__}"
