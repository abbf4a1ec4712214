"""The Backend object of CUDA devices."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from devtensor.backend.arraylib.library import EXTENSIONS
from devtensor.backend.protocol import DTYPES, Kernel, MemoryStats
from devtensor_cupy.memory import Accounts
from devtensor_cupy.process import FORKED, Forks
from devtensor_cupy.queues import Queues

if TYPE_CHECKING:
    from devtensor_cupy.pinned import Pinned

FIRST_WITH_BFLOAT16 = 14
PROPERTIES = {
    "major": "major",
    "minor": "minor",
    "total_memory": "totalGlobalMem",
    "multi_processor_count": "multiProcessorCount",
    "is_integrated": "integrated",
    "is_multi_gpu_board": "isMultiGpuBoard",
    "max_threads_per_multi_processor": "maxThreadsPerMultiProcessor",
    "max_threads_per_block": "maxThreadsPerBlock",
    "warp_size": "warpSize",
    "regs_per_multiprocessor": "regsPerMultiprocessor",
    "shared_memory_per_block": "sharedMemPerBlock",
    "shared_memory_per_block_optin": "sharedMemPerBlockOptin",
    "shared_memory_per_multiprocessor": "sharedMemPerMultiprocessor",
    "L2_cache_size": "l2CacheSize",
    "clock_rate": "clockRate",
    "memory_clock_rate": "memoryClockRate",
    "memory_bus_width": "memoryBusWidth",
    "pci_bus_id": "pciBusID",
    "pci_device_id": "pciDeviceID",
    "pci_domain_id": "pciDomainID",
}
"""PyTorch's names of a device's properties, and CUDA's."""


class CupyBackend:
    """CuPy on NVIDIA devices; nothing is imported, nor a device touched, before the first question."""

    name = "cuda"
    amp_policy = "cuda"

    def __init__(self) -> None:
        self.forks = Forks()

    @cached_property
    def cupy(self) -> Any:
        import cupy

        return cupy

    @cached_property
    def accounts(self) -> Accounts:
        """What is allocated; every allocation passes them from the first device question on."""
        accounts = Accounts(self.cupy)
        self.cupy.cuda.set_allocator(accounts.allocate)
        return accounts

    @cached_property
    def queues(self) -> Queues:
        """Streams and events."""
        return Queues(self.cupy)

    @cached_property
    def pinned(self) -> Pinned:
        """Page-locked host memory, and copies that nobody waits for."""
        from devtensor_cupy.kernels import CUPY_DTYPES
        from devtensor_cupy.pinned import Pinned

        return Pinned(self.cupy, CUPY_DTYPES)

    @cached_property
    def dtypes(self) -> frozenset[str]:
        major = int(self.cupy.__version__.split(".")[0])
        lacking = EXTENSIONS - {"bfloat16"} if major >= FIRST_WITH_BFLOAT16 else EXTENSIONS
        return frozenset(DTYPES) - lacking

    @cached_property
    def kernels(self) -> dict[str, Kernel]:
        from devtensor_cupy.kernels import kernel_table

        self.accounts  # noqa: B018 - from the first kernel on, allocations are counted
        return kernel_table()

    @cached_property
    def out_kernels(self) -> frozenset[str]:
        from devtensor_cupy.kernels import OUT_KERNELS

        return OUT_KERNELS

    def specialise(self, name: str, kernel: Kernel, dtype: str, all_scalar: bool = True) -> Kernel:
        """Half types are computed in float32 where CuPy cannot compute in them."""
        from devtensor_cupy.kernels import specialise

        return specialise(name, kernel, dtype)

    def available(self) -> str | None:
        """None if there is a device to use, else what is missing and what to do."""
        if self.forks.forked:
            return FORKED
        try:
            runtime = self.cupy.cuda.runtime
        except ImportError as error:
            if getattr(error, "name", None) == "cupy":
                return "CuPy is not installed; run: pip install devtensor[cuda12] or devtensor[cuda13]"
            return f"CuPy cannot be imported: {error}"
        try:
            count = runtime.getDeviceCount()
        except runtime.CUDARuntimeError as error:
            return f"CuPy {self.cupy.__version__} finds no usable NVIDIA driver: {error}"
        self.forks.begin(self.inherited)
        return None if count else f"CuPy {self.cupy.__version__} finds no NVIDIA device"

    def inherited(self) -> list[Any]:
        """What a child of a fork must not free."""
        streams = list(self.queues.made) if "queues" in self.__dict__ else []
        flying = self.pinned.in_flight if "pinned" in self.__dict__ else []
        waiting = self.accounts.abandon() if "accounts" in self.__dict__ else []
        return [*streams, *flying, *waiting]

    def device_count(self) -> int:
        return 0 if self.available() else self.cupy.cuda.runtime.getDeviceCount()

    def on(self, index: int) -> AbstractContextManager[Any]:
        return self.cupy.cuda.Device(index)

    def upload(
        self, host: memoryview, shape: tuple[int, ...], dtype: str, index: int, non_blocking: bool = False
    ) -> Any:
        """The array from bytes; with `non_blocking` the copy from pinned memory is only begun."""
        import numpy as np

        from devtensor_cupy.kernels import CUPY_DTYPES

        self.accounts  # noqa: B018 - from the first array on, allocations are counted
        with self.on(index):
            array = self.cupy.empty(shape, CUPY_DTYPES[dtype])
            if array.size:
                source = np.frombuffer(host, np.uint8).view(array.dtype).reshape(shape)
                pinned = self.pinned.holds(source)
                if pinned and non_blocking:
                    self.pinned.upload(source, array)
                else:
                    array.set(source)
                if pinned and not non_blocking:
                    # From pinned memory CuPy may copy later, when the caller has changed it.
                    self.cupy.cuda.get_current_stream().synchronize()
        return array

    def download(self, array: Any) -> memoryview:
        import numpy as np

        with array.device:
            held = self.cupy.ascontiguousarray(array).get()
        return held.reshape(-1).view(np.uint8).data

    def download_later(self, array: Any) -> Any:
        """A host array in pinned memory, whose numbers are there when the current stream has come so far."""
        with array.device:
            return self.pinned.download(array)

    def pin(self, host: Any) -> Any:
        """A copy of a host array in pinned memory."""
        result = self.pinned.empty(host.shape, host.dtype.name)
        result[...] = host
        return result

    def is_pinned(self, host: Any) -> bool:
        """Whether a host array lies in pinned memory."""
        return self.pinned.holds(host)

    def copy_between(self, array: Any, index: int) -> Any:
        """A copy on another device: it begins when the source is ready, which then waits to be read."""
        cuda = self.cupy.cuda
        home = array.device.id
        with cuda.Device(home):
            ready = cuda.Event(disable_timing=True)
            ready.record(cuda.get_current_stream())
        with cuda.Device(index):
            read = cuda.Event(disable_timing=True)
            cuda.get_current_stream().wait_event(ready)
            result = array.copy()
            read.record(cuda.get_current_stream())
        with cuda.Device(home):
            cuda.get_current_stream().wait_event(read)
        return result

    def record_stream(self, array: Any, stream: Any) -> None:
        """Keep the array's memory until a stream that reads it has done so."""
        self.accounts.record_stream(array, stream)

    def adopt(self, array: Any) -> Any:
        """Take in a CuPy array, or another library's by DLPack.

        Errors: TypeError for other arrays, and for dtypes that devtensor does not have.
        """
        if not isinstance(array, self.cupy.ndarray) and hasattr(array, "__dlpack__"):
            array = self.cupy.from_dlpack(array)
        if not isinstance(array, self.cupy.ndarray):
            raise TypeError(f"[adopt] {type(array).__name__} is no CuPy array; use cupy.asarray")
        if array.dtype.name not in self.dtypes:
            raise TypeError(f"[adopt] dtype {array.dtype} is not supported; use one of {', '.join(DTYPES)}")
        return array

    def dtype_of(self, array: Any) -> str:
        return array.dtype.name

    def strides_of(self, array: Any) -> tuple[int, ...]:
        itemsize = array.dtype.itemsize
        return tuple(stride // itemsize for stride in array.strides)

    def synchronize(self, index: int) -> None:
        self.cupy.cuda.Device(index).synchronize()

    def memory(self, index: int) -> MemoryStats:
        """What tensors hold by our own accounts, what CuPy's pool holds, and the device's size."""
        with self.on(index):
            numbers = self.accounts.of(index)
            held = self.cupy.get_default_memory_pool().total_bytes()
            total = self.cupy.cuda.runtime.memGetInfo()[1]
            return MemoryStats(numbers["allocated"], held, numbers["peak"], total)

    def memory_details(self, index: int) -> dict[str, int]:
        """What else is counted: peaks of what the pool held, allocations, what was given back, failures."""
        held, numbers = self.memory(index).reserved, self.accounts.of(index)
        return {
            "reserved_peak": max(held, numbers["reserved peak"]),
            "allocations": numbers["allocations"],
            "frees": numbers["frees"],
            "retries": numbers["retries"],
            "failures": numbers["failures"],
        }

    def reset_peak(self, index: int) -> None:
        """Begin the records of the most bytes held anew."""
        self.accounts.reset_peaks(index)

    def reset_totals(self, index: int) -> None:
        """Count allocations from none again."""
        self.accounts.reset_totals(index)

    def limit_memory(self, index: int, fraction: float) -> None:
        """Let CuPy's pool hold no more than a part of the device's memory."""
        with self.on(index):
            self.cupy.get_default_memory_pool().set_limit(fraction=fraction)

    def memory_fraction(self, index: int) -> float:
        """The part of the device's memory that `limit_memory` allows."""
        with self.on(index):
            limit = self.cupy.get_default_memory_pool().get_limit()
            return limit / self.cupy.cuda.runtime.memGetInfo()[1] if limit else 1.0

    def free_memory(self, index: int) -> int:
        """Bytes of the device that no program uses."""
        with self.on(index):
            return self.cupy.cuda.runtime.memGetInfo()[0]

    def release_memory(self, index: int) -> None:
        """Give blocks that CuPy's pool holds and nobody uses back to the device."""
        with self.on(index):
            self.cupy.get_default_memory_pool().free_all_blocks()

    def properties(self, index: int) -> dict[str, Any]:
        """What the CUDA runtime tells of the device."""
        told = self.cupy.cuda.runtime.getDeviceProperties(index)
        return {"name": told["name"].decode()} | {
            ours: told[theirs] for ours, theirs in PROPERTIES.items() if theirs in told
        }

    @property
    def profiler(self) -> Any:
        """`start()` and `stop()` of NVIDIA's profiler."""
        return self.cupy.cuda.profiler

    def can_access_peer(self, index: int, peer: int) -> bool:
        """Whether one device can read another's memory."""
        return bool(self.cupy.cuda.runtime.deviceCanAccessPeer(index, peer))

    def describe(self) -> dict[str, str]:
        reason = self.available()
        if reason:
            return {"CuPy": reason}
        runtime = self.cupy.cuda.runtime
        names = [runtime.getDeviceProperties(k)["name"].decode() for k in range(runtime.getDeviceCount())]
        return {
            "CuPy": self.cupy.__version__,
            "CUDA": str(runtime.runtimeGetVersion()),
            "devices": ", ".join(names),
        }
