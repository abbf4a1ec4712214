"""A kernel's arguments in the form in which the driver takes them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from devtensor_cupy.compile.registry import Entry

C_KINDS: dict[str, Any] = {
    "pointer": ctypes.c_void_p,
    "int64": ctypes.c_longlong,
    "int32": ctypes.c_int,
    "float32": ctypes.c_float,
    "float64": ctypes.c_double,
}


@dataclass(frozen=True)
class Packed:
    """`pointers` points at each of `values`, which must live until the launch call returns."""

    pointers: Any
    values: list[Any]

    @property
    def address(self) -> int:
        """Where the pointers lie."""
        return ctypes.addressof(self.pointers)


def packed(entry: Entry, values: Sequence[Any]) -> Packed:
    """The arguments of a launch: addresses (None: a null pointer) and numbers, as the entry wants them.

    Errors: TypeError for too few or too many.
    """
    if len(values) != len(entry.arguments):
        wanted = ", ".join(entry.arguments)
        raise TypeError(
            f"[{entry.name}] {len(values)} arguments are given; needs {len(entry.arguments)}: {wanted}"
        )
    held = [C_KINDS[kind](value) for kind, value in zip(entry.arguments, values, strict=True)]
    pointers = (ctypes.c_void_p * len(held))(*(ctypes.addressof(value) for value in held))
    return Packed(pointers, held)
