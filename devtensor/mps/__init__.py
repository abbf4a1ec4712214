"""The torch.mps-shaped face of the device type "mps", which a plug-in may serve."""

from __future__ import annotations

from devtensor.accelerator.face import Face
from devtensor.core.tensor import Tensor

_face = Face("mps")

device_count = _face.device_count
is_available = _face.is_available
manual_seed = _face.manual_seed
seed = _face.seed


def synchronize() -> None:
    """Wait until the device has done all that was asked of it.

    Errors: DeviceMissing if there is none; so for all that follow.
    """
    _face.synchronize()


def empty_cache() -> None:
    """Give memory that the allocator holds and nobody uses back to the device."""
    _face.require()
    _face.empty_cache()


def current_allocated_memory() -> int:
    """Bytes in use by live tensors."""
    _face.require()
    return _face.memory_allocated()


def driver_allocated_memory() -> int:
    """Bytes that the allocator holds, in use or not."""
    _face.require()
    return _face.memory_reserved()


def recommended_max_memory() -> int:
    """Bytes that fit the device."""
    return _face.mem_get_info()[1]


def get_rng_state() -> Tensor:
    """The state of the device's random numbers, as bytes on the CPU."""
    return _face.get_rng_state()


def set_rng_state(new_state: Tensor) -> None:
    """Give the device a state that `get_rng_state` gave."""
    _face.require()
    _face.set_rng_state(new_state)


__all__ = [
    "current_allocated_memory",
    "driver_allocated_memory",
    "empty_cache",
    "get_rng_state",
    "recommended_max_memory",
    "set_rng_state",
    "synchronize",
]
