"""What CUDA's libraries tell of the devices, and of themselves."""

from __future__ import annotations

from typing import Any
from uuid import UUID

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
UUID_BYTES = 16


class DeviceFacts:
    """The backend's members that hand on what CUDA's libraries know and offer."""

    cupy: Any
    on: Any
    available: Any

    def properties(self, index: int) -> dict[str, Any]:
        """What the CUDA runtime tells of the device."""
        told = self.cupy.cuda.runtime.getDeviceProperties(index)
        known = {ours: told[theirs] for ours, theirs in PROPERTIES.items() if theirs in told}
        # CuPy cuts it short where one of its bytes is 0.
        if len(told.get("uuid", b"")) == UUID_BYTES:
            known["uuid"] = UUID(bytes=bytes(told["uuid"]))
        return {"name": told["name"].decode()} | known

    @property
    def profiler(self) -> Any:
        """`start()` and `stop()` of NVIDIA's profiler."""
        return self.cupy.cuda.profiler

    @property
    def marks(self) -> Any:
        """NVTX's functions, which mark moments and ranges for NVIDIA's profilers; None without them."""
        found = self.cupy.cuda.nvtx
        return found if found.available else None

    def blas_handle(self, index: int) -> int:
        """The address of cuBLAS's handle of this thread."""
        with self.on(index):
            return self.cupy.cuda.device.get_cublas_handle()

    def solver_handle(self, index: int) -> int:
        """The address of cuSOLVER's handle of this thread."""
        with self.on(index):
            return self.cupy.cuda.device.get_cusolver_handle()

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
