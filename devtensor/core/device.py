"""Devices: interned names that carry their backend's kernels."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from math import copysign
from typing import Any

from devtensor.backend import registry
from devtensor.core.dtype import INTEGER, DType
from devtensor.core.errors import ArgumentError, ArgumentTypeError, DeviceError, DeviceMissing, NumberTooLarge

# Device types that have exactly one device, written without an index as PyTorch does.
UNINDEXED = frozenset({"cpu", "meta"})

# Device types that have a name in PyTorch; others must be on offer by a plug-in, or stand for another: within
# a graph, as "meta(cuda)" does, or over it, as "vmap(cuda)".
STANDING = ("meta(", "vmap(")
TYPES = frozenset({"cpu", "cuda", "meta", "mps", "xpu", "xla", "hpu", "mtia", "ipu", "maia", "vulkan"})
NUMBER = re.compile("0|[1-9][0-9]*")

# How many Python numbers a Kind keeps as arrays before it starts anew.
CONSTANTS = 4096

_interned: dict[tuple[str, int | None], Device] = {}


class Here(threading.local):
    """What each thread has for itself: the number that a bare device type stands for, the default device, and
    the defaults that blocks of `with device:` will give back, innermost last."""

    def __init__(self) -> None:
        self.indices: dict[str, int] = {}
        self.default: Device | None = None
        self.outer: list[Device | None] = []


_here = Here()


class Device:
    """Where a tensor lives: a device type and an index, compared by identity.

    Errors: ArgumentError if the text is no device, DeviceError on first use if its backend cannot be had.
    Example: `Device("cuda:1")`, `Device("cuda", 1)`, `Device("cpu")`.
    """

    __slots__ = ("__weakref__", "_backend", "_kinds", "index", "type", "under")
    type: str
    index: int | None
    _backend: Any
    _kinds: dict[DType, Kind]
    # The devices over which it stands, the nearest first: a level of vmap holds examples that lie on them.
    under: tuple[Device, ...]

    def __new__(cls, type: str | Device | int, index: int | None = None) -> Device:
        if isinstance(type, Device):
            return type
        name, index = _parsed(type, index)
        found = _interned.get((name, index))
        if found is None:
            if not name.startswith(STANDING) and name not in TYPES and name not in registry.names():
                known = ", ".join(registry.names())
                raise DeviceMissing(f"[device] {type!r} is no device; known device types are {known}")
            found = object.__new__(cls)
            found.type, found.index = name, index
            found._backend = None
            found._kinds = {}
            found.under = ()
            _interned[(name, index)] = found
        return found

    @property
    def backend(self) -> Any:
        """The Backend that serves this device type, loaded on first use."""
        if self._backend is None:
            self._backend = registry.get(self.type)
        return self._backend

    def kind(self, dtype: DType) -> Kind:
        """The one Kind of tensors of `dtype` on this device.

        Errors: DTypeError if the device cannot hold the dtype.
        """
        found = self._kinds.get(dtype)
        if found is None:
            found = self._kinds[dtype] = Kind(dtype, self)
        return found

    def kernel(self, name: str, dtype: DType, all_scalar: bool = True) -> Callable | None:
        """The backend's kernel for an op on tensors of `dtype`, or None if it has none.

        `all_scalar=False` lets the backend give a function whose 0-d results are scalars of its library.
        """
        backend = self.backend
        kernel = backend.kernels.get(name)
        if kernel is None:
            return None
        specialise = getattr(backend, "specialise", None)
        one_of_several = self.index is not None and backend.device_count() > 1
        if specialise is not None:
            with backend.on(self.index) if one_of_several else nullcontext():
                kernel = specialise(name, kernel, dtype.name, all_scalar)
        if kernel is not None and self.index is not None and one_of_several:
            return _entering(backend, self.index, kernel)
        return kernel

    def __repr__(self) -> str:
        if self.index is None:
            return f"device(type={self.type!r})"
        return f"device(type={self.type!r}, index={self.index})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self) -> tuple:
        return Device, (self.type, self.index)

    def __copy__(self) -> Device:
        return self

    def __enter__(self) -> Device:
        """Within it new tensors lie on this device where none is named."""
        _here.outer.append(_here.default)
        set_default_device(self)
        return self

    def __exit__(self, *error: object) -> None:
        _here.default = _here.outer.pop()

    def __call__(self, function: Callable) -> Callable:
        """The function, run with this device as the one of new tensors."""

        @wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return inside

    def __deepcopy__(self, memo: dict) -> Device:
        return self


def _parsed(type: Any, index: Any) -> tuple[str, int | None]:
    """Device type and index of what a Device is made from: texts, and a number for the accelerator's."""
    if isinstance(type, int) and not isinstance(type, bool) and index is None:
        if not registry.available("cuda"):
            raise DeviceMissing(f"[device] {type} is a number of an accelerator, and there is none")
        return "cuda", type
    if not isinstance(type, str) or not isinstance(index, int | None) or isinstance(index, bool):
        given = repr(type) if index is None else f"{type!r} and {index!r}"
        raise ArgumentTypeError(
            f"[device] got {given}; it takes a text such as 'cpu' or 'cuda:1', or 'cuda', 1"
        )
    name, colon, number = type.partition(":")
    if colon and (index is not None or not NUMBER.fullmatch(number)):
        raise ArgumentError(f"[device] Invalid device string: {type!r}; write it as 'cuda' or 'cuda:1'")
    return name, int(number) if colon else index


_CPU = Device("cpu")


class Kind:
    """What tensors of one dtype on one device share: interned, so that one `is` compares both."""

    __slots__ = ("constants", "device", "dtype", "kernels", "place")

    def __init__(self, dtype: DType, device: Device) -> None:
        self.dtype = dtype
        self.device = device
        # Where users are told that the tensor lies.
        self.place = device.under[-1] if device.under else device
        self.constants: dict[object, Any] = {}
        self.kernels: dict[str, Any] = {}

    def kernel(self, name: str) -> Any:
        """The backend's kernel of this name for arrays of this kind, looked up once."""
        found = self.kernels.get(name)
        if found is None:
            found = self.kernels[name] = self.device.kernel(name, self.dtype)
        return found

    def constant(self, value: float) -> Any:
        """A 0-d array that holds a Python scalar; made once per value.

        The cache is keyed by value: -0.0, which equals 0.0, and NaN, which equals nothing, stay out of it.
        """
        found = self.constants.get(value)
        if found is not None and (value or copysign(1.0, value) > 0):
            return found
        if isinstance(value, complex):
            return self._made(value)
        array = self._made(wrapped(value, self.dtype) if isinstance(value, int) else value)
        if value == value and (value or copysign(1.0, value) > 0):
            if len(self.constants) > CONSTANTS:
                self.constants.clear()
            self.constants[value] = array
        return array

    def _made(self, value: float) -> Any:
        if self.device.under:
            return self.device.backend.constant(value, self.dtype.name)
        return self.kernel("full")((), value, self.dtype.name)


def wrapped(value: int, dtype: DType) -> int:
    """A Python int as an integer dtype holds it: modulo its width, as in PyTorch.

    Errors: NumberTooLarge beyond 64 bits.
    """
    if not -(1 << 63) <= value < 1 << 63:
        raise NumberTooLarge(f"[{dtype.name}] Overflow when unpacking long: {value} does not fit 64 bits")
    if dtype.category != INTEGER:
        return value
    value &= (1 << dtype.bits) - 1
    return value - (1 << dtype.bits) if dtype.is_signed and value >> (dtype.bits - 1) else value


def _entering(backend: Any, index: int, kernel: Callable) -> Callable:
    @wraps(kernel)
    def on_device(*args: Any) -> Any:
        with backend.on(index):
            return kernel(*args)

    return on_device


def resolve(value: Device | str | int | None) -> Device:
    """The usable device that a name stands for: `cuda` becomes the current CUDA device.

    Errors: DeviceError if the type is unknown, cannot be used, or has no such index.
    """
    if value is None:
        return default_device()
    if (
        isinstance(value, Device)
        and value.type == "cpu"
        and value.index is None
        and value._backend is not None
    ):
        return value
    device = Device("cuda", value) if isinstance(value, int) else Device(value)
    backend = device.backend
    if getattr(backend, "target", None) is not None:
        return device
    if device.type in UNINDEXED:
        return Device(device.type)
    count = backend.device_count()
    index = _here.indices.get(device.type, 0) if device.index is None else device.index
    if index >= count:
        raise DeviceError(
            f"[device] {device.type}:{index} does not exist; {device.type} has {count} device(s)"
        )
    return Device(device.type, index)


def current_index(type: str) -> int:
    """The index that `type` stands for when no index is given."""
    return _here.indices.get(type, 0)


def set_current_index(type: str, index: int) -> None:
    """Make `index` the device that `type` stands for when no index is given."""
    _here.indices[type] = resolve(Device(type, index)).index or 0


def default_device() -> Device:
    """The device of new tensors when none is named; a type without a number follows its current device."""
    return resolve(_here.default or _CPU)


def set_default_device(device: Device | str | int | None) -> None:
    """Make `device` the one of this thread's new tensors when none is named; None means the CPU.

    Errors: DeviceError if it cannot be used.
    """
    chosen = Device("cpu" if device is None else device)
    resolve(chosen)
    _here.default = chosen


_legacy_device = ["cpu"]


def legacy_device() -> str:
    """The device type that `set_default_tensor_type` was told last."""
    return _legacy_device[0]


def set_legacy_device(type: str) -> None:
    """Make a device type the default by the older way, which texts of tensors follow."""
    set_default_device(type)
    _legacy_device[0] = type


def forget_devices(type: str) -> None:
    """Let devices of this type look their backend up again."""
    for device in _interned.values():
        if device.type == type:
            device._backend = None
            for kind in device._kinds.values():
                kind.constants.clear()
                kind.kernels.clear()
