"""The Backend object of CUDA devices."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

from devtensor.backend.arraylib.library import EXTENSIONS
from devtensor.backend.protocol import DTYPES, Kernel, MemoryStats

FIRST_WITH_BFLOAT16 = 14


class CupyBackend:
    """CuPy on NVIDIA devices; nothing is imported, nor a device touched, before the first question."""

    name = "cuda"
    amp_policy = "cuda"

    @cached_property
    def cupy(self) -> Any:
        import cupy

        return cupy

    @cached_property
    def dtypes(self) -> frozenset[str]:
        major = int(self.cupy.__version__.split(".")[0])
        lacking = EXTENSIONS - {"bfloat16"} if major >= FIRST_WITH_BFLOAT16 else EXTENSIONS
        return frozenset(DTYPES) - lacking

    @cached_property
    def kernels(self) -> dict[str, Kernel]:
        from devtensor_cupy.kernels import kernel_table

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
        return None if count else f"CuPy {self.cupy.__version__} finds no NVIDIA device"

    def device_count(self) -> int:
        return 0 if self.available() else self.cupy.cuda.runtime.getDeviceCount()

    def on(self, index: int) -> AbstractContextManager[Any]:
        return self.cupy.cuda.Device(index)

    def upload(self, host: memoryview, shape: tuple[int, ...], dtype: str, index: int) -> Any:
        import numpy as np

        from devtensor_cupy.kernels import CUPY_DTYPES

        with self.on(index):
            array = self.cupy.empty(shape, CUPY_DTYPES[dtype])
            if array.size:
                array.set(np.frombuffer(host, np.uint8).view(array.dtype).reshape(shape))
        return array

    def download(self, array: Any) -> memoryview:
        import numpy as np

        with array.device:
            held = self.cupy.ascontiguousarray(array).get()
        return held.reshape(-1).view(np.uint8).data

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
        """Memory of CuPy's pool; it records no peak."""
        with self.on(index):
            pool = self.cupy.get_default_memory_pool()
            used, held = pool.used_bytes(), pool.total_bytes()
            return MemoryStats(used, held, used, self.cupy.cuda.runtime.memGetInfo()[1])

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
        return {
            "name": told["name"].decode(),
            "major": told["major"],
            "minor": told["minor"],
            "total_memory": told["totalGlobalMem"],
            "multi_processor_count": told["multiProcessorCount"],
        }

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
