"""A stand-in for CuPy 14 without a device: NumPy inside, refusing what CuPy refuses; tests put it on the path.

`cupy._machine` counts what would make the host wait. What is not here is not in the stand-in; everything
that is here CuPy has as well, which a test checks where CuPy is installed.
"""

from __future__ import annotations

import ml_dtypes as _ml_dtypes
import numpy as _np
from cupy import _loops
from cupy._arrays import ndarray
from cupy._functions import (
    REDUCTIONS, arange, argsort, array, as_strided, asarray, ascontiguousarray, broadcast_to, concatenate, cumprod,
    cumsum, empty, empty_like, eye, flip, from_dlpack, full, matmul, may_share_memory, nonzero, roll,
    searchsorted, stack, take, tril, triu, unique, where, zeros,
)  # fmt: skip
from cupy._kernels import ElementwiseKernel, RawKernel, RawModule, ReductionKernel
from cupy._memory import get_default_memory_pool
from cupy import cuda, fft, lib, linalg  # isort: skip

__version__ = "14.2.0"

for _name in _loops.LOOPS["cupy"]:
    if hasattr(_np, _name):
        globals()[_name] = _loops.ufunc(_name)
for _name, _function in REDUCTIONS.items():
    globals()[_name] = _function
for _name in (
    "bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32",
    "float64", "complex64", "complex128", "dtype", "newaxis", "inf", "nan", "pi",
):  # fmt: skip
    globals()[_name] = getattr(_np, _name)


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    """The array's numbers on the host."""
    return a.get(stream, order, out, blocking) if isinstance(a, ndarray) else _np.asarray(a)


def get_default_pinned_memory_pool():
    """The pool of pinned host memory."""
    return cuda.pinned_pool
