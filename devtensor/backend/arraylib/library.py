"""What the generic kernels know of the array library they run on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

from devtensor.backend.protocol import DTYPES, Kernel

HALF_TYPES = frozenset({"float16", "bfloat16"})
EXTENSIONS = frozenset({"bfloat16", "float8_e4m3fn", "float8_e5m2"})
"""Dtypes that ml_dtypes adds to NumPy."""


@dataclass(frozen=True)
class Library:
    """A NumPy-like namespace, with its dtypes by name.

    `host` says that reading an array's values costs nothing, so that kernels may check divisors and indices.
    `add_at(target, index, values)` adds in place, as often as an index occurs; by default NumPy's `add.at`.
    `total` is the library's sum: on a host the reduction of its addition, where there is one, so that a
    warning of an overflow names the kernel, not a module of the library's.
    """

    xp: Any
    host: bool = True
    add_at: Any = None
    dtypes: dict[str, Any] = field(init=False)
    total: Any = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtypes", find_dtypes(self.xp))
        reduce = getattr(self.xp.add, "reduce", None) if self.host else None
        object.__setattr__(self, "total", reduce or self.xp.sum)
        if self.add_at is None:
            object.__setattr__(self, "add_at", self.xp.add.at)

    def bind(self, functions: dict[str, Callable[..., Any]]) -> dict[str, Kernel]:
        """Kernels from functions whose first parameter is the library."""
        return {name: partial(function, self) for name, function in functions.items()}


def find_dtypes(xp: Any) -> dict[str, Any]:
    """The library's dtype for each name that it has; ml_dtypes fills in what `xp` lacks."""
    found = {}
    for name in DTYPES:
        dtype = getattr(xp, "bool_" if name == "bool" else name, None)
        if dtype is None and name in EXTENSIONS:
            dtype = import_extension(name)
        if dtype is not None:
            found[name] = xp.dtype(dtype)
    return found


def import_extension(name: str) -> Any:
    """ml_dtypes' dtype of that name, or None if the package is not there."""
    try:
        import ml_dtypes
    except ImportError:
        return None
    return getattr(ml_dtypes, name)


def dtype_name(x: Any) -> str:
    """Name of the dtype of an array of a NumPy-like library."""
    return _name_of(x.dtype)


@lru_cache
def _name_of(dtype: Any) -> str:
    """Libraries spell the name out anew each time they are asked, which costs as much as a small kernel."""
    return dtype.name


def is_floating(x: Any) -> bool:
    """True for the four floating dtypes (bfloat16 is of kind 'V' to NumPy)."""
    return x.dtype.kind == "f" or x.dtype.name == "bfloat16"
