"""Where a checkpoint's bytes come from: a file that is read, or one that is mapped into memory."""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from devtensor.core.errors import ArgumentError, ArgumentTypeError, CheckpointError
from devtensor.serialization.errors import NotAFile
from devtensor.serialization.files import is_path
from devtensor.serialization.options import MAP_SHARED, get_default_mmap_options

# Bytes are asked for in pieces, so that a length that lies never makes a buffer larger than the file.
PIECE = 1 << 24


class Source:
    """Random access to the bytes of a seekable file, counted from where it stood when it was handed over."""

    def __init__(self, file: Any, name: str) -> None:
        self.file = file
        self.name = name
        self.start = file.tell()
        self.size = file.seek(0, io.SEEK_END) - self.start
        file.seek(self.start)

    def read(self, start: int, size: int) -> bytearray:
        """Exactly `size` bytes from byte `start` on.

        Errors: CheckpointError if the file does not hold them.
        """
        if start < 0 or size < 0 or start + size > self.size:
            raise CheckpointError(
                f"[load] {self.name} ends at byte {self.size}, but bytes {start} to {start + size} are "
                "needed; it is cut short or damaged"
            )
        self.file.seek(self.start + start)
        held = bytearray(size)
        room, filled = memoryview(held), 0
        while filled < size:
            piece = self.file.read(min(size - filled, PIECE))
            if not piece:
                raise CheckpointError(f"[load] {self.name} ended while it was read; it is cut short")
            room[filled : filled + len(piece)] = piece
            filled += len(piece)
        return held

    # Whether what `memory` gives has been read, so that its checksum costs little.
    reads = True

    def memory(self, start: int, size: int) -> Any:
        """Bytes as memory that a tensor may keep and write."""
        return self.read(start, size)


class MappedSource(Source):
    """A file on the disk, whose bytes are memory without being read first."""

    reads = False

    def __init__(self, file: Any, name: str) -> None:
        super().__init__(file, name)
        shared = get_default_mmap_options() == MAP_SHARED
        access = mmap.ACCESS_WRITE if shared else mmap.ACCESS_COPY
        self.mapped = memoryview(mmap.mmap(file.fileno(), 0, access=access))

    def memory(self, start: int, size: int) -> Any:
        if start + size > self.size:
            return self.read(start, size)
        return self.mapped[start : start + size]


@contextmanager
def opened(f: Any, mapped: bool | None) -> Iterator[Source]:
    """The source behind a path or a file object.

    Errors: ArgumentTypeError if `f` cannot seek, ArgumentError if it is to be mapped and is no path.
    """
    if is_path(f):
        mode = "r+b" if mapped and get_default_mmap_options() == MAP_SHARED else "rb"
        with open(f, mode) as file:
            kind = MappedSource if mapped and os.fstat(file.fileno()).st_size else Source
            yield kind(file, os.fspath(f))
        return
    if mapped:
        raise ArgumentError("[load] f must be a file path in order to use the mmap argument")
    if isinstance(f, io.TextIOBase):
        raise ArgumentTypeError("[load] the file is opened as text; open it with mode 'rb'")
    if not all(hasattr(f, name) for name in ("seek", "tell", "read")):
        raise NotAFile(
            f"[load] {type(f).__name__!r} object has no attribute 'seek'. You can only load from a file that "
            "is seekable; read it into an io.BytesIO first"
        )
    try:
        source = Source(f, getattr(f, "name", None) or f"the {type(f).__name__}")
    except io.UnsupportedOperation as error:
        raise io.UnsupportedOperation(
            f"[load] {error}. You can only load from a file that is seekable; read it into an io.BytesIO "
            "first"
        ) from None
    yield source
