"""Values that cross between processes, with the bytes of large tensors and arrays in shared memory.

A parcel is a pickle stream and the names of shared memory segments. Where `/dev/shm` is a directory the
receiver maps a segment and works on it in place; elsewhere it copies. Segments are named by the sender's
prefix and a count, so that whoever knows the prefix can remove what a dead process left behind.
"""

from __future__ import annotations

import io
import itertools
import mmap
import os
import pickle
import warnings
import weakref
from multiprocessing.reduction import ForkingPickler
from multiprocessing.shared_memory import SharedMemory
from typing import Any, NamedTuple

from devtensor.core.errors import AutogradError, DeviceError
from devtensor.core.tensor import Tensor

SHARED_FILES = "/dev/shm"
PICKLE_PROTOCOL = 5
# Below this many bytes a copy through the pipe costs less than a segment.
SMALLEST_SEGMENT = 1 << 16
# Windows frees a segment when its maker closes it, which is before the receiver opens it.
SHARES = os.name == "posix"
# A mapped segment holds a file descriptor: batches that are kept beyond this many are copied out.
MOST_MAPPED = 256

_mapped: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
_shortage_was_told = False


class Parcel(NamedTuple):
    """A pickled value; `segments` names the shared memory of its large buffers, with their sizes in bytes.

    `shortage` says why a large buffer had to stay in the stream.
    """

    stream: bytes
    segments: tuple[tuple[str, int], ...]
    shortage: str | None


def pack(value: Any, prefix: str, tensors_only: bool = False) -> Parcel:
    """Pickle `value` with large buffers in segments named after `prefix`.

    With `tensors_only` NumPy arrays stay in the stream, so that every receiver has its own.

    Errors: DeviceError for a tensor that is not on the CPU; AutogradError for one with a history.
    """
    segments: list[tuple[str, int]] = []
    shortage: str | None = None

    def keep_in_stream(buffer: pickle.PickleBuffer) -> bool:
        nonlocal shortage
        raw = buffer.raw()
        if raw.nbytes < SMALLEST_SEGMENT or not SHARES or (tensors_only and buffer not in pickler.tensors):
            return True
        name = f"{prefix}-{len(segments)}"
        try:
            _write_segment(name, raw)
        except OSError as error:
            shortage = f"{raw.nbytes} bytes: {error}"
            return True
        segments.append((name, raw.nbytes))
        return False

    stream = io.BytesIO()
    pickler = TensorPickler(stream, PICKLE_PROTOCOL, True, keep_in_stream)
    try:
        pickler.dump(value)
    except BaseException:
        discard(prefix)
        raise
    return Parcel(stream.getvalue(), tuple(segments), shortage)


def unpack(parcel: Parcel, keep: bool = False) -> Any:
    """The value of a parcel; its segments are unlinked, unless `keep` leaves them to other receivers."""
    if parcel.shortage is not None:
        _warn_once(parcel.shortage)
    try:
        buffers = [_read_segment(name, size) for name, size in parcel.segments]
        return pickle.loads(parcel.stream, buffers=buffers)
    finally:
        if not keep:
            for name, _ in parcel.segments:
                _remove_segment(name)


def discard(prefix: str) -> None:
    """Remove the segments that `pack` made under a prefix and nobody has unpacked."""
    for count in itertools.count():
        if not _remove_segment(f"{prefix}-{count}"):
            return


class TensorPickler(ForkingPickler):
    """Pickles CPU tensors as buffers, which may stay outside the stream."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.tensors: list[pickle.PickleBuffer] = []

    def reducer_override(self, value: Any) -> Any:
        """How to pickle `value`, or NotImplemented for the usual way."""
        if type(value) is not Tensor:
            # Not by descriptors of shared memory, which one receiver alone can have.
            return value.__reduce_ex__(PICKLE_PROTOCOL) if isinstance(value, Tensor) else NotImplemented
        if value.device.type != "cpu":
            raise DeviceError(
                f"[DataLoader] got a tensor on {value.device} between processes; workers hold tensors "
                "on the CPU: move each batch to the device in the loop over the loader"
            )
        if value.requires_grad and not value.is_leaf:
            raise AutogradError(
                f"[DataLoader] got a tensor {tuple(value.shape)} with a history between processes; "
                "detach() it"
            )
        array = value.detach().contiguous().numpy()
        buffer = pickle.PickleBuffer(array.reshape(-1).view("uint8"))
        self.tensors.append(buffer)
        dtype = str(value.dtype).rpartition(".")[2]
        return _rebuild_tensor, (buffer, dtype, tuple(value.shape), value.requires_grad)


def _rebuild_tensor(buffer: Any, dtype: str, shape: tuple[int, ...], requires_grad: bool) -> Tensor:
    import devtensor

    kind = getattr(devtensor, dtype)
    if 0 in shape:
        tensor = devtensor.empty(shape, dtype=kind)
    else:
        writable = bytearray(buffer) if memoryview(buffer).readonly else buffer
        tensor = devtensor.frombuffer(writable, dtype=kind).reshape(shape)
    return tensor.requires_grad_() if requires_grad else tensor


def _write_segment(name: str, raw: memoryview) -> None:
    """Copy bytes to a new segment; OSError if shared memory has no room, and then no segment is left."""
    segment = SharedMemory(name, create=True, size=raw.nbytes)
    try:
        if os.path.isdir(SHARED_FILES):
            # Writing to the file reports a full file system; writing to its mapping would kill the process.
            with open(os.path.join(SHARED_FILES, segment.name), "r+b", buffering=0) as file:
                _write_all(file, raw)
        else:
            content: Any = segment.buf
            content[: raw.nbytes] = raw
    except OSError:
        segment.unlink()
        raise
    finally:
        segment.close()


def _write_all(file: io.RawIOBase, raw: memoryview) -> None:
    written = 0
    while written < raw.nbytes:
        written += file.write(raw[written:]) or 0


def _warn_once(shortage: str) -> None:
    global _shortage_was_told
    if not _shortage_was_told:
        _shortage_was_told = True
        warnings.warn(
            f"[DataLoader] no shared memory for {shortage}; batches go through pipes, which is slower: "
            f"make {SHARED_FILES} larger (docker run --shm-size), or lower num_workers or prefetch_factor",
            RuntimeWarning,
            stacklevel=2,
        )


def _read_segment(name: str, size: int) -> bytearray | mmap.mmap:
    segment = SharedMemory(name)
    try:
        if len(_mapped) < MOST_MAPPED and os.path.isdir(SHARED_FILES):
            with open(os.path.join(SHARED_FILES, segment.name), "r+b", buffering=0) as file:
                mapping = mmap.mmap(file.fileno(), size)
            _mapped.add(mapping)
            return mapping
        content: Any = segment.buf
        return bytearray(content[:size])
    finally:
        segment.close()


def _remove_segment(name: str) -> bool:
    """Unlink a segment; False if there is none. Its memory lives until the last mapping of it is gone."""
    try:
        segment = SharedMemory(name)
    except FileNotFoundError:
        return False
    except ValueError:
        # It is empty: its maker was killed before it could give it a size.
        os.unlink(os.path.join(SHARED_FILES, name))
        return True
    segment.unlink()
    segment.close()
    return True
