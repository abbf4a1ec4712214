"""The memory of CUDA devices: how much is in use, limits, and what of it can be seen block by block."""

from __future__ import annotations

import pickle
from typing import Any

from devtensor.accelerator.accounts import nested
from devtensor.accelerator.face import Face
from devtensor.core.errors import ArgumentError, ArgumentTypeError, Unsupported
from devtensor.core.refusal import refused, refused_class

__all__ = [
    "CUDAPluggableAllocator",
    "MemPool",
    "caching_allocator_alloc",
    "caching_allocator_delete",
    "caching_allocator_disabled",
    "caching_allocator_enable",
    "change_current_allocator",
    "empty_cache",
    "get_allocator_backend",
    "get_per_process_memory_fraction",
    "host_memory_stats",
    "host_memory_stats_as_nested_dict",
    "list_gpu_processes",
    "max_memory_allocated",
    "max_memory_cached",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_cached",
    "memory_reserved",
    "memory_snapshot",
    "memory_stats",
    "memory_stats_as_nested_dict",
    "memory_summary",
    "reset_accumulated_host_memory_stats",
    "reset_accumulated_memory_stats",
    "reset_max_memory_allocated",
    "reset_max_memory_cached",
    "reset_peak_host_memory_stats",
    "reset_peak_memory_stats",
    "set_per_process_memory_fraction",
    "use_mem_pool",
]

_face = Face("cuda")

empty_cache = _face.empty_cache
host_memory_stats = _face.host_memory_stats
is_initialized = _face.is_initialized
max_memory_allocated = _face.max_memory_allocated
max_memory_cached = max_memory_reserved = _face.max_memory_reserved
mem_get_info = _face.mem_get_info
memory_allocated = _face.memory_allocated
memory_cached = memory_reserved = _face.memory_reserved
memory_stats = _face.memory_stats
memory_summary = _face.memory_summary
reset_accumulated_host_memory_stats = _face.reset_accumulated_host_memory_stats
reset_accumulated_memory_stats = _face.reset_accumulated_memory_stats
reset_peak_host_memory_stats = _face.reset_peak_host_memory_stats
reset_peak_memory_stats = _face.reset_peak_memory_stats
reset_max_memory_allocated = reset_max_memory_cached = _face.reset_peak_memory_stats


def _asked_of(name: str, member: str, device: Any) -> tuple[Any, int]:
    """An optional member of the backend, and the device's number.

    Errors: DeviceMissing if there is no device, Unsupported if the backend does not have it.
    """
    index = _face.index(device)
    found = getattr(_face.place(index).backend, member, None)
    if found is None:
        raise Unsupported(f"[{name}] the backend of cuda does not offer it; ask its own library")
    return found, index


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
    limit, index = _asked_of("set_per_process_memory_fraction", "limit_memory", device)
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
    return nested(memory_stats(device))


def host_memory_stats_as_nested_dict() -> dict[str, Any]:
    """`host_memory_stats`, its names taken apart at the dots; empty where there is no device."""
    return nested(host_memory_stats())


def get_allocator_backend() -> str:
    """Who allots memory: the array library's own pool, whatever it is called."""
    return "native"


def memory_snapshot(mempool_id: Any = None, include_traces: bool = True) -> list[dict[str, Any]]:
    """Every block in use on any CUDA device, in the form of PyTorch's segments.

    CuPy's pool does not tell its segments: each block stands as a segment of its own, and what the pool holds
    unused is not among them. There is one pool, (0, 0), and no traces.
    """
    return _face.memory_blocks() if mempool_id in (None, (0, 0)) else []


def caching_allocator_alloc(size: int, device: Any = None, stream: Any = None) -> int:
    """The address of a block of device memory, which lives until `caching_allocator_delete`.

    Errors: DeviceMissing if there is no device, OutOfMemoryError if there is no room, ArgumentTypeError for a
    stream that is none.
    """
    lend, index = _asked_of("caching_allocator_alloc", "lend", device)
    if stream is not None and not hasattr(stream, "native"):
        raise ArgumentTypeError(
            f"[caching_allocator_alloc] stream is {type(stream).__name__}; Invalid type for stream argument, "
            "must be `devtensor.cuda.Stream`"
        )
    return lend(index, size, None if stream is None else stream.native)


def caching_allocator_delete(mem_ptr: int) -> None:
    """Give back what `caching_allocator_alloc` gave.

    Errors: DeviceMissing if there is no device, ArgumentError for another address.
    """
    take_back, _ = _asked_of("caching_allocator_delete", "take_back", None)
    take_back(mem_ptr)


def list_gpu_processes(device: Any = None) -> str:
    """A text that says who knows which processes use a device: the driver's tool; NVML is not asked."""
    return "devtensor does not ask NVML which processes use a device; run: nvidia-smi"


def _snapshot(
    device: Any = None, augment_with_fx_traces: bool = False, include_traces: bool = True
) -> dict[str, Any]:
    """What `_dump_snapshot` writes: the blocks in use, and no traces, as none are recorded."""
    chosen = memory_snapshot()
    if device is not None:
        chosen = [segment for segment in chosen if segment["device"] == _face.index(device)]
    return {
        "segments": chosen,
        "device_traces": [[] for _ in range(_face.device_count())],
        "external_annotations": [],
        "allocator_settings": {},
    }


def _dump_snapshot(filename: str = "dump_snapshot.pickle", augment_with_fx_traces: bool = False) -> None:
    """Write `_snapshot()` into a file, as a pickle."""
    with open(filename, "wb") as file:
        pickle.dump(_snapshot(), file)


POOL = "memory is the array library's, whose pool is set by its own functions"
change_current_allocator = refused("cuda.change_current_allocator", POOL)
caching_allocator_enable = refused("cuda.caching_allocator_enable", POOL)
caching_allocator_disabled = refused("cuda.caching_allocator_disabled", POOL)
use_mem_pool = refused("cuda.use_mem_pool", POOL)
CUDAPluggableAllocator = refused_class("cuda.CUDAPluggableAllocator", POOL)
MemPool = refused_class("cuda.MemPool", POOL)
_record_memory_history = refused(
    "cuda.memory._record_memory_history", "where memory was asked for is not recorded; see memory_snapshot()"
)
