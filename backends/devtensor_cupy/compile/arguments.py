"""A kernel's arguments in the form in which the driver takes them."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from typing import Any

from devtensor_cupy.compile.registry import Entry
from devtensor_cupy.compile.walks import Axes, Walk

STRUCTURES: dict[str, Any] = {"walk": Walk, "axes": Axes}
FORMS = {"pointer": "Q", "int64": "q", "int32": "i4x", "float32": "f4x", "float64": "d"}
"""How Python's `struct` writes each kind, in eight bytes."""
SIZES = {kind: struct.calcsize(f"={form.removesuffix('4x')}") for kind, form in FORMS.items()} | {
    kind: ctypes.sizeof(structure) for kind, structure in STRUCTURES.items()
}
"""As many bytes as a kernel reads of each kind."""


class Packed:
    """The arguments of one kernel: eight bytes for each, and pointers at them or at structures.

    A launch copies what the pointers point at before it returns; then the same memory may be filled again.
    """

    def __init__(self, entry: Entry) -> None:
        count = len(entry.arguments)
        self.entry = entry
        self.slots = (ctypes.c_ulonglong * count)()
        begin = ctypes.addressof(self.slots)
        self.pointers = (ctypes.c_void_p * count)(*range(begin, begin + 8 * count, 8))
        self.address = ctypes.addressof(self.pointers)
        self.structures = [k for k, kind in enumerate(entry.arguments) if kind in STRUCTURES]
        self.form = struct.Struct("=" + "".join(FORMS.get(kind, "Q") for kind in entry.arguments))
        self.held: Sequence[Any] = ()

    def filled(self, values: Sequence[Any]) -> Packed:
        """Take addresses (None: a null pointer), numbers and structures, as the entry wants them.

        Errors: TypeError for too few or too many; struct.error for what is no such number.
        """
        if len(values) != len(self.slots):
            wanted = ", ".join(self.entry.arguments)
            raise TypeError(
                f"[{self.entry.name}] {len(values)} arguments are given; needs {len(self.slots)}: {wanted}"
            )
        plain: list[Any] = [0 if value is None else value for value in values]
        for place in self.structures:
            self.pointers[place] = ctypes.addressof(plain[place])
            plain[place] = 0
        self.form.pack_into(self.slots, 0, *plain)
        self.held = values
        return self


def packed(entry: Entry, values: Sequence[Any]) -> Packed:
    """Arguments for a launch that may come late, in memory of their own."""
    return Packed(entry).filled(values)
