"""What typed and untyped storages share."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

from devtensor.core.device import Device, resolve
from devtensor.core.dtype import DTYPES, DType, uint8
from devtensor.core.errors import ArgumentError, ArgumentTypeError, IndexingError, Unsupported
from devtensor.core.host import HostCopy, host_read
from devtensor.core.inplace import write
from devtensor.core.overlap import address_of
from devtensor.core.tensor import Storage, Tensor, storage_of, wrap
from devtensor.core.transfer import HostData
from devtensor.interop import tensor
from devtensor.interop.pinning import is_pinned, pin_memory
from devtensor.ops.create import constant, copy, to_device


def root_of(tensor: Tensor) -> Tensor:
    """The whole memory that a tensor sees a part of, without history."""
    storage = storage_of(tensor)
    device = tensor.kind.device
    same = storage.root is tensor.array or device.type == "meta"
    dtype = tensor.kind.dtype if same else DTYPES[device.backend.dtype_of(storage.root)]
    made = wrap(storage.root, device.kind(dtype))
    made.alias = storage
    return made


class Memory:
    """What typed and untyped storages share. `held` is a tensor of the whole memory, of any dtype.

    Errors: Unsupported for `resize_`: memory here has the size it was made with.
    """

    __slots__ = ("held",)
    held: Tensor
    dtype: DType

    @property
    def device(self) -> Device:
        """Where it lies."""
        return self.held.kind.device

    @property
    def is_cuda(self) -> bool:
        """Whether it lies on a CUDA device."""
        return self.device.type == "cuda"

    @property
    def _storage(self) -> Storage:
        return storage_of(self.held)

    @property
    def _cdata(self) -> int:
        """A number that two handles on the same memory share."""
        return id(self._storage)

    def data_ptr(self) -> int:
        """The address of the first byte, or what stands for one where the library tells none."""
        if self.device.type == "meta" or not self.nbytes():
            return 0
        found = address_of(self.held.array)
        return id(self.held.array) if found is None else found

    def nbytes(self) -> int:
        """Bytes of the whole memory."""
        return prod(self.held.array.shape) * self.held.kind.dtype.itemsize

    def element_size(self) -> int:
        """Bytes of one element."""
        return self.dtype.itemsize

    def size(self) -> int:
        """The number of elements."""
        return self.nbytes() // self.dtype.itemsize

    def __len__(self) -> int:
        return self.size()

    def get_device(self) -> int:
        """The device's number; -1 on the CPU."""
        return -1 if self.device.type == "cpu" else self.device.index or 0

    def tolist(self) -> list:
        """All elements as Python numbers."""
        data = host_read(self.held, "tolist").data
        return HostCopy(data, (self.size(),), self.dtype).numbers()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            raise ArgumentError("slices are only supported in UntypedStorage.__getitem__")
        place = self._place(index)
        size = self.dtype.itemsize
        data = host_read(self.held, "storage").data[place * size : (place + 1) * size]
        return HostCopy(data, (1,), self.dtype).numbers()[0]

    def __setitem__(self, index: Any, value: Any) -> None:
        start, stop, _ = self._range(index)
        given = value if isinstance(value, Tensor) else tensor(value, dtype=self.dtype)
        data = bytes(host_read(given.to(self.dtype), "storage").data)
        size = self.dtype.itemsize
        if len(data) == size:
            data *= max(stop - start, 0)
        held = bytearray(host_read(self.held, "storage").data)
        if len(data) != (stop - start) * size:
            raise ArgumentError(
                f"[storage] {len(data) // size} values do not fit places {start} to {stop}; give one "
                "or as many"
            )
        held[start * size : stop * size] = data
        self._rewrite(bytes(held))

    def _place(self, index: Any) -> int:
        if not isinstance(index, int):
            raise ArgumentTypeError(
                f"[storage] can't index a {type(self).__name__} with {type(index).__name__}"
            )
        count = self.size()
        if not -count <= index < count:
            raise IndexingError(f"[storage] index {index} out of range for storage of size {count}")
        return index % count

    def _range(self, index: Any) -> tuple[int, int, int]:
        if not isinstance(index, slice):
            place = self._place(index)
            return place, place + 1, 1
        start, stop, step = index.indices(self.size())
        if step != 1:
            raise ArgumentError(f"[storage] slices have step 1, got a step of {step}")
        return start, max(start, stop), step

    def _rewrite(self, data: bytes) -> None:
        held = self.held
        write(held, constant(HostData(data, tuple(held.array.shape)), held.kind.dtype, held.kind.device))

    def fill_(self, value: Any) -> Any:
        """Make every element `value`."""
        self[:] = value
        return self

    def copy_(self, source: Any, non_blocking: Any = None) -> Any:
        """Take the numbers of another storage of as many bytes.

        Errors: ArgumentError if it has another size.
        """
        if source.nbytes() != self.nbytes():
            raise ArgumentError(
                f"[storage] size does not match, self was {self.nbytes()} bytes but src was "
                f"{source.nbytes()} bytes"
            )
        self._rewrite(bytes(host_read(source.held, "storage").data))
        return self

    def clone(self) -> Any:
        """Memory of its own with the same numbers."""
        return self._like(copy(self.held))

    def to(self, *, device: Any, non_blocking: bool = False) -> Any:
        """The memory on a device: itself if it lies there, else a copy."""
        place = resolve(device)
        return self if place is self.device else self._like(to_device(self.held, place))

    def cpu(self) -> Any:
        """The memory on the CPU."""
        return self.to(device="cpu")

    def cuda(self, device: Any = None, non_blocking: bool = False) -> Any:
        """The memory on a CUDA device, the current one if none is named."""
        return self.to(device="cuda" if device is None else device)

    def part(self, start: int, count: int) -> Any:
        """The memory of `count` elements from `start` on, shared."""
        size = self.dtype.itemsize
        found = self.held.reshape(-1).view(uint8)[start * size : (start + count) * size]
        return self._like(wrap(found.array, found.kind))

    def pin_memory(self, device: Any = None) -> Any:
        """The memory page-locked: itself if it is, else a copy.

        Errors: ArgumentError if it does not lie on the host, DeviceMissing without an accelerator.
        """
        made = pin_memory(self.held)
        return self if made is self.held else self._like(made)

    def is_pinned(self, device: Any = None) -> bool:
        """Whether it is page-locked for copies to a device."""
        return is_pinned(self.held)

    def share_memory_(self) -> Any:
        """The memory itself: host memory is taken as it is."""
        return self

    def is_shared(self) -> bool:
        """Whether other processes see it: never."""
        return False

    def resizable(self) -> bool:
        """Whether its size can change: never."""
        return False

    def resize_(self, size: int) -> Any:
        """Refused, but for the size it has."""
        if size == self.size():
            return self
        raise Unsupported(f"[storage] cannot resize {self.size()} elements to {size}; make a new tensor")

    def _like(self, held: Tensor) -> Any:
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self._storage is other._storage

    def __hash__(self) -> int:
        return id(self._storage)

    def __copy__(self) -> Any:
        return self.clone()

    def __deepcopy__(self, memo: dict[Any, Any]) -> Any:
        copies = memo.setdefault("devtensor.storage", {})
        if self._cdata not in copies:
            copies[self._cdata] = self.clone().held
        return self._like(copies[self._cdata])

    def __str__(self) -> str:
        numbers = "..." if self.device.type == "meta" else "\n ".join(map(str, self.tolist()))
        return f" {numbers}\n{self._title()} of size {len(self)}]"

    __repr__ = __str__

    def _title(self) -> str:
        raise NotImplementedError
