"""Reading the format from before PyTorch 1.6: pickles one after another, then the storages' bytes."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import CheckpointError
from devtensor.serialization.allowed import AllowedGlobals
from devtensor.serialization.errors import EndOfFileError, UnpicklingError
from devtensor.serialization.memories import Memories, Wanted, as_text, part_of, wanted
from devtensor.serialization.opcodes import Bytes
from devtensor.serialization.places import Restore
from devtensor.serialization.sources import Source
from devtensor.serialization.surveying import survey
from devtensor.serialization.unpickling import Machine
from devtensor.storage import Memory

# What such a file begins with: three pickles.
MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001
SYSTEM: dict[str, Any] = {
    "protocol_version": PROTOCOL_VERSION,
    "little_endian": True,
    "type_sizes": {"short": 2, "int": 4, "long": 4},
}
# Bytes read at once from a file of unknown structure.
BLOCK = 1 << 16


class Stream(Bytes):
    """A pickle's bytes straight from a file, which goes on behind it."""

    def __init__(self, source: Source) -> None:
        super().__init__(b"")
        self.source = source
        self.begin = 0

    def take(self, count: int) -> memoryview:
        start = self.place - self.begin
        if not 0 <= start <= len(self.data) - count:
            rest = self.source.size - self.place
            if count > rest:
                raise EndOfFileError(f"it ends at byte {self.source.size}, before it is complete")
            self.begin, start = self.place, 0
            self.data = memoryview(self.source.read(self.place, min(max(count, BLOCK), rest)))
        self.place += count
        return self.data[start : start + count]

    def line(self) -> str:
        text = bytearray()
        while (byte := self.take(1)) != b"\n":
            text += byte
        return text.decode()


class NoGlobals(AllowedGlobals):
    """Rules for pickles of numbers and texts."""

    def __init__(self) -> None:
        super().__init__(lambda identity: None)

    def find(self, module: str, name: str) -> Any:
        raise UnpicklingError("a header that names code")


def load_legacy(source: Source, restore: Restore, encoding: str) -> Any:
    """The object in a file of the old format; the file is left standing behind it.

    Errors: UnpicklingError if it is of no known format or damaged.
    """
    if not source.size:
        raise EndOfFileError(f"[load] {source.name} is empty: Ran out of input")
    stream = Stream(source)
    order = _read_header(stream, encoding)
    start = stream.place
    named = survey(stream, encoding).storages
    keys = Machine(stream, NoGlobals(), encoding).run()
    places, end = _places(stream, _declared(named), keys)

    def read(asked: Wanted) -> Any:
        if asked.key not in places:
            raise UnpicklingError(f"storage {asked.key} has no bytes in the file")
        return source.memory(places[asked.key], asked.nbytes)

    stream.place = start
    stored = LegacyStorages(Memories(read, restore, order))
    made = Machine(stream, AllowedGlobals(stored), encoding).run()
    source.file.seek(source.start + end)
    return made


def _read_header(stream: Stream, encoding: str) -> str:
    """The byte order that the header tells.

    Errors: UnpicklingError if it is no header.
    """
    try:
        magic = Machine(stream, NoGlobals(), encoding).run()
    except EndOfFileError:
        raise
    except UnpicklingError as error:
        raise UnpicklingError(
            f"[load] {stream.source.name} is no checkpoint of a known format: {error}"
        ) from None
    if magic != MAGIC_NUMBER:
        raise UnpicklingError(
            f"[load] Invalid magic number; corrupt file? {stream.source.name} is no checkpoint"
        )
    version, system = (Machine(stream, NoGlobals(), encoding).run() for _ in range(2))
    if version != PROTOCOL_VERSION or type(system) is not dict:
        raise CheckpointError(
            f"[load] Invalid protocol version: {version!r:.40}; known is {PROTOCOL_VERSION}"
        )
    return "little" if system.get("little_endian", True) else "big"


def _declared(named: list[tuple]) -> dict[str, Wanted]:
    """The storages that the pickle names; each key with one size."""
    found: dict[str, Wanted] = {}
    for identity in named:
        if identity and as_text(identity[0]) == "storage":
            asked = wanted(identity[1:5])
            if found.setdefault(asked.key, asked).nbytes != asked.nbytes:
                raise UnpicklingError(f"storage {asked.key} is named with different sizes")
    return found


def _places(stream: Stream, declared: dict[str, Wanted], keys: Any) -> tuple[dict[str, int], int]:
    """Where in the file each storage's bytes begin, and where they all end."""
    if type(keys) is not list or len(keys) > stream.source.size:
        raise UnpicklingError("the list of storages is damaged")
    places: dict[str, int] = {}
    for key in keys:
        asked = declared.get(str(key)) if type(key) in (str, int) else None
        if asked is None or asked.key in places:
            raise UnpicklingError("the list of storages names one twice, or one that nothing needs")
        count = int.from_bytes(stream.take(8), "little", signed=True)
        if count != asked.count:
            raise UnpicklingError(
                f"storage {asked.key} holds {count} elements where {asked.count} are needed"
            )
        places[asked.key] = stream.place
        stream.place += asked.nbytes
        if stream.place > stream.source.size:
            raise EndOfFileError(f"[load] {stream.source.name} ends before storage {asked.key} is complete")
    return places, stream.place


class LegacyStorages:
    """Finds storages by the persistent ids of the old format, which can name parts of them."""

    def __init__(self, memories: Memories) -> None:
        self.memories = memories
        self.parts: dict[Any, Memory] = {}

    def __call__(self, identity: Any) -> Any:
        if type(identity) is not tuple or not identity:
            raise UnpicklingError("a persistent id is no tuple")
        kind = as_text(identity[0])
        if kind == "module" and len(identity) == 4:
            return identity[1]
        if kind != "storage" or len(identity) != 6:
            raise UnpicklingError("Only persistent_load of storage is allowed")
        whole = self.memories.get(wanted(identity[1:5]))
        return whole if identity[5] is None else self._part(whole, identity[5])

    def _part(self, whole: Memory, view: Any) -> Memory:
        """A stretch of a storage that is a storage of its own to the tensors on it."""
        if type(view) is not tuple or len(view) != 3:
            raise UnpicklingError("a storage's part has another form")
        key, start, count = view
        if type(key) not in (str, int):
            raise UnpicklingError("a storage's part has no key")
        if key not in self.parts:
            self.parts[key] = part_of(whole, start, count)
        return self.parts[key]
