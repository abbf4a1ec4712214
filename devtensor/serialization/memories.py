"""Storages as they are met in a pickle: each read once, checked, put in order and brought to its device."""

from __future__ import annotations

import array
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from devtensor.core.dtype import DType, uint8
from devtensor.core.errors import CheckpointError
from devtensor.core.overlap import address_of
from devtensor.functions.creation import empty
from devtensor.interop import frombuffer
from devtensor.ops.create import copy
from devtensor.serialization.errors import Passed, UnpicklingError
from devtensor.serialization.options import skipping_data
from devtensor.serialization.places import Restore, default_restore_location
from devtensor.serialization.rebuilding import MOST_BYTES, StorageType
from devtensor.serialization.zip_reading import ZipReader
from devtensor.storage import Memory, TypedStorage, UntypedStorage

# No library wants its elements at rounder addresses than this.
ROUND = 16


class Wanted(NamedTuple):
    """A storage as a pickle names it."""

    key: str
    dtype: DType | None
    location: str
    count: int

    @property
    def nbytes(self) -> int:
        return self.count * (self.dtype or uint8).itemsize


def wanted(parts: tuple) -> Wanted:
    """The storage that a persistent id names.

    Errors: UnpicklingError for ids of another form.
    """
    if len(parts) != 4:
        raise UnpicklingError("a storage's id has another form")
    kind, key, location, count = parts
    location = as_text(location)
    if type(location) is not str or not isinstance(kind, StorageType):
        raise UnpicklingError("a storage's id names no type and location")
    if type(key) not in (str, int) or type(count) is not int or not 0 <= count < MOST_BYTES // 16:
        raise UnpicklingError("a storage's id names no key and size")
    return Wanted(str(key), kind.dtype, location, count)


def as_text(value: Any) -> Any:
    """Files of Python 2 hold bytes where text is meant."""
    return value.decode("ascii", "replace") if type(value) is bytes else value


def swapped(data: Any, dtype: DType, order: str) -> Any:
    """Numbers of a byte order as those of this machine."""
    width = dtype.to_real().itemsize
    if order == sys.byteorder or width == 1:
        return data
    numbers = array.array({2: "H", 4: "I", 8: "Q"}[width], bytes(data))
    numbers.byteswap()
    return bytearray(numbers.tobytes())


class Memories:
    """The storages of one file, by key; `read(wanted)` gives the bytes of one."""

    def __init__(self, read: Callable[[Wanted], Any], restore: Restore, order: str) -> None:
        self.read = read
        self.restore = restore
        self.order = order
        self.loaded: dict[str, Memory] = {}

    def get(self, asked: Wanted) -> Memory:
        """The storage, typed if the pickle tells its dtype.

        Errors: UnpicklingError if it was named before with another size.
        """
        found = self.loaded.get(asked.key)
        if found is None:
            found = self.loaded[asked.key] = self._brought(self._made(asked), asked.location)
        if found.nbytes() != asked.nbytes:
            raise UnpicklingError(f"storage {asked.key} is named with different sizes")
        if asked.dtype is None:
            return found
        if not isinstance(found, TypedStorage) or found.dtype is not asked.dtype:
            found = TypedStorage(wrap_storage=found, dtype=asked.dtype)
            if isinstance(self.loaded[asked.key], UntypedStorage):
                self.loaded[asked.key] = found
        return found

    def _made(self, asked: Wanted) -> UntypedStorage:
        made = UntypedStorage.__new__(UntypedStorage)
        data = bytearray(asked.nbytes) if skipping_data() else self.read(asked)
        data = swapped(data, asked.dtype or uint8, self.order)
        made.held = frombuffer(data, dtype=uint8) if len(data) else empty(0, dtype=uint8, device="cpu")
        place = address_of(made.held.array)
        if place is not None and place % ROUND:
            made.held = copy(made.held)
        return made

    def _brought(self, storage: UntypedStorage, location: str) -> Memory:
        if self.restore is default_restore_location:
            return self.restore(storage, location)
        try:
            return self.restore(storage, location)
        except Exception as error:
            raise Passed(error) from error.__cause__


def zip_memories(reader: ZipReader, restore: Restore, order: str) -> Callable[[Any], Memory]:
    """What finds the storages of a zip file by their persistent ids."""

    def read(asked: Wanted) -> Any:
        return reader.memory(f"data/{asked.key}", asked.nbytes)

    memories = Memories(read, restore, order)

    def stored(identity: Any) -> Memory:
        if type(identity) is not tuple or not identity or as_text(identity[0]) != "storage":
            raise UnpicklingError("Only persistent_load of storage is allowed")
        asked = wanted(identity[1:])
        reader.require(f"data/{asked.key}", asked.nbytes)
        return memories.get(asked)

    return stored


def part_of(whole: Memory, start: Any, count: Any) -> Memory:
    """A stretch of a storage that is a storage of its own to the tensors on it.

    Errors: UnpicklingError unless it lies inside.
    """
    if not all(type(n) is int and n >= 0 for n in (start, count)) or start + count > len(whole):
        raise UnpicklingError("a storage's part reaches beyond it, or has another form")
    return whole.part(start, count)


def byte_order(reader: ZipReader, default: str) -> str:
    """The byte order that a zip file names.

    Errors: CheckpointError if it names one that does not exist.
    """
    if "byteorder" not in reader:
        return default
    order = bytes(reader.read("byteorder"))
    if order not in (b"little", b"big"):
        raise CheckpointError(f"[load] Unknown endianness type: {order[:20]!r}; it is little or big")
    return order.decode()
