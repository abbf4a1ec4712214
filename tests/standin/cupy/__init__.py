"""A stand-in for CuPy 14 without a device: NumPy inside, refusing what CuPy refuses.

`cupy._machine` counts what would make the host wait. Tests put the folder above on the path; everything that
is here CuPy has as well, which a test checks where CuPy is installed.
"""

from __future__ import annotations

import numpy as _np

from cupy import _functions, _kernels, _loops, _memory
from cupy import cuda as cuda
from cupy import fft as fft
from cupy import lib as lib
from cupy import linalg as linalg
from cupy._arrays import ndarray as ndarray

__version__ = "14.2.0"

_FUNCTIONS = """
arange argsort array asarray ascontiguousarray broadcast_to concatenate cumprod cumsum empty empty_like eye
flip from_dlpack full matmul may_share_memory nonzero roll searchsorted stack take tril triu unique where
zeros
"""
_SCALARS = """
bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128 dtype
newaxis inf nan pi
"""

for _name in _FUNCTIONS.split():
    globals()[_name] = getattr(_functions, _name)
for _name in _SCALARS.split():
    globals()[_name] = getattr(_np, _name)
for _name in ("ElementwiseKernel", "RawKernel", "RawModule", "ReductionKernel"):
    globals()[_name] = getattr(_kernels, _name)
for _name in _loops.LOOPS["cupy"]:
    if hasattr(_np, _name):
        globals()[_name] = _loops.ufunc(_name)
for _name, _function in _functions.REDUCTIONS.items():
    globals()[_name] = _function

get_default_memory_pool = _memory.get_default_memory_pool


def get_default_pinned_memory_pool():
    """The pool of pinned host memory."""
    return cuda.pinned_pool
