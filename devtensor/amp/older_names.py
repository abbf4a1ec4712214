"""Autocast by the names that PyTorch has at its top level, with the device type in them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from devtensor.amp.layer import is_autocast_enabled, set_autocast_dtype, set_autocast_enabled
from devtensor.amp.settings import get_autocast_dtype
from devtensor.core.naming import named

# What a name says in the place of a device type -> the device type.
DEVICE_TYPES = {"cpu": "cpu", "gpu": "cuda", "ipu": "ipu", "xla": "xla"}
# Names around the device type -> the function for any of them, and what it is for.
FUNCTIONS: dict[str, tuple[Callable, str]] = {
    "get_autocast_{}_dtype": (get_autocast_dtype, "The dtype that products on {} run in within autocast."),
    "set_autocast_{}_dtype": (set_autocast_dtype, "Set the dtype that products on {} run in."),
    "is_autocast_{}_enabled": (is_autocast_enabled, "Whether this thread is in an enabled region of {}."),
    "set_autocast_{}_enabled": (set_autocast_enabled, "Switch autocast on {} on or off in this thread."),
}


def warn_older(name: str, newer: str) -> None:
    """Say what to write instead of a name in `cuda.amp` or `cpu.amp`."""
    warnings.warn(f"[{name}] is deprecated; write {newer}", FutureWarning, stacklevel=3)


def _older(name: str, function: Callable, device_type: str, doc: str) -> Callable:
    """The function for one device type, which says what to write instead."""

    def older(*arguments: Any) -> Any:
        warnings.warn(
            f"[{name}] is deprecated; write {function.__name__}({device_type!r}, ...)",
            DeprecationWarning,
            stacklevel=2,
        )
        return function(device_type, *arguments)

    return named(older, name, doc)


def _all() -> dict[str, Callable]:
    return {
        pattern.format(word): _older(
            pattern.format(word), function, device_type, doc.format(device_type.upper())
        )
        for pattern, (function, doc) in FUNCTIONS.items()
        for word, device_type in DEVICE_TYPES.items()
        if (pattern[-8:], word) != ("_enabled", "gpu")
    }


__all__: list[str] = []
for _name, _function in _all().items():
    globals()[_name] = _function
    __all__ += [_name]
