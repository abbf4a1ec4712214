"""Tensors whose memory several processes see: a file without a name, mapped by each of them.

Forked processes inherit the mapping. To others the file's descriptor is sent when the tensor is pickled by
multiprocessing, as long as the sender lives; all other pickles hold copies. Where `devtensor.multiprocessing`
was imported, tensors that are sent are moved to such memory first.
"""

from __future__ import annotations

import mmap
import os
import weakref
from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import as_dtype
from devtensor.core.errors import AutogradError, DeviceError, Unsupported
from devtensor.core.overlap import address_of
from devtensor.core.tensor import Tensor, describe, storage_of, strides_of
from devtensor.interop import frombuffer

__all__ = ["is_shared", "share_memory_"]

# Address of a mapping -> descriptor of its file.
_files: dict[int, int] = {}
# Classes that multiprocessing knows how to pickle.
_taught: set[type] = set()


def share_memory_(self: Tensor) -> Tensor:
    """Move the tensor's memory to where other processes can see it, and give the tensor itself.

    Its views move with it. What `detach()` or `.data` gave before keeps the old memory.

    Errors: DeviceError off the CPU, Unsupported where descriptors cannot be sent (Windows).
    """
    if self.device.type == "cuda" or is_shared(self):
        return self
    if self.device.type != "cpu":
        raise DeviceError(f"[share_memory_] got {describe(self)}; processes share memory of the CPU")
    if os.name != "posix":
        raise Unsupported("[share_memory_] this system cannot send memory to another process")
    if self.shape.numel():
        _move(self)
    for kind in {type(self), Tensor} - _taught:
        teach_pickling(kind, reduced)
    return self


def _move(tensor: Tensor) -> None:
    """Give a tensor's storage, and all that is known to see it, a new place in a mapped file."""
    storage = storage_of(tensor)
    old: Any = storage.root
    strides = tensor.device.backend.strides_of(old)
    item = old.dtype.itemsize
    size = item * (1 + sum((length - 1) * stride for length, stride in zip(old.shape, strides, strict=True)))
    held, start = _mapped(_new_file(size), size), address_of(old) or 0

    def moved(array: Any, dtype: Any) -> Any:
        whole: Any = frombuffer(held, dtype=dtype)
        place = ((address_of(array) or 0) - start) // dtype.itemsize
        return whole.as_strided(array.shape, tensor.device.backend.strides_of(array), place).array

    base = getattr(tensor.alias, "base", None)
    known = (tensor, base, *(view() for view in storage.views))
    seeing = {id(each): each for each in known if each is not None}
    made = moved(old, as_dtype(tensor.device.backend.dtype_of(old)))
    made[...] = old
    for each in seeing.values():
        if each.shape.numel():
            each.array = moved(each.array, each.dtype)
    storage.root = made


def teach_pickling(kind: type, reduce: Callable[[Any], Any]) -> None:
    """Let multiprocessing pickle tensors of a class by what `reduce` says."""
    from multiprocessing.reduction import ForkingPickler

    ForkingPickler.register(kind, reduce)
    _taught.add(kind)


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


def reduced(tensor: Tensor) -> Any:
    """What multiprocessing pickles: a shared tensor's file and place in it, another's numbers."""
    if tensor.requires_grad and not tensor.is_leaf:
        raise AutogradError(
            f"[multiprocessing] got {describe(tensor)} with a history, which cannot go to another process; "
            "detach() it"
        )
    file = _file_of(tensor)
    if file is None or type(tensor) is not Tensor:
        # A subclass pickles a plain tensor of the same memory, and what makes it its own.
        return tensor.__reduce_ex__(2)
    from multiprocessing.reduction import DupFd

    offset = (address_of(tensor.array) or 0) - (address_of(storage_of(tensor).root) or 0)
    place = (offset // tensor.dtype.itemsize, tuple(tensor.shape), strides_of(tensor))
    size = os.fstat(file).st_size
    facts = (DupFd(file), size, tensor.dtype.name, place, tensor.requires_grad)
    return _received, facts


def _received(sent: Any, size: int, dtype: str, place: tuple, requires_grad: bool) -> Tensor:
    """The tensor in the process that got it."""
    offset, shape, strides = place
    whole: Any = frombuffer(_mapped(sent.detach(), size), dtype=dtype)
    made = whole.as_strided(shape, strides, offset)
    return made.requires_grad_() if requires_grad else made
