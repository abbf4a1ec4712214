"""The Backend object of the CPU."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from typing import Any

import ml_dtypes
import numpy as np
from numpy import ndarray

from devtensor.backend.arraylib.library import find_dtypes
from devtensor.backend.protocol import DTYPES, Kernel, MemoryStats
from devtensor_numpy.compile.casts import casts
from devtensor_numpy.half_kernels import WIDE_BODIES, WIDE_NUMBERS
from devtensor_numpy.kernels import OUT_KERNELS, kernel_table, specialise
from devtensor_numpy.memory import process_memory

NOTHING = nullcontext()
NUMPY_DTYPES = find_dtypes(np)

# NumPy warns on 1/0, log(-1) and overflow where PyTorch is silent. Entering np.errstate would cost a
# microsecond per op; a filter costs nothing until a warning is raised, and names only NumPy's own messages
# from our modules.
warnings.filterwarnings(
    "ignore",
    message=r"(divide by zero|overflow|underflow|invalid value) encountered",
    category=RuntimeWarning,
    module=r"devtensor",
)


class NumpyBackend:
    """NumPy on the processor."""

    name = "cpu"
    dtypes = frozenset(DTYPES)
    out_kernels = OUT_KERNELS | {"index_put"}
    exact_views = frozenset({"expand", "getitem", "permute", "reshape"})
    wide_numbers = WIDE_NUMBERS
    wide_bodies = WIDE_BODIES
    amp_policy = "cpu"
    host_reads_are_free = True
    array_type = ndarray
    as_array = staticmethod(np.asarray)
    specialise = staticmethod(specialise)

    def __init__(self) -> None:
        self.kernels = kernel_table()

    def device_count(self) -> int:
        return 1

    def on(self, index: int) -> nullcontext[None]:
        return NOTHING

    def upload(self, host: memoryview, shape: tuple[int, ...], dtype: str, index: int) -> ndarray:
        array = np.empty(shape, NUMPY_DTYPES[dtype])
        if array.size:
            array.reshape(-1).view(np.uint8)[:] = np.frombuffer(host, np.uint8)
        return array

    def download(self, array: ndarray) -> memoryview:
        flat = np.ascontiguousarray(array).reshape(-1)
        return flat.view(np.uint8).data.toreadonly()

    def as_list(self, array: ndarray) -> Any:
        return array.tolist()

    def adopt(self, array: Any) -> ndarray:
        """Take in an array that NumPy can view without a copy, another library's by DLPack.

        Errors: TypeError for dtypes that devtensor does not have, foreign byte order, and fields of records.
        """
        if not isinstance(array, ndarray) and hasattr(array, "__dlpack__"):
            array = np.from_dlpack(array)
        if not isinstance(array, ndarray):
            raise TypeError(f"[adopt] {type(array).__name__} is no NumPy array; use numpy.asarray")
        if NUMPY_DTYPES.get(array.dtype.name) != array.dtype:
            known = ", ".join(DTYPES)
            raise TypeError(f"[adopt] dtype {array.dtype!r} is not supported; convert it to one of {known}")
        if any(stride % array.itemsize for stride in array.strides):
            raise TypeError(f"[adopt] strides {array.strides} split elements; copy the array first")
        return array if array.__class__ is ndarray else array.view(ndarray)

    def dtype_of(self, array: ndarray) -> str:
        return array.dtype.name

    def strides_of(self, array: ndarray) -> tuple[int, ...]:
        itemsize = array.itemsize
        return tuple([stride // itemsize for stride in array.strides])

    def is_contiguous(self, array: ndarray) -> bool:
        return array.flags.c_contiguous

    def synchronize(self, index: int) -> None:
        return None

    def memory(self, index: int) -> MemoryStats:
        return process_memory()

    def rerun(self, kernel: Kernel, arguments: tuple[Any, ...]) -> Any:
        """The kernel with all floating-point events ignored, for users who let NumPy raise on them."""
        with np.errstate(all="ignore"):
            return kernel(*arguments)

    def describe(self) -> dict[str, str]:
        blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return {
            "NumPy": np.__version__,
            "ml_dtypes": ml_dtypes.__version__,
            "BLAS": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
            "machine code": casts.describe(),
        }
