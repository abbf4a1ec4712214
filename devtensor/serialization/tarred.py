"""Reading the oldest format: a tar file of storages, tensors and a pickle, from before PyTorch 0.1.10."""

from __future__ import annotations

import io
import tarfile
from typing import Any

from devtensor.core.errors import CheckpointError
from devtensor.core.tensor import Tensor
from devtensor.serialization.allowed import AllowedGlobals
from devtensor.serialization.errors import EndOfFileError, UnpicklingError
from devtensor.serialization.memories import Memories, Wanted, part_of, wanted
from devtensor.serialization.opcodes import Bytes
from devtensor.serialization.places import Restore
from devtensor.serialization.rebuilding import tensor_v1
from devtensor.serialization.sources import Source
from devtensor.serialization.unpickling import Machine
from devtensor.storage import Memory

# Where a tar file's first header has its mark, and what it is.
MARK_PLACE, MARK = 257, b"ustar"
MEMBERS = ("storages", "tensors", "pickle")
MOST_DIMS = 64


def is_tar(source: Source) -> bool:
    """Whether the file begins as a tar file does."""
    return source.size > 512 and bytes(source.read(MARK_PLACE, len(MARK))) == MARK


def load_tar(source: Source, restore: Restore, encoding: str) -> Any:
    """The object in a file of the oldest format.

    Errors: CheckpointError if it is no such file, or damaged.
    """
    members = _members(source)
    storages = _Storages(members["storages"], restore, encoding)
    tensors = _tensors(Bytes(members["tensors"]), storages, encoding)

    def stored(identity: Any) -> Any:
        if type(identity) is tuple and len(identity) == 3:
            return identity[0]
        for known in (tensors, storages.found):
            if _key(identity) in known:
                return known[_key(identity)]
        raise UnpicklingError("a persistent id that the file does not explain")

    return Machine(Bytes(members["pickle"]), AllowedGlobals(stored), encoding).run()


def _members(source: Source) -> dict[str, bytes]:
    content = io.BytesIO(source.read(0, source.size))
    found = {}
    try:
        with tarfile.open(fileobj=content, mode="r:") as tar:
            for name in MEMBERS:
                member = tar.getmember(name)
                file = tar.extractfile(member) if member.isreg() and not member.issparse() else None
                if file is None:
                    raise CheckpointError(f"[load] {source.name}: {name} is no plain member")
                found[name] = file.read()
    except (tarfile.TarError, KeyError, ValueError, OverflowError, RecursionError, EOFError) as error:
        raise CheckpointError(
            f"[load] {source.name} is a tar file that cannot be read as a checkpoint: {error}"
        ) from None
    return found


def _key(identity: Any) -> str:
    if type(identity) not in (str, int):
        raise UnpicklingError("a key is no text and no number")
    return str(identity)


class _Storages:
    """The storages of a tar file: pickled descriptions, each followed by its bytes."""

    def __init__(self, content: bytes, restore: Restore, encoding: str) -> None:
        self.stream = Bytes(content)
        self.encoding = encoding
        self.rules = AllowedGlobals(lambda identity: None)
        self.memories = Memories(self._read, restore, "little")
        self.found: dict[str, Memory] = {}
        for _ in range(_count(self._pickled())):
            self._add(self._pickled())
        for view in _views(self._pickled()):
            self._add_part(view)

    def _pickled(self) -> Any:
        return Machine(self.stream, self.rules, self.encoding).run()

    def _read(self, asked: Wanted) -> bytearray:
        return bytearray(self.stream.take(asked.nbytes))

    def _add(self, facts: Any) -> None:
        if type(facts) is not tuple or len(facts) != 3:
            raise UnpicklingError("a storage's description has another form")
        key, location, kind = facts
        count = int.from_bytes(self.stream.take(8), "little", signed=True)
        asked = wanted((kind, _key(key), location, count))
        if asked.dtype is None or asked.key in self.found:
            raise UnpicklingError(f"storage {asked.key} has no dtype, or stands twice in the file")
        if asked.nbytes > len(self.stream.data) - self.stream.place:
            raise EndOfFileError(f"the file ends before storage {asked.key} is complete")
        self.found[asked.key] = self.memories.get(asked)

    def _add_part(self, view: Any) -> None:
        if type(view) not in (tuple, list) or len(view) != 4:
            raise UnpicklingError("a storage's part has another form")
        target, root, start, count = view
        whole = self.found.get(_key(root))
        if whole is None:
            raise UnpicklingError("a part of a storage that is not there")
        self.found[_key(target)] = part_of(whole, start, count)


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 32:
        raise UnpicklingError("a count is no int")
    return value


def _views(value: Any) -> list[Any]:
    if type(value) is not list:
        raise UnpicklingError("the list of storages' parts is none")
    return value


def _tensors(stream: Bytes, storages: _Storages, encoding: str) -> dict[str, Tensor]:
    """The tensors by key: each a pickled description, then sizes, strides and offset as 64-bit integers."""
    found: dict[str, Tensor] = {}
    for _ in range(_count(Machine(stream, storages.rules, encoding).run())):
        facts = Machine(stream, storages.rules, encoding).run()
        if type(facts) is not tuple or len(facts) != 3:
            raise UnpicklingError("a tensor's description has another form")
        key, storage, _ = facts
        ndim = stream.number("i")
        stream.take(4)
        if not 0 <= ndim <= MOST_DIMS:
            raise UnpicklingError(f"a tensor of {ndim} dims")
        size, stride = (tuple(stream.number("q") for _ in range(ndim)) for _ in range(2))
        offset = stream.number("q")
        memory = storages.found.get(_key(storage))
        found[_key(key)] = tensor_v1(memory, offset, size, stride)
    return found
