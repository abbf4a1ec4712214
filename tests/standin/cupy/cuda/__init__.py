"""Devices, streams, events, memory and the runtime's own functions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from cupy_backends.cuda.libs import nvtx

from cupy import _memory
from cupy._machine import DEVICES, CUDARuntimeError, alive, current, finish, synchronised
from cupy._memory import (
    MemoryPointer,
    MemoryPool,
    UnownedMemory,
    alloc,
    get_allocator,
    set_allocator,
)
from cupy._modules import Function, Module
from cupy.cuda import compiler as compiler
from cupy.cuda import cublas, runtime
from cupy.cuda._pinned import PinnedMemoryPointer, alloc_pinned_memory, pinned_pool
from cupy.cuda._streams import Event, ExternalStream, Stream, get_current_stream, get_elapsed_time

memory = SimpleNamespace(
    OutOfMemoryError=_memory.OutOfMemoryError,
    BaseMemory=_memory.BaseMemory,
    MemoryPointer=MemoryPointer,
    UnownedMemory=UnownedMemory,
)
profiler = SimpleNamespace(start=runtime.profilerStart, stop=runtime.profilerStop)

__all__ = [
    "CUDARuntimeError", "Device", "Event", "ExternalStream", "Function", "MemoryPointer", "MemoryPool",
    "Module",
    "PinnedMemoryPointer",
    "Stream", "UnownedMemory", "alloc", "alloc_pinned_memory", "cublas", "device", "get_allocator",
    "get_cublas_handle", "get_current_stream", "get_elapsed_time", "is_available", "memory", "nvtx",
    "pinned_pool", "profiler", "runtime", "set_allocator",
]  # fmt: skip


class Device:
    """A device, the current one if no number is given; within it as a context it is current."""

    def __init__(self, device: Any = None) -> None:
        alive()
        self.id = current.device if device is None else int(device)
        self.before: list[int] = []

    def use(self) -> None:
        if not 0 <= self.id < DEVICES:
            raise CUDARuntimeError("cudaErrorInvalidDevice", "invalid device ordinal")
        current.device = self.id
        current.bind()

    def __enter__(self) -> Device:
        """CuPy sets no device that is current already (device.pyx), but always sets the one before."""
        self.before.append(current.device)
        if self.id != current.device:
            self.use()
        return self

    def __exit__(self, *error: Any) -> None:
        current.device = self.before.pop()
        current.bind()

    def synchronize(self) -> None:
        finish(self.id)
        synchronised()

    @property
    def compute_capability(self) -> str:
        return "90"

    @property
    def mem_info(self) -> tuple[int, int]:
        with self:
            return runtime.memGetInfo()

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)


def is_available() -> bool:
    return DEVICES > 0


def get_cublas_handle() -> int:
    alive()
    return 1 + current.device


device = SimpleNamespace(Device=Device, get_cublas_handle=get_cublas_handle)
