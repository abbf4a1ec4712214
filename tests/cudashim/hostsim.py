"""HostSim: a Runtime without a device, which does everything as late, or as early, as a device might.

What a stream is given runs only when somebody waits for it, and then in an adversarial order: `late` runs no
more than must be, `early` lets all other streams go first, `shuffled` draws. Fresh memory is poisoned, freed
memory is spoilt at once, and work that touches it fails. Pinned memory is read when the copy runs.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cudashim.build import HostBuild
from devtensor_cupy.compile.registry import Source

POISON, SPOILT = 0xFF, 0xDD


class MemoryFault(AssertionError):
    """Work that touches memory which nobody holds."""


@dataclass(eq=False)
class Mark:
    """One recording of an event."""

    stream: SimStream
    passed: bool = False


@dataclass(eq=False)
class SimEvent:
    """An event: its latest recording."""

    mark: Mark | None = None


@dataclass(eq=False)
class SimStream:
    """Work that has not run yet: actions, and marks to wait for."""

    work: deque[Callable[[], None] | Mark] = field(default_factory=deque)


@dataclass
class SimKernels:
    """A source built for the host."""

    source: Source
    build: HostBuild


class HostSim:
    """A Runtime on host memory; `order` of streams, `threads` order within kernels."""

    def __init__(self, order: str = "late", threads: str = "forward", seed: int = 1) -> None:
        self.order, self.threads = order, threads
        self.random = random.Random(seed)
        self.streams: list[SimStream] = []
        self.device: dict[int, np.ndarray] = {}
        self.hosts: dict[int, np.ndarray] = {}
        self.dead: list[np.ndarray] = []

    def allocate(self, size: int) -> int:
        return hold(self.device, size)

    def free(self, address: int) -> None:
        self.spoil(self.device, address)

    def pinned(self, size: int) -> memoryview:
        return self.hosts[hold(self.hosts, size)].data

    def free_pinned(self, host: memoryview) -> None:
        self.spoil(self.hosts, address_of(host))

    def spoil(self, held: dict[int, np.ndarray], address: int) -> None:
        """Free a block; its bytes stay mapped, so that a stray kernel reads rubbish and does not crash."""
        if address not in held:
            raise MemoryFault(f"[free] {address:#x} is not the beginning of a block that is held")
        block = held.pop(address)
        block.fill(SPOILT)
        self.dead.append(block)

    def stream(self) -> SimStream:
        self.streams.append(SimStream())
        return self.streams[-1]

    def event(self) -> SimEvent:
        return SimEvent()

    def record(self, event: SimEvent, stream: SimStream) -> None:
        mark = event.mark = Mark(stream)
        stream.work.append(lambda: setattr(mark, "passed", True))

    def wait(self, stream: SimStream, event: SimEvent) -> None:
        if event.mark is not None:
            stream.work.append(event.mark)

    def passed(self, event: SimEvent) -> bool:
        """A question moves the work on by one step, so that asking in a loop comes to an end."""
        if event.mark is None:
            return True
        if not event.mark.passed:
            self.step(event.mark.stream)
        return event.mark.passed

    def synchronize(self, stream: SimStream) -> None:
        while stream.work:
            others = [each for each in self.streams if each is not stream and self.can_go_on(each)]
            first = self.order == "early" or (self.order == "shuffled" and self.random.random() < 0.5)
            self.step(self.random.choice(others) if others and first else stream)

    def can_go_on(self, stream: SimStream) -> bool:
        """Whether the stream has work that waits for nothing."""
        return bool(stream.work) and not (isinstance(stream.work[0], Mark) and not stream.work[0].passed)

    def step(self, stream: SimStream) -> None:
        """The stream's next piece of work; if that waits, then what it waits for first."""
        head = stream.work[0]
        if isinstance(head, Mark):
            while not head.passed:
                self.step(head.stream)
            stream.work.popleft()
        else:
            stream.work.popleft()
            head()

    def upload(self, address: int, host: memoryview, stream: SimStream) -> None:
        place = address_of(host)
        pinned = holder(self.hosts, place) is not None
        staged = None if pinned else np.frombuffer(host, np.uint8).copy()

        def run() -> None:
            read = staged if staged is not None else view(self.hosts, place, host.nbytes, "upload")
            view(self.device, address, host.nbytes, "upload")[...] = read

        stream.work.append(run)

    def download(self, host: memoryview, address: int, stream: SimStream) -> None:
        place = address_of(host)
        pinned = holder(self.hosts, place) is not None

        def run() -> None:
            into = (
                view(self.hosts, place, host.nbytes, "download") if pinned else np.frombuffer(host, np.uint8)
            )
            into[...] = view(self.device, address, host.nbytes, "download")

        stream.work.append(run)
        if not pinned:
            self.synchronize(stream)

    def copy(self, to: int, source: int, size: int, stream: SimStream) -> None:
        def run() -> None:
            view(self.device, to, size, "copy")[...] = view(self.device, source, size, "copy")

        stream.work.append(run)

    def fill(self, address: int, byte: int, size: int, stream: SimStream) -> None:
        stream.work.append(lambda: view(self.device, address, size, "fill").fill(byte))

    def load(self, source: Source) -> SimKernels:
        return SimKernels(source, HostBuild(source))

    def launch(
        self, kernels: SimKernels, entry: str, blocks: int, values: Sequence[Any], stream: SimStream
    ) -> None:
        told, given = kernels.source.entries[entry], list(values)
        pointers = [v for v, kind in zip(given, told.arguments, strict=True) if kind == "pointer" and v]

        def run() -> None:
            for pointer in pointers:
                view(self.device, pointer, 1, entry)
            kernels.build.launch(told, blocks, given, self.threads, self.random.randrange(2**31))

        stream.work.append(run)


def hold(held: dict[int, np.ndarray], size: int) -> int:
    """A poisoned block, among those that are held."""
    block = np.full(max(size, 1), POISON, np.uint8)
    held[block.ctypes.data] = block
    return block.ctypes.data


def address_of(host: memoryview) -> int:
    """Where host memory lies."""
    return np.frombuffer(host, np.uint8).ctypes.data if host.nbytes else 0


def holder(held: dict[int, np.ndarray], address: int) -> np.ndarray | None:
    """The block that an address lies in."""
    for begin, block in held.items():
        if begin <= address < begin + block.size:
            return block
    return None


def view(held: dict[int, np.ndarray], address: int, size: int, who: str) -> np.ndarray:
    """Bytes that somebody holds.

    Errors: MemoryFault if nobody does, all of them.
    """
    block = holder(held, address)
    begin = address - block.ctypes.data if block is not None else 0
    if block is None or begin + size > block.size:
        raise MemoryFault(f"[{who}] {size} bytes at {address:#x} are touched, which nobody holds (any more)")
    return block[begin : begin + size]
