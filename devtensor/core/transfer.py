"""Bytes between the host and devices, and between devices."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

from devtensor.core.device import Device, Kind
from devtensor.core.dtype import DType
from devtensor.core.errors import DTypeError
from devtensor.core.layout import strides_like
from devtensor.core.memory import InferenceStorage
from devtensor.core.state import current
from devtensor.core.tensor import Tensor, in_rows, strides_of, wrap


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
    """A copy of the tensor's numbers on another device, through the host if the device types differ; its
    elements lie in the order of the source's, without gaps.

    What stands over the device already stays where it is.
    """
    kind = source.kind
    if device in kind.device.under:
        return source
    if device.under:
        return device.backend.lift(source, device)
    check_holds(device, kind.dtype)
    order = outermost_first(source)
    if order is None:
        return wrap(carried(source.array, kind, device), device.kind(kind.dtype))
    target = device.kind(kind.dtype)
    array = carried(kind.kernel("permute")(source.array, order), kind, device)
    return wrap(target.kernel("permute")(array, tuple(map(order.index, range(len(order))))), target)


def outermost_first(source: Tensor) -> tuple[int, ...] | None:
    """The dims as a copy of the tensor has them in memory; None if that is their own order."""
    if in_rows(source):
        return None
    shape = tuple(source.array.shape)
    strides = strides_like(shape, strides_of(source))
    order = tuple(sorted(range(len(shape)), key=lambda dim: (-strides[dim], -shape[dim])))
    return None if order == tuple(range(len(shape))) else order


def carried(source: Any, kind: Kind, device: Device) -> Any:
    """A copy of an array of `kind` on another device; it lies in rows."""
    backend = device.backend
    if device.type == kind.device.type:
        between = getattr(backend, "copy_between", None)
        if between is not None:
            return between(source, device.index or 0)
        with backend.on(device.index or 0):
            return backend.kernels["copy"](source)
    home = kind.device.backend
    if haste.now and device.index is None and hasattr(home, "download_later"):
        return backend.adopt(home.download_later(source))
    begun = {"non_blocking": True} if haste.now and hasattr(backend, "download_later") else {}
    upload: Any = backend.upload
    return upload(home.download(source), tuple(source.shape), kind.dtype.name, device.index or 0, **begun)


def check_holds(device: Device, dtype: DType) -> None:
    """Refuse a dtype that the device cannot hold.

    Errors: DTypeError that lists what it can.
    """
    if dtype.name not in device.backend.dtypes:
        held = ", ".join(sorted(device.backend.dtypes))
        raise DTypeError(
            f"[{device}] cannot hold {dtype.name}; it holds {held}; convert first, or use another device"
        )
