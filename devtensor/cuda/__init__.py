"""The torch.cuda-shaped face of the device type "cuda": is it there, which is current, how full is it.

Without a CUDA device questions are answered (no devices, no bytes, nothing to seed), and what needs one
raises DeviceMissing, which is an AssertionError and a RuntimeError, as PyTorch raises either.
"""

from __future__ import annotations

import importlib
from typing import Any

from devtensor.accelerator.face import DeviceGuard, Face
from devtensor.accelerator.streams import StreamContext, set_stream
from devtensor.core.errors import ArgumentError, DeviceMissing, OutOfMemoryError, Unsupported
from devtensor.core.refusal import refused
from devtensor.core.tensor import Tensor
from devtensor.cuda import memory
from devtensor.cuda.calls import CudaError, DeferredCudaCallError, check_error, cudart, cudaStatus
from devtensor.cuda.graphs import (
    CUDAGraph,
    graph,
    graph_pool_handle,
    is_current_stream_capturing,
    make_graphed_callables,
)
from devtensor.cuda.green_contexts import GreenContext
from devtensor.cuda.streams import Event, ExternalStream, Stream
from devtensor.functions.legacy import cuda_types
from devtensor.storage.typed import legacy_storages

_face = Face("cuda")

current_device = _face.current_device
current_stream = _face.current_stream
default_stream = _face.default_stream
device_count = _face.device_count
get_device_capability = _face.get_device_capability
get_device_name = _face.get_device_name
get_device_properties = _face.get_device_properties
get_rng_state_all = _face.get_rng_state_all
init = _face.init
initial_seed = _face.initial_seed
is_available = _face.is_available
is_bf16_supported = _face.is_bf16_supported
is_initialized = _face.is_initialized
manual_seed = _face.manual_seed
manual_seed_all = _face.manual_seed_all
seed = _face.seed
seed_all = _face.seed_all
set_device = _face.set_device
set_rng_state_all = _face.set_rng_state_all
synchronize = _face.synchronize

AcceleratorError = DeviceMissing
has_half = True
has_magma = False


def get_rng_state(device: Any = "cuda") -> Tensor:
    """The state of a device's random numbers, as bytes on the CPU."""
    return _face.get_rng_state(device)


def set_rng_state(new_state: Tensor, device: Any = "cuda") -> None:
    """Give a device a state that `get_rng_state` gave; nothing happens where there is no device."""
    _face.set_rng_state(new_state, device)


class device(DeviceGuard):
    """Within it "cuda" stands for another device; None and negative numbers change nothing.

    Errors: DeviceError if it does not exist.
    """


class device_of(device):
    """Within it "cuda" stands for the device of a tensor; one that is not on CUDA changes nothing."""

    def __init__(self, obj: Tensor) -> None:
        super().__init__(obj.device.index if obj.device.type == "cuda" else None)


def stream(stream: Stream | None) -> StreamContext:
    """A context within which a stream is the current one of its device."""
    return StreamContext(stream)


def is_tf32_supported() -> bool:
    """Whether products may be computed in TF32: no, float32 is computed in float32."""
    return False


def get_arch_list() -> list[str]:
    """The generations that kernels were compiled for ahead: none, for kernels are compiled when needed."""
    return []


def get_gencode_flags() -> str:
    """The compiler's flags for `get_arch_list`: none."""
    return ""


def set_sync_debug_mode(debug_mode: int | str) -> None:
    """Say what happens when the host waits for a device: "default" or 0 nothing, "warn" or 1, "error" or 2.

    It waits when numbers are read, for copies that are not `non_blocking`, for a stream, and where the size
    of a result depends on numbers.

    Errors: DeviceMissing if there is no device, ArgumentError for another mode, Unsupported where the backend
    does not hear of waits.
    """
    waits = _waits()
    known = {"default": 0, "warn": 1, "error": 2}
    mode = known.get(debug_mode) if isinstance(debug_mode, str) else debug_mode
    if mode not in (0, 1, 2):
        raise ArgumentError(
            f"[set_sync_debug_mode] invalid value of debug_mode, {debug_mode!r}; expected one of `default`, "
            "`warn`, `error`"
        )
    if waits is None:
        raise Unsupported("[set_sync_debug_mode] the backend of cuda does not tell when the host waits")
    waits.mode = mode


def get_sync_debug_mode() -> int:
    """What `set_sync_debug_mode` was told last: 0, 1 or 2.

    Errors: DeviceMissing if there is no device.
    """
    waits = _waits()
    return 0 if waits is None else waits.mode


def _waits() -> Any:
    """What the backend says of the host's waits, or None."""
    backend: Any = _face.place().backend
    return getattr(backend, "waits", None)


def _handle(name: str, member: str) -> int:
    """The address of a library's handle.

    Errors: DeviceMissing if there is no device, Unsupported if its backend does not tell it.
    """
    index = _face.index()
    told = getattr(_face.place(index).backend, member, None)
    if told is None:
        raise Unsupported(f"[{name}] the backend of cuda does not tell it; ask its own library")
    return told(index)


def current_blas_handle() -> int:
    """The address of cuBLAS's handle."""
    return _handle("current_blas_handle", "blas_handle")


def current_solver_handle() -> int:
    """The address of cuSOLVER's handle."""
    return _handle("current_solver_handle", "solver_handle")


def ipc_collect() -> None:
    """Free memory that other processes let go of: none is shared.

    Errors: DeviceMissing if there is no device.
    """
    _face.require()


def can_device_access_peer(device: Any, peer_device: Any) -> bool:
    """Whether one device can read another's memory; False where the backend does not tell.

    Errors: DeviceMissing if there is no device.
    """
    index, peer = _face.index(device), _face.index(peer_device)
    told = getattr(_face.place(index).backend, "can_access_peer", None)
    return told is not None and index != peer and told(index, peer)


def get_stream_from_external(data_ptr: int, device: Any = None) -> Stream:
    """Another library's stream, by its address; it must live as long as this names it.

    Errors: DeviceMissing if there is no device.
    """
    return ExternalStream(data_ptr, device)


memory_usage = refused("cuda.memory_usage", "ask nvidia-smi how busy a device is")
device_memory_used = refused("cuda.device_memory_used", "ask nvidia-smi how much memory is in use")
utilization = refused("cuda.utilization", "ask nvidia-smi how busy a device is")
temperature = refused("cuda.temperature", "ask nvidia-smi how warm a device is")
power_draw = refused("cuda.power_draw", "ask nvidia-smi how much power a device draws")
clock_rate = refused("cuda.clock_rate", "ask nvidia-smi how fast a device runs")

_shown = {name: getattr(memory, name) for name in memory.__all__} | cuda_types() | legacy_storages("cuda")
globals().update(_shown)

# Submodules that are loaded when first asked for.
_SUBMODULES = frozenset(("amp", "comm", "gds", "jiterator", "nccl", "nvtx", "random", "sparse", "tunable"))

__all__ = [
    *_shown, "CUDAGraph", "CudaError", "DeferredCudaCallError", "Event", "ExternalStream", "GreenContext",
    "OutOfMemoryError", "Stream", "StreamContext", "amp", "can_device_access_peer", "check_error",
    "clock_rate", "cudaStatus", "cudart", "current_blas_handle", "current_device", "current_solver_handle",
    "current_stream", "default_generators", "default_stream", "device", "device_count", "device_memory_used",
    "device_of", "get_arch_list", "get_device_capability", "get_device_name", "get_device_properties",
    "get_gencode_flags", "get_rng_state", "get_rng_state_all", "get_stream_from_external",
    "get_sync_debug_mode", "graph", "graph_pool_handle", "graphs", "has_half", "has_magma", "init",
    "initial_seed", "ipc_collect", "is_available", "is_bf16_supported", "is_current_stream_capturing",
    "is_initialized", "is_tf32_supported", "jiterator", "make_graphed_callables", "manual_seed",
    "manual_seed_all", "memory", "memory_usage", "nccl", "nvtx", "power_draw", "profiler", "random", "seed",
    "seed_all", "set_device", "set_rng_state", "set_rng_state_all", "set_stream", "set_sync_debug_mode",
    "sparse", "stream", "streams", "synchronize", "temperature", "tunable", "utilization",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"devtensor.cuda.{name}")
    if name == "default_generators":
        from devtensor.core.device import Device
        from devtensor.random import generator_for

        return tuple(generator_for(Device("cuda", index)) for index in range(device_count()))
    raise AttributeError(f"module 'devtensor.cuda' has no attribute {name!r}")
