"""What autocast knows of this thread: dtypes by device type, kept casts, and how deep regions nest."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from devtensor.backend import registry
from devtensor.core.dtype import DType, bfloat16, float16
from devtensor.core.errors import ArgumentError, ArgumentTypeError

HALVES = (float16, bfloat16)
# Device types that PyTorch has autocast for; whatever is registered beside them has it too.
DEVICE_TYPES = ("cpu", "cuda", "mtia", "maia", "xpu", "ipu", "hpu", "xla", "mps")
IN_BFLOAT16 = ("cpu", "hpu", "maia", "xla")

_dtypes: ContextVar[dict[str, DType]] = ContextVar("devtensor_autocast", default={})  # noqa: B039 - never changed
_cached: ContextVar[bool] = ContextVar("devtensor_autocast_cache", default=True)
_depth: ContextVar[int] = ContextVar("devtensor_autocast_depth", default=0)
_kept: ContextVar[dict[str, Any]] = ContextVar("devtensor_autocast_kept", default={})  # noqa: B039 - never changed


def known(function: str, device_type: Any) -> str:
    """The device type, if autocast knows it; of one device, as in "cuda:0", its type.

    Errors: ArgumentTypeError for what is no text, ArgumentError for any other.
    """
    if not isinstance(device_type, str):
        raise ArgumentTypeError(
            f"[{function}] argument 'device_type' must be str, not {type(device_type).__name__}"
        )
    names = [*DEVICE_TYPES, *(n for n in registry.names() if n not in DEVICE_TYPES and n != "meta")]
    name, colon, index = device_type.partition(":")
    if name not in names or (colon and not index.isdecimal()):
        raise ArgumentError(
            f"[{function}] unsupported autocast device_type {device_type!r}; there are {', '.join(names)}"
        )
    return name


def get_autocast_dtype(device_type: str) -> DType:
    """The dtype of the region this thread is in, or of the next one that names none.

    Errors: ArgumentError for a device type that is not known.
    """
    device_type = known("get_autocast_dtype", device_type)
    chosen = _dtypes.get().get(device_type)
    if chosen is not None:
        return chosen
    if device_type in registry.names() and registry.available(device_type):
        backend = registry.get(device_type)
        return bfloat16 if getattr(backend, "amp_policy", "cuda") == "cpu" else float16
    return bfloat16 if device_type in IN_BFLOAT16 else float16


def remember_dtype(device_type: str, dtype: Any) -> None:
    """Note the dtype of this thread's regions on a device type."""
    _dtypes.set(_dtypes.get() | {device_type: dtype})


def nesting(change: int) -> int:
    """How many regions this thread is in, after going into one more, or out of one."""
    _depth.set(_depth.get() + change)
    return _depth.get()


def autocast_increment_nesting() -> int:
    """Count one region more; gives how many there are."""
    return nesting(1)


def autocast_decrement_nesting() -> int:
    """Count one region less; gives how many there are."""
    return nesting(-1)


def is_autocast_cache_enabled() -> bool:
    """Whether casts of weights are kept now."""
    return _cached.get()


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Keep casts of weights from here on, or make them anew each time.

    Errors: ArgumentTypeError for what is no bool.
    """
    if not isinstance(enabled, bool):
        raise ArgumentTypeError(
            f"[set_autocast_cache_enabled] enabled must be a bool (got {type(enabled).__name__})"
        )
    _cached.set(enabled)


def kept_casts(make: Any) -> Any:
    """This thread's casts of weights; `make` gives the place for them when there is none yet."""
    found = _kept.get().get("casts")
    if found is None:
        found = make()
        _kept.set({"casts": found})
    return found


def clear_autocast_cache() -> None:
    """Let go of the casts of weights that this thread's regions have kept."""
    _kept.set({})
