"""Settings of save and load that a program makes once."""

from __future__ import annotations

import mmap
import sys
from contextvars import ContextVar
from enum import Enum
from typing import Any

from devtensor.core.errors import ArgumentError, ArgumentTypeError, DeviceError

__all__ = [
    "LoadEndianness",
    "get_crc32_options",
    "get_default_load_endianness",
    "get_default_mmap_options",
    "set_crc32_options",
    "set_default_load_endianness",
    "set_default_mmap_options",
    "skip_data",
]

MAP_PRIVATE: int = getattr(mmap, "MAP_PRIVATE", 2)
MAP_SHARED: int = getattr(mmap, "MAP_SHARED", 1)


class LoadEndianness(Enum):
    """The byte order of numbers in a file that does not name its own."""

    NATIVE = 1
    LITTLE = 2
    BIG = 3


class _Options:
    """What the functions below set."""

    endianness: LoadEndianness | None = None
    computes_crc32 = True
    mmap_flags = MAP_PRIVATE


def get_default_load_endianness() -> LoadEndianness | None:
    """The byte order taken where a file names none; None means little."""
    return _Options.endianness


def set_default_load_endianness(endianness: LoadEndianness | None) -> None:
    """Choose the byte order of files that name none.

    Errors: ArgumentTypeError for anything but a LoadEndianness or None.
    """
    if endianness is not None and not isinstance(endianness, LoadEndianness):
        raise ArgumentTypeError(
            f"[set_default_load_endianness] got {endianness!r}; it needs a LoadEndianness or None"
        )
    _Options.endianness = endianness


def default_byte_order() -> str:
    """`little` or `big`: the order of files that name none."""
    if _Options.endianness is LoadEndianness.NATIVE:
        return sys.byteorder
    return "big" if _Options.endianness is LoadEndianness.BIG else "little"


def get_crc32_options() -> bool:
    """Whether `save` writes a checksum for every record."""
    return _Options.computes_crc32


def set_crc32_options(compute_crc32: bool) -> None:
    """Choose whether `save` writes checksums; without them `load` cannot see damage to numbers."""
    _Options.computes_crc32 = bool(compute_crc32)


def get_default_mmap_options() -> int:
    """How `load(mmap=True)` maps a file: `mmap.MAP_PRIVATE` or `mmap.MAP_SHARED`."""
    return _Options.mmap_flags


class set_default_mmap_options:
    """Choose how `load(mmap=True)` maps a file, for good or as a context.

    With MAP_PRIVATE writing to a tensor leaves the file as it is; with MAP_SHARED it changes the file.

    Errors: ArgumentError for other flags, DeviceError on Windows.
    """

    def __init__(self, flags: int) -> None:
        if sys.platform == "win32":
            raise DeviceError("[set_default_mmap_options] Windows maps files privately only")
        if flags not in (MAP_PRIVATE, MAP_SHARED):
            raise ArgumentError(
                f"[set_default_mmap_options] expected mmap.MAP_PRIVATE or mmap.MAP_SHARED, but got {flags}"
            )
        self.before = _Options.mmap_flags
        _Options.mmap_flags = flags

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: Any) -> None:
        _Options.mmap_flags = self.before


_skipping: ContextVar[bool] = ContextVar("skipping", default=False)


class skip_data:
    """A context in which save leaves room for numbers without writing them, and load does not read them.

    What is loaded holds zeros.
    """

    def __init__(self, materialize_fake_tensors: bool = False) -> None:
        self.materialize_fake_tensors = materialize_fake_tensors

    def __enter__(self) -> None:
        self.token = _skipping.set(True)

    def __exit__(self, *_: Any) -> None:
        _skipping.reset(self.token)


def skipping_data() -> bool:
    """Whether a `skip_data` context is open."""
    return _skipping.get()
