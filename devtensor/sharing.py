"""Tensors whose memory several processes see: a file without a name, mapped by each of them.

Forked processes inherit the mapping. To others the file's descriptor is sent when the tensor is pickled by
multiprocessing, as long as the sender lives; all other pickles hold copies.
"""

from __future__ import annotations

import mmap
import os
import weakref
from typing import Any

from devtensor.core.errors import DeviceError, Unsupported
from devtensor.core.overlap import address_of
from devtensor.core.tensor import Tensor, describe, share, storage_of, strides_of
from devtensor.interop import frombuffer

__all__ = ["is_shared", "share_memory_"]

# Address of a mapping -> descriptor of its file.
_files: dict[int, int] = {}


def share_memory_(self: Tensor) -> Tensor:
    """Move the tensor's numbers to memory that other processes can see, and give the tensor itself.

    Views taken before keep the old memory.

    Errors: DeviceError off the CPU, Unsupported where descriptors cannot be sent (Windows).
    """
    if self.device.type == "cuda" or is_shared(self):
        return self
    if self.device.type != "cpu":
        raise DeviceError(f"[share_memory_] got {describe(self)}; processes share memory of the CPU")
    if os.name != "posix":
        raise Unsupported("[share_memory_] this system cannot send memory to another process")
    size = self.shape.numel() * self.dtype.itemsize
    held = _mapped(_new_file(max(1, size)), max(1, size))
    made: Any = frombuffer(held, dtype=self.dtype, count=self.shape.numel()) if size else share(self)
    if size:
        made = made.reshape(self.shape)
        made.copy_(share(self))
    self.array, self.kind, self.alias = made.array, made.kind, made.alias
    _teach_pickling(type(self))
    return self


def _teach_pickling(kind: type) -> None:
    """Let multiprocessing pickle tensors of a class, and of Tensor itself, by what `_reduced` says."""
    from multiprocessing.reduction import ForkingPickler

    for each in (kind, Tensor):
        ForkingPickler.register(each, _reduced)


def is_shared(self: Tensor) -> bool:
    """Whether other processes can see the tensor's memory; memory of CUDA devices they can."""
    return self.device.type == "cuda" or _file_of(self) is not None


def _file_of(tensor: Tensor) -> int | None:
    if not _files or tensor.device.type != "cpu":
        return None
    return _files.get(address_of(storage_of(tensor).root) or 0)


def _new_file(size: int) -> int:
    """The descriptor of a file without a name."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("devtensor")
    else:
        import tempfile

        with tempfile.TemporaryFile() as temporary:
            file = os.dup(temporary.fileno())
    os.ftruncate(file, size)
    return file


def _mapped(file: int, size: int) -> mmap.mmap:
    """The file in memory; it is closed when nobody holds the mapping any longer."""
    mapping = mmap.mmap(file, size)
    address: Any = address_of(frombuffer(mapping, dtype="uint8").array)
    _files[address] = file
    weakref.finalize(mapping, _close, address, file)
    return mapping


def _close(address: int, file: int) -> None:
    _files.pop(address, None)
    os.close(file)


def _reduced(tensor: Tensor) -> Any:
    """What multiprocessing pickles: a shared tensor's file and place in it, another's numbers."""
    file = _file_of(tensor)
    if file is None or not tensor.is_leaf:
        return tensor.__reduce_ex__(2)
    from multiprocessing.reduction import DupFd

    offset = (address_of(tensor.array) or 0) - (address_of(storage_of(tensor).root) or 0)
    place = (offset // tensor.dtype.itemsize, tuple(tensor.shape), strides_of(tensor))
    size = os.fstat(file).st_size
    facts = (type(tensor), DupFd(file), size, tensor.dtype.name, place, tensor.requires_grad)
    return _received, facts


def _received(cls: type, sent: Any, size: int, dtype: str, place: tuple, requires_grad: bool) -> Tensor:
    """The tensor in the process that got it."""
    offset, shape, strides = place
    whole: Any = frombuffer(_mapped(sent.detach(), size), dtype=dtype)
    made = whole.as_strided(shape, strides, offset)
    if cls is Tensor:
        return made.requires_grad_() if requires_grad else made
    return cls(made, requires_grad=requires_grad)
