"""DLPack: memory shared with other libraries, both ways.

Source: the DLPack specification, Python side, version 1.0 of the protocol.
"""

from __future__ import annotations

from typing import Any

from devtensor.core.device import Device, resolve
from devtensor.core.errors import ArgumentError, ArgumentTypeError, ExportError
from devtensor.core.host import hear_host_read
from devtensor.core.tensor import Tensor, share, storage_of
from devtensor.interop.adopting import adopt, check_layout

# DLPack's device types that hold plain host memory and CUDA's: the device type here that takes them in.
DEVICES = {1: "cpu", 2: "cuda", 3: "cpu", 13: "cuda"}


def dlpack(
    self: Tensor,
    *,
    stream: Any = None,
    max_version: tuple[int, int] | None = None,
    dl_device: tuple[int, int] | None = None,
    copy: bool | None = None,
) -> Any:
    """This tensor's memory for another library, as a capsule.

    Errors: ExportError for a tensor that requires grad or lies where no other library reaches.
    """
    if self.requires_grad:
        raise ExportError("[__dlpack__] Can't export tensors that require gradient, use tensor.detach()")
    if stream is not None and (isinstance(stream, bool) or not isinstance(stream, int)):
        raise ArgumentTypeError(f"[__dlpack__] stream must be int or None, got {stream!r}")
    here = dlpack_device(self)
    hear_host_read(self, "__dlpack__")
    if dl_device is not None and tuple(map(int, dl_device)) != here:
        if copy is False:
            raise ExportError(f"[__dlpack__] copy=False, but the tensor is on {self.device}, not {dl_device}")
        self, copy = self.to(_device(*dl_device)), None
    array = self.clone().array if copy else self.array
    if not copy:
        # Others may write this memory: known as shared, no gradient takes it for its own.
        storage_of(self)
    asked: dict[str, Any] = {} if max_version is None else {"max_version": max_version}
    if here[0] != 1 and stream is not None:
        asked["stream"] = stream
    place = self.kind.device
    with place.backend.on(place.index or 0):
        # The library looks for the stream that wrote the memory among those of the current device.
        return array.__dlpack__(**asked)


def dlpack_device(self: Tensor) -> tuple[int, int]:
    """Where the memory lies, as DLPack counts devices: (type, index).

    Errors: ArgumentError for a device that DLPack has no number for.
    """
    found = getattr(self.array, "__dlpack_device__", None)
    if found is None or self.device.type == "meta":
        raise ArgumentError(f"[__dlpack_device__] Unknown device type {self.device.type} for DLPack")
    number, index = found()
    return int(number), int(index)


def _device(number: int, index: int) -> Device:
    name = DEVICES.get(int(number))
    if name is None:
        raise ArgumentTypeError(
            f"[from_dlpack] the array is on DLPack device type {int(number)}; copy it to the CPU first"
        )
    return resolve(name if name == "cpu" else f"{name}:{index}")


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor that shares memory with another library's array, or, if `copy`, has a copy of it.

    Errors: ArgumentTypeError if the object has no DLPack, or lies on a device no backend takes in;
    ArgumentError if `copy` is False and it must move to `device`.
    """
    made = _taken_in(ext_tensor)
    place = made.device if device is None else resolve(device)
    if place is not made.device:
        if copy is False:
            raise ArgumentError(f"[from_dlpack] copy=False, but the array is on {made.device}, not {place}")
        return made.to(place)
    return made.clone() if copy else made


class _Capsule:
    """A producer that hands out one capsule."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **asked: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return device_in(self.capsule)


# The names of capsules that are not taken yet, and the bytes before their tensor: in a capsule of version 1
# these are the version, the manager, its deleter and flags. A tensor begins with an address and the device.
BEFORE_TENSOR = {b"dltensor": 0, b"dltensor_versioned": 32}


def device_in(capsule: Any) -> tuple[int, int]:
    """Where a capsule says that its memory lies; the host for one that was taken."""
    import ctypes

    name_of = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", ctypes.pythonapi))
    address_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi)
    )
    name = name_of(capsule)
    if name not in BEFORE_TENSOR:
        return 1, 0
    place = address_of(capsule, name) + BEFORE_TENSOR[name] + ctypes.sizeof(ctypes.c_void_p)
    number, index = (ctypes.c_int32 * 2).from_address(place)
    return number, index


def _writable(array: Any) -> Any:
    """The same memory to be written to, which NumPy denies where an older capsule cannot say so."""
    import ctypes

    import numpy

    reach = sum((size - 1) * stride for size, stride in zip(array.shape, array.strides, strict=True))
    memory: Any = (ctypes.c_char * (reach + array.itemsize)).from_address(array.ctypes.data)
    memory.owner = array
    return numpy.ndarray(array.shape, array.dtype, memory, strides=array.strides)


def _taken_in(ext_tensor: Any) -> Tensor:
    if isinstance(ext_tensor, Tensor):
        if ext_tensor.requires_grad:
            raise ExportError("[from_dlpack] Can't export tensors that require gradient, use tensor.detach()")
        return share(ext_tensor)
    if type(ext_tensor).__name__ == "PyCapsule":
        ext_tensor = _Capsule(ext_tensor)
    if not hasattr(ext_tensor, "__dlpack_device__"):
        raise ArgumentTypeError(f"[from_dlpack] {type(ext_tensor).__name__} has no __dlpack__; give an array")
    place = _device(*ext_tensor.__dlpack_device__())
    if place.type != "cpu":
        return adopt("from_dlpack", ext_tensor, place)
    import numpy

    array = numpy.from_dlpack(ext_tensor)
    check_layout("from_dlpack", array)
    if isinstance(ext_tensor, _Capsule) and array.size:
        array = _writable(array)
    return adopt("from_dlpack", array, place)


METHODS = {"__dlpack__": dlpack, "__dlpack_device__": dlpack_device}
