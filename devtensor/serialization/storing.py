"""What memory a pickled state needs: each storage once, however many tensors see it."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

from devtensor.core.dtype import DTYPES, DType
from devtensor.core.errors import CheckpointError
from devtensor.core.host import hear_host_read
from devtensor.core.overlap import address_of, is_dense, offset_of
from devtensor.core.spec import contiguous_strides
from devtensor.core.tensor import Tensor, in_rows, storage_of, strides_of
from devtensor.serialization.names import UNTYPED, TorchName, torch_name
from devtensor.serialization.options import skipping_data
from devtensor.serialization.places import location_tag
from devtensor.storage import Memory, UntypedStorage
from devtensor.storage.typed import STORAGE_NAMES


class Stored(NamedTuple):
    """A storage as the pickle names it; `key` names the record that holds its bytes."""

    key: str
    type: TorchName
    location: str
    count: int
    dtype: DType


class Seen(NamedTuple):
    """How a tensor sees a storage, in elements."""

    stored: Stored
    offset: int
    strides: tuple[int, ...]


class StorageTable:
    """The storages of one file, numbered as they are met.

    Tensors whose memory has gaps, or whose library tells no addresses, are stored compactly, each view once.

    Errors: CheckpointError if tensors of different dtypes see the same memory.
    """

    def __init__(self) -> None:
        self.stored: dict[Any, Stored] = {}
        # Holding what was met keeps its identity from being given to something else.
        self.held: dict[str, Tensor] = {}

    def see(self, tensor: Tensor) -> Seen:
        """Make sure that the tensor's memory is stored, and say where in it the tensor lies."""
        hear_host_read(tensor, "save")
        storage = storage_of(tensor)
        array, root = tensor.array, storage.root
        shape, strides = tuple(array.shape), strides_of(tensor)
        whole = array is root and in_rows(tensor)
        if whole or self._has_places(tensor):
            offset = offset_of(tensor)
            stored = self._store(id(storage), UntypedStorage.of(tensor).held, tensor.dtype)
        else:
            chain: tuple = tensor.alias.chain
            offset, whole = 0, True
            stored = self._store((id(storage), repr(chain)), tensor, tensor.dtype)
        rows = whole or in_rows(tensor) or not prod(shape)
        return Seen(stored, offset, contiguous_strides(shape) if rows else strides)

    def keep(self, memory: Memory) -> Stored:
        """Make sure that a storage object's memory is stored."""
        hear_host_read(memory.held, "save")
        return self._store(id(memory._storage), memory.held, memory.dtype)

    def _has_places(self, tensor: Tensor) -> bool:
        """Whether places in the file are places in memory: the root has no gaps and addresses are known."""
        root = storage_of(tensor).root
        strides = tensor.kind.device.backend.strides_of(root)
        return address_of(root) is not None and is_dense(tuple(root.shape), strides)

    def _store(self, identity: Any, memory: Tensor, dtype: DType) -> Stored:
        found = self.stored.get(identity)
        if found is None:
            key = str(len(self.stored))
            nbytes = prod(memory.array.shape) * memory.dtype.itemsize
            name = STORAGE_NAMES.get(dtype.name)
            if name is None:
                path, count, dtype = f"torch.storage.{UNTYPED}", nbytes, DTYPES["uint8"]
            else:
                path, count = f"torch.{name}", nbytes // dtype.itemsize
            found = Stored(key, torch_name(path), location_tag(UntypedStorage.of(memory)), count, dtype)
            self.stored[identity] = found
            self.held[key] = memory
        elif dtype.name in STORAGE_NAMES and found.dtype is not dtype:
            raise CheckpointError(
                "[save] Cannot save multiple tensors or storages that view the same data as different types: "
                f"{found.dtype.name} and {dtype.name}; clone() one of them"
            )
        return found

    def records(self) -> Iterator[tuple[Stored, memoryview, int]]:
        """Every storage with its bytes, or with none and their number where data are to be skipped."""
        for stored in self.stored.values():
            size = stored.count * stored.dtype.itemsize
            if skipping_data():
                yield stored, memoryview(b""), size
            else:
                yield stored, self._bytes(self.held[stored.key]), 0

    def _bytes(self, memory: Tensor) -> memoryview:
        """The bytes of a memory in the order in which they lie there."""
        backend, array = memory.kind.device.backend, memory.array
        strides = backend.strides_of(array)
        if not in_rows(memory) and is_dense(tuple(array.shape), strides):
            order = sorted(range(array.ndim), key=lambda dim: -strides[dim])
            array = backend.kernels["permute"](array, tuple(order))
        return backend.download(array)
