"""Reading a checkpoint's zip file: its directory is checked whole before any record is believed."""

from __future__ import annotations

import struct
import zlib
from typing import Any, NamedTuple

from devtensor.core.errors import CheckpointError
from devtensor.serialization.sources import Source
from devtensor.serialization.zip_layout import (
    CENTRAL,
    CENTRAL_MARK,
    ENCRYPTED,
    END,
    END64,
    END64_MARK,
    END_MARK,
    EXTRA,
    LOCAL,
    LOCAL_MARK,
    LOCATOR64,
    LOCATOR64_MARK,
    STORED,
    WIDE,
    WIDE_COUNT,
    ZIP64_FIELD,
)

# A zip file may end with a comment of at most this many bytes.
COMMENT = 1 << 16


class Record(NamedTuple):
    """A record's place: where its header begins, how many bytes it takes, their checksum, whether they are
    the data themselves."""

    name: str
    header: int
    size: int
    crc: int
    plain: bool


class ZipReader:
    """The records of a checkpoint by name, without the folder that all of them lie in.

    Errors: CheckpointError for what is no zip file, and for one whose directory does not add up.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        start, size, count = self._find_directory()
        records = self._read_directory(start, size, count)
        self.folder = records[0].name.partition("/")[0] if records else ""
        self.records = self._checked(records, start)

    def __contains__(self, name: str) -> bool:
        return name in self.records

    def read(self, name: str) -> bytearray:
        """A record's bytes, checked."""
        return self._verified(self._record(name), self.source.read(*self._span(name)))

    def memory(self, name: str, size: int) -> Any:
        """A record's bytes as memory that a tensor may keep, `size` of them; unchecked if the file is mapped.

        Errors: CheckpointError if the record is of another size.
        """
        record = self._record(name)
        if record.size != size:
            raise self._damaged(f"{name} holds {record.size} bytes where {size} are needed")
        data = self.source.memory(*self._span(name))
        return self._verified(record, data) if self.source.reads else data

    def require(self, name: str, size: int) -> None:
        """Refuse, before anything is made of it, a record that is not there or of another size."""
        if self._record(name).size != size:
            raise self._damaged(f"{name} holds {self._record(name).size} bytes where {size} are needed")

    def _record(self, name: str) -> Record:
        found = self.records.get(name)
        if found is None:
            raise self._damaged(f"it holds no record {name!r}")
        if not found.plain:
            raise self._damaged(f"{name} is compressed or encrypted; records must lie in it as they are")
        return found

    def _verified(self, record: Record, data: Any) -> Any:
        # PyTorch writes 0 where it computes none: for data that is skipped, or when it is told so for all.
        if record.crc and zlib.crc32(data) != record.crc:
            raise self._damaged(f"the bytes of {record.name} do not give the checksum written with them")
        return data

    def _span(self, name: str) -> tuple[int, int]:
        """Where a record's bytes lie; its own header must agree with the directory."""
        record = self._record(name)
        header = self.source.read(record.header, LOCAL.size)
        mark, _, flags, method, _, _, _, _, _, name_size, extra_size = LOCAL.unpack(header)
        written = self.source.read(record.header + LOCAL.size, name_size)
        if mark != LOCAL_MARK or bytes(written) != f"{self.folder}/{name}".encode():
            raise self._damaged(f"the header of {name} is not where the directory says")
        if method != STORED or flags & ENCRYPTED:
            raise self._damaged(f"the header of {name} says that it is compressed or encrypted")
        return record.header + LOCAL.size + name_size + extra_size, record.size

    def _find_directory(self) -> tuple[int, int, int]:
        """Start, size and number of entries of the directory."""
        reach = min(self.source.size, COMMENT + END.size)
        tail = bytes(self.source.read(self.source.size - reach, reach))
        found = tail.rfind(END_MARK, 0, max(0, reach - END.size + len(END_MARK)))
        if found < 0:
            raise self._damaged("it has no directory at its end")
        end = self.source.size - reach + found
        _, disk, first_disk, _, count, size, start, comment = END.unpack_from(tail, found)
        if disk or first_disk or found + END.size + comment != reach:
            raise self._damaged("its last entry does not add up")
        if count == WIDE_COUNT or size == WIDE or start == WIDE or self._has_locator(end):
            start, size, count, end = self._find_wide_directory(end)
        if start + size > end:
            raise self._damaged("its directory lies outside the file")
        return start, size, count

    def _has_locator(self, end: int) -> bool:
        place = end - LOCATOR64.size
        return place >= 0 and bytes(self.source.read(place, 4)) == LOCATOR64_MARK

    def _find_wide_directory(self, end: int) -> tuple[int, int, int, int]:
        if not self._has_locator(end):
            raise self._damaged("its directory lacks the entry for large files")
        _, _, place, _ = LOCATOR64.unpack(self.source.read(end - LOCATOR64.size, LOCATOR64.size))
        if place + END64.size > end:
            raise self._damaged("its directory lies outside the file")
        mark, _, _, _, disk, first_disk, _, count, size, start = END64.unpack(
            self.source.read(place, END64.size)
        )
        if mark != END64_MARK or disk or first_disk:
            raise self._damaged("its directory's entry for large files does not add up")
        return start, size, count, place

    def _read_directory(self, start: int, size: int, count: int) -> list[Record]:
        if count * CENTRAL.size > size:
            raise self._damaged(f"its directory of {size} bytes cannot hold {count} entries")
        directory, place, records = bytes(self.source.read(start, size)), 0, []
        for _ in range(count):
            record, place = self._read_entry(directory, place)
            records.append(record)
        if place != size:
            raise self._damaged("its directory holds more than its entries")
        return records

    def _read_entry(self, directory: bytes, place: int) -> tuple[Record, int]:
        if place + CENTRAL.size > len(directory):
            raise self._damaged("its directory is cut short")
        (mark, _, _, flags, method, _, _, crc, packed, size, name_size, extra_size, comment_size, disk, _, _,
         header) = CENTRAL.unpack_from(directory, place)  # fmt: skip
        place += CENTRAL.size
        end = place + name_size + extra_size + comment_size
        if mark != CENTRAL_MARK or end > len(directory) or disk:
            raise self._damaged("an entry of its directory does not add up")
        name = self._name(directory[place : place + name_size])
        extra = directory[place + name_size : place + name_size + extra_size]
        size, packed, header = self._widened(extra, size, packed, header)
        plain = method == STORED and not flags & ENCRYPTED
        if plain and size != packed:
            raise self._damaged(f"{name} is said to be {size} and {packed} bytes long")
        return Record(name, header, packed, crc, plain), end

    def _name(self, raw: bytes) -> str:
        try:
            name = raw.decode()
        except UnicodeDecodeError:
            raise self._damaged("a record's name is no text") from None
        parts = name.split("/")
        if len(parts) < 2 or any(part in ("", ".", "..") for part in parts) or "\\" in name or "\0" in name:
            raise self._damaged(f"{name!r} is no name of a record")
        return name

    def _widened(self, extra: bytes, size: int, packed: int, header: int) -> tuple[int, int, int]:
        """The numbers that did not fit 32 bits, from the zip64 field."""
        values, wide = [size, packed, header], iter(self._wide_values(extra))
        for place, value in enumerate(values):
            if value == WIDE:
                values[place] = next(wide, WIDE)
        return values[0], values[1], values[2]

    def _wide_values(self, extra: bytes) -> tuple[int, ...]:
        place = 0
        while place + EXTRA.size <= len(extra):
            field, size = EXTRA.unpack_from(extra, place)
            place += EXTRA.size
            if field == ZIP64_FIELD:
                count = min(size, len(extra) - place) // 8
                return struct.unpack_from(f"<{count}Q", extra, place)
            place += size
        return ()

    def _checked(self, records: list[Record], directory: int) -> dict[str, Record]:
        """Records by name: no name twice, one folder, no two that share bytes, none beyond the directory."""
        found: dict[str, Record] = {}
        end = 0
        for record in sorted(records, key=lambda record: record.header):
            folder, _, name = record.name.partition("/")
            if folder != self.folder or name in found:
                raise self._damaged(f"{record.name!r} stands twice in it, or in a folder of its own")
            if record.header < end:
                raise self._damaged(f"{record.name!r} shares bytes with another record")
            end = record.header + LOCAL.size + len(record.name.encode()) + record.size
            found[name] = record
        if end > directory:
            raise self._damaged("a record reaches into the directory")
        return found

    def _damaged(self, reason: str) -> CheckpointError:
        return CheckpointError(
            f"[load] {self.source.name} ({self.source.size} bytes) cannot be read as a checkpoint: {reason}; "
            "it is cut short, damaged, or of another format"
        )
