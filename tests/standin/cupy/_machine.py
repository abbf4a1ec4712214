"""The machine that the stand-in plays: devices with queues of delayed copies, memory, and what is counted."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

DEVICES = 2
DEVICE_BYTES = 1 << 33
UNIT = 512
POISON = 0xDD

counts: Counter[str] = Counter()
"""What happened, by name: "synchronisations", "launches", "device allocations"."""


class CUDARuntimeError(RuntimeError):
    """What CUDA's own functions raise, from a name, or from a number as CuPy makes it."""

    def __init__(self, status: Any, detail: str = "") -> None:
        name = STATUSES.get(status, status)
        super().__init__(f"{name}: {detail or 'told by the stand-in'}")
        self.status = status


NOT_READY, FAULT = 600, 700
STATUSES = {NOT_READY: "cudaErrorNotReady", FAULT: "cudaErrorIllegalAddress"}


class Late:
    """With `on`, kernels too run only when somebody waits for their stream, and read memory only then.

    What they have not written yet is poison, and so is memory that was given back, as soon as its own stream
    has done what it was asked before. With `reads_hosts` too the device reads pageable memory by itself, as
    those with address translation do: copies from there are read when they run.
    """

    on = False
    reads_hosts = False
    memory: ClassVar[dict[int, tuple[np.ndarray, Queue]]] = {}


def poison(memory: np.ndarray) -> None:
    """Spoil the numbers of an array, whatever its dims' order."""
    if memory.size:
        memory.ravel(order="K").view(np.uint8)[...] = POISON


def postponed(queue: Queue, made: list[np.ndarray], compute: Callable[[], Any]) -> None:
    """Let arrays be poison until the queue comes to it and computes them."""

    def write() -> None:
        with np.errstate(all="ignore"):
            for array, result in zip(made, compute(), strict=True):
                array[...] = result

    if Late.on:
        for array in made:
            poison(array)
        queue.add(write)


class Faults:
    """Errors that tests plant: the next synchronisation raises, or every call as in a forked child."""

    pending: str | None = None
    lost: str | None = None


faults = Faults()


def alive() -> None:
    """Raise where a real driver would refuse every call."""
    if faults.lost:
        raise CUDARuntimeError(faults.lost)


def answer(done: bool) -> int:
    """What cudaStreamQuery and cudaEventQuery return: CuPy hands it on and raises nothing."""
    alive()
    return FAULT if faults.pending else 0 if done else NOT_READY


def synchronised() -> None:
    """The host waited for the device; an asynchronous fault shows now."""
    alive()
    counts["synchronisations"] += 1
    if faults.pending:
        status, faults.pending = faults.pending, None
        raise CUDARuntimeError(status)


class Current(threading.local):
    """The current device, each device's current stream, and the devices whose contexts are here, of one
    thread."""

    def __init__(self) -> None:
        self.device = 0
        self.streams: dict[int, Any] = {}
        self.bound: set[int] = set()

    def bind(self) -> None:
        """Most of CUDA's own functions make the current device's context and give it to the thread.

        Here those do that the backend may count on: cudaSetDevice (from CUDA 12 on), cudaMalloc,
        cudaMemGetInfo, and loading a module.
        """
        self.bound.add(self.device)
        contexts.add(self.device)


contexts: set[int] = set()
"""The devices that this process has made a context on, which takes memory there."""
current = Current()


class Queue:
    """What a stream was asked to do and has not done: copies, which real streams delay as well."""

    def __init__(self, device: int, blocking: bool = True) -> None:
        self.device = device
        self.blocking = blocking
        self.waiting: list[Callable[[], None]] = []
        self.done = 0
        with lock:
            queues.append(self)

    @property
    def position(self) -> int:
        """How much it was asked to do so far."""
        return self.done + len(self.waiting)

    def add(self, work: Callable[[], None]) -> None:
        self.waiting.append(work)

    def run(self, until: int | None = None) -> None:
        """Do what was asked, up to a position."""
        while self.waiting and (until is None or self.done < until):
            work = self.waiting.pop(0)
            self.done += 1
            work()


lock = threading.RLock()
queues: list[Queue] = []
null_queues = [Queue(index) for index in range(DEVICES)]


def launch(queue: Queue) -> None:
    """A kernel runs on a stream: after all that the stream was asked before.

    The default stream and blocking ones wait for each other.
    """
    alive()
    counts["launches"] += 1
    queue.run()
    if queue.blocking:
        for other in queues:
            if other.device == queue.device and other.blocking:
                other.run()


def finish(device: int) -> None:
    """Do all that a device was asked."""
    for queue in queues:
        if queue.device == device:
            queue.run()
