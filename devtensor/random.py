"""Random state: a Generator per device, whose seed and offset are a tensor on that device."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from devtensor.backend import registry
from devtensor.core.device import Device, resolve
from devtensor.core.dtype import int64, uint8
from devtensor.core.errors import ArgumentError, ArgumentTypeError, DeviceError, OptionError
from devtensor.core.host import host_read
from devtensor.core.inplace import apply_inplace, copy_into
from devtensor.core.state import current, inference_mode, no_grad
from devtensor.core.tensor import Tensor
from devtensor.core.transfer import HostData
from devtensor.ops import random as ops
from devtensor.ops.create import constant, copy
from devtensor.ops.elementwise import add
from devtensor.ops.shape import getitem

__all__ = [
    "Generator",
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
]

# The seed of generators that nobody seeded, so that unseeded programs repeat themselves, as PyTorch's do.
UNSEEDED = 67280421310721
WORD = 1 << 64


class Generator:
    """A source of random numbers on one device.

    `state` is an int64 tensor of two, seed and offset; a draw of n elements reads it and moves the offset on
    by n, both by ops, so that a captured graph draws anew at every replay.
    """

    def __init__(self, device: Any = "cpu") -> None:
        self.device = resolve(device)
        self._state: Tensor | None = None
        self._view: Tensor | None = None
        self._seed = UNSEEDED

    @property
    def state(self) -> Tensor:
        """Seed and offset, on the device; made on first use."""
        state = self._state
        if state is None:
            with inference_mode(False):  # an inference tensor could not be drawn from outside
                state = self._state = constant(_words(self._seed, 0), int64, self.device)
        return state

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of `seed` anew.

        Errors: ArgumentError unless -2**63 <= seed < 2**64.
        """
        self._seed = _checked(seed)
        if self._state is not None:
            with no_grad():
                copy_into(self._state, constant(_words(self._seed, 0), int64, self.device))
        return self

    def seed(self) -> int:
        """Seed from the system's own source of chance and return the seed."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little") >> 1)
        return self._seed

    def initial_seed(self) -> int:
        """The seed this stream started from."""
        return (
            self._seed if self._state is None else host_read(self._state, "initial_seed").numbers()[0] % WORD
        )

    def get_state(self) -> Tensor:
        """Seed and offset as 16 bytes on the CPU."""
        return constant(
            HostData(bytes(host_read(self.state, "get_state").data), (16,)), uint8, resolve("cpu")
        )

    def set_state(self, new_state: Tensor) -> Generator:
        """Take up a state that `get_state` gave.

        Errors: ArgumentTypeError for anything else.
        """
        if not isinstance(new_state, Tensor) or new_state.dtype is not uint8 or new_state.shape != (16,):
            raise ArgumentTypeError(
                "[set_state] RNG state must be a torch.ByteTensor of 16 elements, as get_state() gives; "
                f"got {new_state!r}"
            )
        data = HostData(bytes(host_read(new_state, "set_state").data), (2,))
        with no_grad():
            copy_into(self.state, constant(data, int64, self.device))
        return self

    def get_offset(self) -> int:
        """How many words of the stream were drawn.

        Errors: OptionError on the CPU, whose offset PyTorch does not tell.
        """
        self._refuse_cpu("get_offset")
        return host_read(self.state, "get_offset").numbers()[1]

    def set_offset(self, offset: int) -> None:
        """Go on where so many words of the stream were drawn.

        Errors: OptionError on the CPU, ArgumentError for less than none.
        """
        self._refuse_cpu("set_offset")
        if not 0 <= offset < WORD // 2:
            raise ArgumentError(f"[set_offset] offset is {offset}; it counts words drawn, from 0")
        with no_grad():
            copy_into(self.state, constant(_words(self.initial_seed(), offset), int64, self.device))

    def _refuse_cpu(self, name: str) -> None:
        if self.device.type == "cpu":
            raise OptionError(f"[{name}] CPU Generator does not use offset; use get_state() and set_state()")

    def clone_state(self) -> Generator:
        """Another generator that goes on from here."""
        made = Generator(self.device)
        made._seed, made._state = self._seed, None if self._state is None else copy(self._state)
        return made

    def advance(self, count: int) -> None:
        """Move the offset on by the words that a draw took."""
        if count:
            apply_inplace(add.op, self._offset(), (count,), ())

    def _offset(self) -> Tensor:
        """The view of the state that holds the offset; layers see it taken anew."""
        found = self._view
        if current().layers:
            return getitem(self.state, (slice(1, 2),))
        if found is None:
            found = self._view = getitem(self.state, (slice(1, 2),))
        return found

    def uniform(self, shape: tuple[int, ...], dtype: Any) -> Tensor:
        """Numbers spread evenly over [0, 1)."""
        return self._drawn(ops.random_uniform(self.state, shape, dtype))

    def normal(self, shape: tuple[int, ...], dtype: Any) -> Tensor:
        """Numbers of the standard normal distribution."""
        return self._drawn(ops.random_normal(self.state, shape, dtype))

    def integers(self, shape: tuple[int, ...], low: int, high: int) -> Tensor:
        """Integers spread evenly over [low, high)."""
        return self._drawn(ops.random_integers(self.state, shape, low, high))

    def _drawn(self, made: Tensor) -> Tensor:
        self.advance(made.shape.numel())
        return made

    def __repr__(self) -> str:
        return f"<devtensor.Generator on {self.device}>"

    def __getstate__(self) -> dict[str, Any]:
        return {"device": str(self.device), "seed": self._seed, "state": self.get_state()}

    def __setstate__(self, held: dict[str, Any]) -> None:
        self.__init__(held["device"])
        self._seed = held["seed"]
        self.set_state(held["state"])


def _checked(seed: Any) -> int:
    try:
        value = int(seed)
    except (TypeError, ValueError):
        raise ArgumentTypeError(f"[manual_seed] seed is {seed!r}; it needs an int") from None
    if not -(WORD // 2) <= value < WORD:
        raise ArgumentError(f"[manual_seed] Overflow: seed {value} is not in [-2**63, 2**64)")
    return value % WORD


def _words(seed: int, offset: int) -> HostData:
    return HostData(seed.to_bytes(8, "little") + offset.to_bytes(8, "little"), (2,))


_defaults: dict[Device, Generator] = {}
_seed_of_all = [UNSEEDED]


def _forget(device_type: str) -> None:
    """Drop the generators of a device type whose backend has changed or gone."""
    for device in [d for d in _defaults if d.type == device_type]:
        del _defaults[device]


registry.door.listeners.append(_forget)


def generator_for(device: Device, generator: Generator | None = None) -> Generator:
    """The generator given, if it fits the device, else the device's own.

    Errors: DeviceError if it is another device's.
    """
    if device.under:
        device = device.under[-1]
    if generator is None:
        found = _defaults.get(device)
        if found is None:
            found = _defaults[device] = Generator(device)
            found.manual_seed(_seed_of_all[0])
        return found
    if generator.device is not device:
        raise DeviceError(
            f"[generator] Expected a '{device}' device type for generator but found '{generator.device}'; "
            f'make one with devtensor.Generator("{device}")'
        )
    return generator


def manual_seed(seed: int) -> Generator:
    """Start the streams of all devices anew from `seed`; returns the CPU's generator."""
    _seed_of_all[0] = _checked(seed)
    for generator in _defaults.values():
        generator.manual_seed(seed)
    return generator_for(resolve("cpu"))


def seed() -> int:
    """Seed all devices from the system's own source of chance and return the seed."""
    value = int.from_bytes(os.urandom(8), "little") >> 1
    manual_seed(value)
    return value


def initial_seed() -> int:
    """The seed that the CPU's stream started from."""
    return generator_for(resolve("cpu")).initial_seed()


def get_rng_state(device: Any = "cpu") -> Tensor:
    """The state of a device's generator, as bytes on the CPU."""
    return generator_for(resolve(device)).get_state()


def set_rng_state(new_state: Tensor, device: Any = "cpu") -> None:
    """Give a device's generator a state that `get_rng_state` gave."""
    generator_for(resolve(device)).set_state(new_state)


@contextmanager
def fork_rng(
    devices: Iterable[Any] | None = None,
    enabled: bool = True,
    _caller: str = "fork_rng",
    _devices_kw: str = "devices",
    device_type: str | None = None,
) -> Iterator[None]:
    """Within it random numbers are drawn as usual; after it all generators stand where they stood before.

    Without `devices`, all generators in use are kept; the CPU's always is.
    """
    if not enabled:
        yield
        return
    named = (
        []
        if devices is None
        else [resolve(d if isinstance(d, Device | str) else f"{device_type or 'cuda'}:{d}") for d in devices]
    )
    chosen = dict.fromkeys([resolve("cpu"), *(list(_defaults) if devices is None else named)])
    kept = [(generator_for(d), copy(generator_for(d).state)) for d in chosen]
    try:
        yield
    finally:
        with no_grad():
            for generator, state in kept:
                copy_into(generator.state, state)


def __getattr__(name: str) -> Any:
    if name == "default_generator":
        return generator_for(resolve("cpu"))
    raise AttributeError(f"module 'devtensor.random' has no attribute {name!r}")
