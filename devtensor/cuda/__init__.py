"""The torch.cuda-shaped face of the device type "cuda": is it there, which is current, how full is it."""

from __future__ import annotations

from typing import Any

from devtensor.backend import registry
from devtensor.core.device import Device, current_index, resolve, set_current_index
from devtensor.random import generator_for

__all__ = [
    "current_device",
    "device",
    "device_count",
    "is_available",
    "is_bf16_supported",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "memory_allocated",
    "memory_reserved",
    "set_device",
    "synchronize",
]

TYPE = "cuda"


def is_available() -> bool:
    """Whether at least one CUDA device can be used."""
    return registry.available(TYPE)


def device_count() -> int:
    """How many CUDA devices can be used; 0 where the backend cannot."""
    return registry.get(TYPE).device_count() if is_available() else 0


def is_bf16_supported() -> bool:
    """Whether CUDA tensors can be bfloat16."""
    return is_available() and "bfloat16" in registry.get(TYPE).dtypes


def _index(device: Any) -> int:
    """The index that a device, its text or its number stands for; the current one for None."""
    return resolve(TYPE if device is None else device).index or 0


def current_device() -> int:
    """The index of the device that "cuda" stands for."""
    resolve(TYPE)
    return current_index(TYPE)


def set_device(device: Any) -> None:
    """Make a device the one that "cuda" stands for.

    Errors: DeviceError if it does not exist.
    """
    set_current_index(TYPE, _index(device))


class device:
    """Within it "cuda" stands for another device.

    Errors: DeviceError if it does not exist.
    """

    def __init__(self, device: Device | str | int | None) -> None:
        self.index = _index(device)

    def __enter__(self) -> None:
        self.before = current_index(TYPE)
        set_current_index(TYPE, self.index)

    def __exit__(self, *error: object) -> None:
        set_current_index(TYPE, self.before)


def synchronize(device: Any = None) -> None:
    """Wait until a device has done all that was asked of it."""
    index = _index(device)
    registry.get(TYPE).synchronize(index)


def memory_allocated(device: Any = None) -> int:
    """Bytes of a device's memory in use by live tensors."""
    return registry.get(TYPE).memory(_index(device)).allocated


def memory_reserved(device: Any = None) -> int:
    """Bytes of a device's memory that the library's allocator holds, in use or not."""
    return registry.get(TYPE).memory(_index(device)).reserved


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes of a device's memory that were in use at once."""
    return registry.get(TYPE).memory(_index(device)).peak


def manual_seed(seed: int) -> None:
    """Seed the current device's random numbers; nothing happens where there is no CUDA device."""
    if is_available():
        generator_for(resolve(TYPE)).manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    """Seed the random numbers of all CUDA devices; nothing happens where there is none."""
    for index in range(device_count()):
        generator_for(Device(TYPE, index)).manual_seed(seed)
