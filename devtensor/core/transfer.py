"""Bytes between the host and devices, and between devices."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

from devtensor.core.device import Device
from devtensor.core.dtype import DType
from devtensor.core.errors import DTypeError
from devtensor.core.memory import InferenceStorage
from devtensor.core.state import current
from devtensor.core.tensor import Tensor, wrap


class HostData(NamedTuple):
    """Numbers on the host: raw bytes in C order, and the shape they fill. Compared by value."""

    data: bytes
    shape: tuple[int, ...]

    def __repr__(self) -> str:
        return f"<{len(self.data)} bytes, shape {self.shape}>"


class Haste(threading.local):
    """Whether copies between host and device may be left under way where the host's memory is pinned."""

    now = False


haste = Haste()


class NotWaiting:
    """Within it copies between host and device are only begun, where the backend can do that."""

    def __enter__(self) -> None:
        self.before, haste.now = haste.now, True

    def __exit__(self, *error: object) -> None:
        haste.now = self.before


def upload(host: HostData, dtype: DType, device: Device) -> Tensor:
    """A tensor on `device` with the numbers of `host`."""
    check_holds(device, dtype)
    array = device.backend.upload(memoryview(host.data), host.shape, dtype.name, device.index or 0)
    made = wrap(array, device.kind(dtype))
    if current().inference:
        made.alias = InferenceStorage(array)
    return made


def move(source: Tensor, device: Device) -> Tensor:
    """A copy of the tensor's numbers on another device, through the host if the device types differ.

    What stands over the device already stays where it is.
    """
    kind = source.kind
    if device in kind.device.under:
        return source
    if device.under:
        return device.backend.lift(source, device)
    check_holds(device, kind.dtype)
    backend = device.backend
    if device.type == kind.device.type:
        between = getattr(backend, "copy_between", None)
        if between is not None:
            return wrap(between(source.array, device.index or 0), device.kind(kind.dtype))
        with backend.on(device.index or 0):
            return wrap(backend.kernels["copy"](source.array), device.kind(kind.dtype))
    home = kind.device.backend
    if haste.now and device.index is None and hasattr(home, "download_later"):
        return wrap(backend.adopt(home.download_later(source.array)), device.kind(kind.dtype))
    begun = {"non_blocking": True} if haste.now and hasattr(backend, "download_later") else {}
    host = home.download(source.array)
    array: Any = backend.upload(host, tuple(source.array.shape), kind.dtype.name, device.index or 0, **begun)
    return wrap(array, device.kind(kind.dtype))


def check_holds(device: Device, dtype: DType) -> None:
    """Refuse a dtype that the device cannot hold.

    Errors: DTypeError that lists what it can.
    """
    if dtype.name not in device.backend.dtypes:
        held = ", ".join(sorted(device.backend.dtypes))
        raise DTypeError(
            f"[{device}] cannot hold {dtype.name}; it holds {held}; convert first, or use another device"
        )
