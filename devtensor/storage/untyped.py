"""UntypedStorage: memory seen as bytes."""

from __future__ import annotations

import io
import mmap
import sys
from typing import Any

from devtensor.core.device import resolve
from devtensor.core.dtype import DType, uint8
from devtensor.core.errors import ArgumentError, ArgumentTypeError
from devtensor.core.tensor import Tensor
from devtensor.core.transfer import HostData
from devtensor.interop import frombuffer, tensor
from devtensor.ops.create import constant
from devtensor.storage.memory import Memory, root_of


def held_by(args: tuple, dtype: DType, device: Any) -> Tensor:
    """Memory for what a storage's class is called with: a size, or numbers."""
    if len(args) > 1 or (args and not isinstance(args[0], int) and not hasattr(args[0], "__iter__")):
        raise ArgumentTypeError(f"[storage] got {args}; it takes a size or a sequence of numbers")
    if args and not isinstance(args[0], int):
        return tensor(list(args[0]), dtype=dtype, device=device)
    size = args[0] if args else 0
    if size < 0:
        raise ArgumentError(f"[storage] got a size of {size}; it must not be negative")
    return constant(HostData(bytes(size * dtype.itemsize), (size,)), dtype, resolve(device))


class UntypedStorage(Memory):
    """Memory seen as bytes: what `tensor.untyped_storage()` gives.

    Units: indices and sizes count bytes.
    Example: `UntypedStorage(16)`, `UntypedStorage([1, 2, 255])`.
    """

    __slots__ = ()
    dtype = uint8

    def __init__(self, *args: Any, device: Any = None) -> None:
        self.held = held_by(args, uint8, device)

    @classmethod
    def of(cls, tensor: Tensor) -> UntypedStorage:
        """The memory that a tensor sees, or a part of which it sees."""
        made = cls.__new__(cls)
        made.held = root_of(tensor)
        return made

    @classmethod
    def from_buffer(
        cls, buffer: Any, *, dtype: Any = uint8, count: int = -1, offset: int = 0, byte_order: str = "native"
    ) -> UntypedStorage:
        """A copy of a buffer's numbers, `count` of them from byte `offset` on, in a byte order.

        Errors: ArgumentError for another byte order than the machine's, and for a buffer that is too small.
        """
        if byte_order not in ("native", sys.byteorder):
            raise ArgumentError(
                f"[from_buffer] byte_order {byte_order!r} is not the machine's, {sys.byteorder}"
            )
        return cls.of(frombuffer(bytearray(buffer), dtype=dtype, count=count, offset=offset))

    @classmethod
    def from_file(cls, filename: Any, shared: bool = False, nbytes: int = 0) -> UntypedStorage:
        """A file's bytes as memory; with `shared`, writing changes the file, which grows if it is too small.

        Errors: ArgumentError if the file is smaller than `nbytes` and not shared; OSError if it cannot be
        opened.
        """
        with open(filename, "r+b" if shared else "rb") as file:
            have = file.seek(0, io.SEEK_END)
            if have < nbytes:
                if not shared:
                    raise ArgumentError(f"[from_file] {filename} has {have} bytes where {nbytes} are needed")
                file.truncate(nbytes)
            if not (nbytes or have):
                return cls(0)
            access = mmap.ACCESS_WRITE if shared else mmap.ACCESS_COPY
            memory = mmap.mmap(file.fileno(), nbytes or have, access=access)
        return cls.of(frombuffer(memory, dtype=uint8))

    def _like(self, held: Tensor) -> UntypedStorage:
        made = UntypedStorage.__new__(UntypedStorage)
        made.held = held
        return made

    def untyped(self) -> UntypedStorage:
        """The storage itself."""
        return self

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, slice):
            return super().__getitem__(index)
        start, stop, _ = self._range(index)
        return self.part(start, stop - start)

    def __reduce__(self) -> tuple:
        return UntypedStorage, (self.tolist(),)

    def _title(self) -> str:
        return f"[devtensor.storage.UntypedStorage(device={self.device})"
