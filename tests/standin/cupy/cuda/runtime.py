"""CUDA's own functions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from cupy._machine import (
    DEVICE_BYTES,
    DEVICES,
    CUDARuntimeError,
    alive,
    answer,
    current,
    finish,
    synchronised,
)
from cupy._memory import pool
from cupy.cuda import _pinned, _streams

__all__ = ["CUDARuntimeError"]

memoryTypeUnregistered, memoryTypeHost, memoryTypeDevice = 0, 1, 2
CUDA_R_32F, CUDA_R_16F, CUDA_R_16BF = 0, 2, 14


def getDeviceCount() -> int:
    alive()
    return DEVICES


def getDevice() -> int:
    alive()
    return current.device


def deviceSynchronize() -> None:
    finish(current.device)
    synchronised()


def deviceCanAccessPeer(device: int, peer: int) -> int:
    return int(device != peer)


def streamQuery(stream: int) -> int:
    return answer(not _streams.queue_of(stream).waiting)


def eventQuery(event: int) -> int:
    return answer(_streams.events[event].happened)


def memGetInfo() -> tuple[int, int]:
    alive()
    current.bind()
    return DEVICE_BYTES - pool.total_bytes(), DEVICE_BYTES


def getDeviceProperties(device: int) -> dict[str, Any]:
    return {
        "name": b"Stand-in", "major": 9, "minor": 0, "totalGlobalMem": DEVICE_BYTES, "multiProcessorCount": 4,
        "maxThreadsPerMultiProcessor": 2048, "warpSize": 32, "integrated": 0, "isMultiGpuBoard": 0,
        "regsPerMultiprocessor": 65536, "sharedMemPerBlock": 49152, "sharedMemPerBlockOptin": 232448,
        "sharedMemPerMultiprocessor": 233472, "l2CacheSize": 1 << 20, "clockRate": 1000000,
        "memoryClockRate": 2000000, "memoryBusWidth": 5120, "pciBusID": 1, "pciDeviceID": 0, "pciDomainID": 0,
        "maxThreadsPerBlock": 1024, "uuid": bytes(range(16)),
    }  # fmt: skip


def runtimeGetVersion() -> int:
    return 12090


def driverGetVersion() -> int:
    return 12090


def pointerGetAttributes(ptr: int) -> Any:
    alive()
    return SimpleNamespace(type=memoryTypeHost if _pinned.holds(ptr) else memoryTypeUnregistered, device=0)


def profilerStart() -> None:
    alive()


def profilerStop() -> None:
    alive()
