"""Writing the records of a checkpoint as a zip file, forward only, so that any stream can take it."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

from devtensor.serialization.zip_layout import (
    CENTRAL,
    CENTRAL_MARK,
    DESCRIPTOR,
    DESCRIPTOR64,
    DESCRIPTOR_FOLLOWS,
    DESCRIPTOR_MARK,
    END,
    END64,
    END64_MARK,
    END_MARK,
    EXTRA,
    LOCAL,
    LOCAL_MARK,
    LOCATOR64,
    LOCATOR64_MARK,
    PADDING_FIELD,
    STORED,
    UTF8_NAMES,
    WIDE,
    WIDE_COUNT,
    ZIP64_FIELD,
)

ALIGNMENT = 64
FORMAT = b"3\n"


class Written(NamedTuple):
    """A record in the file: where its header begins, and what the directory must say of it."""

    name: bytes
    flags: int
    crc: int
    size: int
    start: int


class ZipWriter:
    """Records written one after another under one folder name.

    `put` takes bytes to the file; `checks=False` leaves all checksums 0, as PyTorch does on request.
    """

    def __init__(self, put: Callable[[bytes | memoryview], object], folder: str, checks: bool = True) -> None:
        self.put = put
        self.folder = folder
        self.checks = checks
        self.position = 0
        self.records: list[Written] = []

    def write(self, name: str, data: bytes | memoryview, skipped: int = 0) -> None:
        """Add a record; `skipped` zero bytes stand for data that is not written."""
        size = skipped or len(data)
        crc = zlib.crc32(data) if self.checks and not skipped else 0
        full_name = f"{self.folder}/{name}".encode()
        start = self.position
        flags = UTF8_NAMES | (DESCRIPTOR_FOLLOWS if size else 0)
        extra = _wide_field(size, start)
        extra += _padding(start + LOCAL.size + len(full_name) + len(extra))
        self._emit(
            LOCAL.pack(LOCAL_MARK, 0, flags, STORED, 0, 0, 0, 0, 0, len(full_name), len(extra))
        )  # sizes stand in the descriptor
        self._emit(full_name)
        self._emit(extra)
        if skipped:
            self._emit_zeros(skipped)
        elif size:
            self._emit(data)
        if size:
            layout = DESCRIPTOR64 if max(size, start) >= WIDE else DESCRIPTOR
            self._emit(layout.pack(DESCRIPTOR_MARK, crc, size, size))
        self.records.append(Written(full_name, flags, crc, size, start))

    def close(self) -> None:
        """Write the version, the file's fingerprint, and the directory."""
        self.write("version", FORMAT)
        self.write(".data/serialization_id", self._fingerprint())
        start = self.position
        for record in self.records:
            self._emit(_directory_entry(record))
        size, count, end = self.position - start, len(self.records), self.position
        self._emit(END64.pack(END64_MARK, END64.size - 12, 0x031E, 45, 0, 0, count, count, size, start))
        self._emit(LOCATOR64.pack(LOCATOR64_MARK, 0, end, 1))
        short = min(count, WIDE_COUNT)
        self._emit(END.pack(END_MARK, 0, 0, short, short, min(size, WIDE), min(start, WIDE), 0))

    def _emit(self, data: bytes | memoryview) -> None:
        self.put(data)
        self.position += len(data)

    def _emit_zeros(self, count: int) -> None:
        block = bytes(min(count, 1 << 20))
        while count:
            self._emit(block[:count])
            count -= min(count, len(block))

    def _fingerprint(self) -> bytes:
        """Forty digits that depend on the names and on the checksums alone."""
        names = b"\0".join(record.name.partition(b"/")[2] for record in self.records)
        checks = b"".join(record.crc.to_bytes(4, "little") for record in self.records)
        return b"".join(
            b"%020d" % int.from_bytes(hashlib.blake2b(part, digest_size=8).digest(), "little")
            for part in (names, checks)
        )


def _wide_field(size: int, start: int) -> bytes:
    """The zip64 field: what does not fit 32 bits; empty if all does."""
    values = [size, size] if size >= WIDE else []
    values += [start] if start >= WIDE else []
    if not values:
        return b""
    return EXTRA.pack(ZIP64_FIELD, 8 * len(values)) + struct.pack(f"<{len(values)}Q", *values)


def _padding(end: int) -> bytes:
    """The extra field that brings a record's bytes to a multiple of the alignment."""
    count = -(end + EXTRA.size) % ALIGNMENT
    return EXTRA.pack(PADDING_FIELD, count) + b"Z" * count


def _directory_entry(record: Written) -> bytes:
    extra = _wide_field(record.size, record.start)
    size, start = min(record.size, WIDE), min(record.start, WIDE)
    header = CENTRAL.pack(
        CENTRAL_MARK, 0, 0, record.flags, STORED, 0, 0, record.crc, size, size, len(record.name),
        len(extra), 0, 0, 0, 0, start,
    )  # fmt: skip
    return header + record.name + extra
