"""The opcodes of pickles that only make data: what each reads from the file, and what it does to the stack.

Source: the comments of CPython's pickletools. Left out on purpose: INST, OBJ and extension codes, which are
never written today, and everything that refers to buffers outside the file.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from struct import Struct
from typing import Any

from devtensor.serialization.errors import EndOfFileError, UnpicklingError

INTS = {"B": Struct("<B"), "H": Struct("<H"), "I": Struct("<I"), "Q": Struct("<Q"), "i": Struct("<i")} | {
    "q": Struct("<q")
}
DOUBLE = Struct(">d")

# Digits of an integer written as text; more take Python quadratic time.
DIGITS = 4000


class Bytes:
    """A pickle's bytes, read forward; nothing is read beyond their end."""

    def __init__(self, data: Any, place: int = 0) -> None:
        self.data = memoryview(data)
        self.place = place

    def take(self, count: int) -> memoryview:
        """The next `count` bytes.

        Errors: EndOfFileError if there are fewer.
        """
        start, self.place = self.place, self.place + count
        if self.place > len(self.data):
            self.place = len(self.data)
            raise EndOfFileError(f"it ends at byte {len(self.data)}, before it is complete")
        return self.data[start : self.place]

    def number(self, kind: str) -> int:
        """The next integer, of a struct's format."""
        layout = INTS[kind]
        return layout.unpack(self.take(layout.size))[0]

    def counted(self, kind: str) -> memoryview:
        """Bytes that follow their number."""
        return self.take(self.number(kind))

    def line(self) -> str:
        """Text up to the end of the line."""
        start = self.place
        while self.take(1) != b"\n":
            pass
        return bytes(self.data[start : self.place - 1]).decode()


def _text_int(source: Bytes) -> int | bool:
    text = source.line()
    if text in ("00", "01"):
        return text == "01"
    if len(text) > DIGITS:
        raise UnpicklingError(f"an integer of {len(text)} digits")
    return int(text.removesuffix("L"))


def _signed(data: memoryview) -> int:
    return int.from_bytes(data, "little", signed=True)


def _text(data: memoryview) -> str:
    return str(data, "utf-8", "surrogatepass")


# Opcodes that put one value on the stack, which they read from the file.
LITERALS: dict[bytes, Callable[[Bytes], Any]] = {
    pickle.NONE: lambda source: None,
    pickle.NEWTRUE: lambda source: True,
    pickle.NEWFALSE: lambda source: False,
    pickle.INT: _text_int,
    pickle.LONG: _text_int,
    pickle.BININT: lambda source: source.number("i"),
    pickle.BININT1: lambda source: source.number("B"),
    pickle.BININT2: lambda source: source.number("H"),
    pickle.LONG1: lambda source: _signed(source.counted("B")),
    pickle.LONG4: lambda source: _signed(source.counted("I")),
    pickle.FLOAT: lambda source: float(source.line()),
    pickle.BINFLOAT: lambda source: DOUBLE.unpack(source.take(8))[0],
    pickle.UNICODE: lambda source: source.line().encode("ascii").decode("raw-unicode-escape"),
    pickle.SHORT_BINUNICODE: lambda source: _text(source.counted("B")),
    pickle.BINUNICODE: lambda source: _text(source.counted("I")),
    pickle.BINUNICODE8: lambda source: _text(source.counted("Q")),
    pickle.SHORT_BINBYTES: lambda source: bytes(source.counted("B")),
    pickle.BINBYTES: lambda source: bytes(source.counted("I")),
    pickle.BINBYTES8: lambda source: bytes(source.counted("Q")),
    pickle.BYTEARRAY8: lambda source: bytearray(source.counted("Q")),
    pickle.EMPTY_TUPLE: lambda source: (),
    pickle.EMPTY_LIST: lambda source: [],
    pickle.EMPTY_DICT: lambda source: {},
    pickle.EMPTY_SET: lambda source: set(),
}
