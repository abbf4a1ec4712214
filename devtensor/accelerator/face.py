"""What `devtensor.cuda` and its kin answer, written once for every device type.

Where a machine has no device of the type, questions are answered (no devices, no bytes, nothing to seed)
and what needs a device raises DeviceMissing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from devtensor.accelerator import streams
from devtensor.accelerator.memory_face import MemoryFace
from devtensor.accelerator.streams import Stream
from devtensor.backend import registry
from devtensor.core.device import Device, current_index, resolve, set_current_index
from devtensor.core.errors import ArgumentError, DeviceError, DeviceMissing
from devtensor.core.tensor import Tensor
from devtensor.random import generator_for


class DeviceProperties(SimpleNamespace):
    """What a backend tells of a device, as attributes: `name`, `total_memory` and what else it knows."""

    def __repr__(self) -> str:
        told = {name: value for name, value in vars(self).items() if name in SHOWN}
        parts = [
            f"{name}={value >> 20}MB" if name in IN_MEGABYTES else f"{name}={value!r}"
            for name, value in told.items()
        ]
        return f"DeviceProperties({', '.join(parts)})"


IN_MEGABYTES = ("total_memory", "L2_cache_size")
SHOWN = (
    *IN_MEGABYTES, "major", "minor", "multi_processor_count", "name", "pci_bus_id", "pci_device_id",
    "pci_domain_id", "uuid",
)  # fmt: skip
"""The properties that the text of them all shows, where the backend knows them."""


class Face(MemoryFace):
    """The functions of one device type's module; `devtensor.cuda` and its kin are made of its methods."""

    def __init__(self, type: str) -> None:
        self.type = type

    def is_available(self) -> bool:
        """Whether at least one device of this type can be used."""
        return registry.available(self.type)

    def is_initialized(self) -> bool:
        """Whether devices of this type are ready for use."""
        return self.is_available()

    def init(self) -> None:
        """Make devices of this type ready for use; the first tensor does it, too.

        Errors: DeviceMissing if there is none.
        """
        self.require()

    def device_count(self) -> int:
        """How many devices of this type can be used."""
        return registry.get(self.type).device_count() if self.is_available() else 0

    def require(self) -> None:
        """Raise DeviceMissing if no device of this type can be used."""
        if not self.is_available():
            if self.type in registry.names():
                registry.get(self.type)
            raise DeviceMissing(f'[{self.type}] no backend offers the device type "{self.type}"; install one')

    def place(self, device: Any = None) -> Device:
        """The device of this type that a device, its text or its number stands for; None: the current one.

        Errors: ArgumentError for a device of another type, DeviceError for one that does not exist.
        """
        self.require()
        found = streams.place(self.type, device)
        if found.type != self.type:
            raise ArgumentError(f"[{self.type}] Expected a {self.type} device, but got: {found}")
        return found

    def index(self, device: Any = None) -> int:
        """The number of the device that `place` gives."""
        return self.place(device).index or 0

    def current_device(self) -> int:
        """The number of the device that the type's bare name stands for.

        Errors: DeviceMissing if there is none.
        """
        self.require()
        return current_index(self.type)

    def set_device(self, device: Any) -> None:
        """Make a device the one that the type's bare name stands for; a negative number changes nothing.

        Errors: DeviceError if it does not exist.
        """
        if not (isinstance(device, int) and device < 0):
            set_current_index(self.type, self.index(device))

    def synchronize(self, device: Any = None) -> None:
        """Wait until a device has done all that was asked of it.

        Errors: DeviceMissing if there is none.
        """
        index = self.index(device)
        registry.get(self.type).synchronize(index)

    def get_device_properties(self, device: Any = None) -> DeviceProperties:
        """What the backend tells of a device: `name`, `total_memory` in bytes, and what else it knows.

        Errors: DeviceMissing if there is none.
        """
        index = self.index(device)
        backend: Any = registry.get(self.type)
        told = dict(getattr(backend, "properties", lambda index: {})(index))
        if "total_memory" not in told:
            # Asked for last: counting memory readies a device, which takes some of it.
            told["total_memory"] = backend.memory(index).total or 0
        return DeviceProperties(**({"name": f"{self.type}:{index}"} | told))

    def get_device_name(self, device: Any = None) -> str:
        """What the device calls itself."""
        return self.get_device_properties(device).name

    def get_device_capability(self, device: Any = None) -> tuple[int, int]:
        """The two numbers of a device's generation.

        Errors: DeviceError if its backend does not tell them.
        """
        told = self.get_device_properties(device)
        if not hasattr(told, "major"):
            raise DeviceError(f"[get_device_capability] the backend of {self.type} tells no generation")
        return told.major, told.minor

    def is_bf16_supported(self, including_emulation: bool = True) -> bool:
        """Whether tensors on these devices can be bfloat16."""
        return self.is_available() and "bfloat16" in registry.get(self.type).dtypes

    def manual_seed(self, seed: int) -> None:
        """Seed the current device's random numbers; nothing happens where there is no device."""
        if self.is_available():
            generator_for(resolve(self.type)).manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        """Seed the random numbers of all devices of this type; nothing happens where there is none."""
        for index in range(self.device_count()):
            generator_for(Device(self.type, index)).manual_seed(seed)

    def seed(self) -> None:
        """Seed the current device's random numbers from the system's own source of chance."""
        if self.is_available():
            generator_for(resolve(self.type)).seed()

    def seed_all(self) -> None:
        """Seed all devices of this type alike from the system's own source of chance."""
        if self.is_available():
            self.manual_seed_all(generator_for(resolve(self.type)).seed())

    def initial_seed(self) -> int:
        """The seed that the current device's random numbers started from."""
        return generator_for(self.place()).initial_seed()

    def get_rng_state(self, device: Any = None) -> Tensor:
        """The state of a device's random numbers, as bytes on the CPU."""
        return generator_for(self.place(device)).get_state()

    def get_rng_state_all(self) -> list[Tensor]:
        """The state of every device's random numbers."""
        return [self.get_rng_state(index) for index in range(self.device_count())]

    def set_rng_state(self, new_state: Tensor, device: Any = None) -> None:
        """Give a device a state that `get_rng_state` gave; nothing happens where there is no device."""
        if self.is_available():
            generator_for(self.place(device)).set_state(new_state)

    def set_rng_state_all(self, new_states: Iterable[Tensor]) -> None:
        """Give every device a state that `get_rng_state_all` gave."""
        for index, state in enumerate(new_states):
            self.set_rng_state(state, index)

    def current_stream(self, device: Any = None) -> Stream:
        """The stream that new work on a device goes to."""
        return streams.current_stream(self.place(device), self.stream_class())

    def default_stream(self, device: Any = None) -> Stream:
        """The stream that a device has without being asked."""
        return streams.default_stream(self.place(device), self.stream_class())

    def stream_class(self) -> type[Stream]:
        """The class of the type's streams."""
        module = sys.modules.get(f"devtensor.{self.type}")
        return getattr(module, "Stream", Stream)


class DeviceGuard:
    """Within it the bare name of a device type stands for another of its devices.

    None and negative numbers change nothing.

    Errors: ArgumentError for a device of another type, DeviceError if the device does not exist.
    """

    type = "cuda"

    def __init__(self, device: Any) -> None:
        named = Device(device) if isinstance(device, str) else device
        if isinstance(named, Device) and named.type != self.type:
            raise ArgumentError(f"[{self.type}] Expected a {self.type} device, but got: {named}")
        self.idx = -1 if named is None else self.number(named)
        self.prev_idx = -1

    def number(self, device: Any) -> int:
        """The number of a device; the current one's if it has none."""
        if not isinstance(device, Device):
            return device
        return current_index(self.type) if device.index is None else device.index

    def __enter__(self) -> None:
        self.prev_idx = -1
        if self.idx >= 0:
            index = Face(self.type).index(self.idx)
            self.prev_idx = current_index(self.type)
            set_current_index(self.type, index)

    def __exit__(self, *error: object) -> None:
        if self.prev_idx >= 0:
            set_current_index(self.type, self.prev_idx)


# What every device type's module has; `Face` has them as methods.
FUNCTIONS = (
    "current_device", "current_stream", "device_count", "empty_cache", "get_device_capability",
    "get_device_name", "get_device_properties", "get_rng_state", "get_rng_state_all", "init", "initial_seed",
    "is_available", "is_bf16_supported", "is_initialized", "manual_seed", "manual_seed_all",
    "max_memory_allocated", "max_memory_reserved", "mem_get_info", "memory_allocated", "memory_reserved",
    "memory_stats", "reset_peak_memory_stats", "seed", "seed_all", "set_device", "set_rng_state",
    "set_rng_state_all", "synchronize",
)  # fmt: skip


def module_members(name: str) -> dict[str, Any]:
    """What the module of the device type `name` offers."""
    face = Face(name)
    module = {"type": name, "__module__": f"devtensor.{name}"}
    return {function: getattr(face, function) for function in FUNCTIONS} | {
        "Event": type("Event", (streams.Event,), module),
        "Stream": type("Stream", (streams.Stream,), module),
        "StreamContext": streams.StreamContext,
        "device": type("device", (DeviceGuard,), module),
        "set_stream": streams.set_stream,
        "stream": streams.StreamContext,
    }
