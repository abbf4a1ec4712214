"""The torch.cuda-shaped face of the device type "cuda": is it there, which is current, how full is it.

Without a CUDA device questions are answered (no devices, no bytes, nothing to seed), and what needs one
raises DeviceMissing, which is an AssertionError and a RuntimeError, as PyTorch raises either.
"""

from __future__ import annotations

import importlib
from typing import Any

from devtensor.accelerator.face import DeviceGuard, Face
from devtensor.accelerator.streams import StreamContext, set_stream
from devtensor.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    DeviceMissing,
    OutOfMemoryError,
    Unsupported,
)
from devtensor.core.refusal import refused, refused_class
from devtensor.core.tensor import Tensor
from devtensor.cuda.graphs import (
    CUDAGraph,
    graph,
    graph_pool_handle,
    is_current_stream_capturing,
    make_graphed_callables,
)
from devtensor.cuda.streams import Event, ExternalStream, Stream
from devtensor.functions.legacy import cuda_types

_face = Face("cuda")

current_device = _face.current_device
current_stream = _face.current_stream
default_stream = _face.default_stream
device_count = _face.device_count
empty_cache = _face.empty_cache
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
max_memory_allocated = _face.max_memory_allocated
max_memory_cached = max_memory_reserved = _face.max_memory_reserved
mem_get_info = _face.mem_get_info
memory_allocated = _face.memory_allocated
memory_cached = memory_reserved = _face.memory_reserved
memory_stats = _face.memory_stats
memory_summary = _face.memory_summary
reset_accumulated_memory_stats = _face.reset_accumulated_memory_stats
reset_peak_memory_stats = _face.reset_peak_memory_stats
reset_max_memory_allocated = reset_max_memory_cached = _face.reset_peak_memory_stats
seed = _face.seed
seed_all = _face.seed_all
set_device = _face.set_device
set_rng_state_all = _face.set_rng_state_all
synchronize = _face.synchronize

CudaError = AcceleratorError = DeviceMissing
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


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Limit this process to a part of a device's memory, from 0 to 1.

    Errors: DeviceMissing if there is no device, Unsupported if its backend cannot limit it, ArgumentTypeError
    and ArgumentError for what is no such part.
    """
    if not isinstance(fraction, float):
        raise ArgumentTypeError(
            "[set_per_process_memory_fraction] Invalid type for fraction argument, must be `float`"
        )
    if not 0 <= fraction <= 1:
        raise ArgumentError(
            f"[set_per_process_memory_fraction] Invalid fraction value: {fraction}. Allowed range: 0~1"
        )
    index = _face.index(device)
    limit = getattr(_face.place(index).backend, "limit_memory", None)
    if limit is None:
        raise Unsupported("[set_per_process_memory_fraction] the backend of cuda cannot limit memory")
    limit(index, fraction)


def get_per_process_memory_fraction(device: Any = None) -> float:
    """The part of a device's memory that this process may hold; 1.0 where nothing limits it.

    Errors: DeviceMissing if there is no device.
    """
    index = _face.index(device)
    told = getattr(_face.place(index).backend, "memory_fraction", None)
    return 1.0 if told is None else told(index)


def memory_stats_as_nested_dict(device: Any = None) -> dict[str, Any]:
    """`memory_stats`, its names taken apart at the dots; empty where there is no device."""
    nested: dict[str, Any] = {}
    for name, count in memory_stats(device).items():
        *groups, last = name.split(".")
        place = nested
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = count
    return nested


def get_stream_from_external(data_ptr: int, device: Any = None) -> Stream:
    """Another library's stream, by its address; it must live as long as this names it.

    Errors: DeviceMissing if there is no device.
    """
    return ExternalStream(data_ptr, device)


def get_allocator_backend() -> str:
    """Who allots memory: the array library's own pool, whatever it is called."""
    return "native"


def memory_snapshot(mempool_id: Any = None) -> list[Any]:
    """Every block the allocator holds: it tells none."""
    return []


cudart = refused("cuda.cudart", "CUDA's own functions are reached through CuPy: cupy.cuda.runtime")
current_blas_handle = refused("cuda.current_blas_handle", "the array library keeps its handles to itself")
caching_allocator_alloc = refused("cuda.caching_allocator_alloc", "memory is the array library's")
caching_allocator_delete = refused("cuda.caching_allocator_delete", "memory is the array library's")
change_current_allocator = refused("cuda.change_current_allocator", "memory is the array library's")
caching_allocator_enable = refused("cuda.caching_allocator_enable", "memory is the array library's")
caching_allocator_disabled = refused("cuda.caching_allocator_disabled", "memory is the array library's")
list_gpu_processes = refused("cuda.list_gpu_processes", "ask nvidia-smi which processes use a device")
memory_usage = refused("cuda.memory_usage", "ask nvidia-smi how busy a device is")
utilization = refused("cuda.utilization", "ask nvidia-smi how busy a device is")
temperature = refused("cuda.temperature", "ask nvidia-smi how warm a device is")
power_draw = refused("cuda.power_draw", "ask nvidia-smi how much power a device draws")
clock_rate = refused("cuda.clock_rate", "ask nvidia-smi how fast a device runs")
use_mem_pool = refused("cuda.use_mem_pool", "memory is the array library's")
CUDAPluggableAllocator = refused_class("cuda.CUDAPluggableAllocator", "memory is the array library's")
MemPool = refused_class("cuda.MemPool", "memory is the array library's")

__all__ = [
    "CUDAGraph",
    "Event",
    "ExternalStream",
    "OutOfMemoryError",
    "Stream",
    "StreamContext",
    "graph",
    "graph_pool_handle",
    "is_current_stream_capturing",
    "make_graphed_callables",
    "set_stream",
]

globals().update(cuda_types())

# Submodules that are loaded when first asked for.
_SUBMODULES = frozenset(
    ("amp", "comm", "graphs", "memory", "nccl", "nvtx", "profiler", "random", "sparse", "streams")
)


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"devtensor.cuda.{name}")
    if name == "default_generators":
        from devtensor.core.device import Device
        from devtensor.random import generator_for

        return tuple(generator_for(Device("cuda", index)) for index in range(device_count()))
    raise AttributeError(f"module 'devtensor.cuda' has no attribute {name!r}")
