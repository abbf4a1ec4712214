"""The Python array API standard, 2024.12, over tensors: what `x.__array_namespace__()` gives.

Functions have the standard's names, signatures and type promotion; arrays are Tensors, whose methods and
operators stay PyTorch's. docs/conformance.md says where the two part.

Source: the Python array API standard, version 2024.12.
"""

# ruff: noqa: F401, F403 - the standard's names, listed by the modules

from math import e, inf, nan, pi

from devtensor.array_api import fft, linalg
from devtensor.array_api.creation import *
from devtensor.array_api.dtypes import *
from devtensor.array_api.elementwise import *
from devtensor.array_api.inspection import __array_namespace_info__
from devtensor.array_api.linalg import matmul, matrix_transpose, tensordot, vecdot
from devtensor.array_api.manipulation import *
from devtensor.array_api.reductions import *
from devtensor.array_api.searching import *
from devtensor.array_api.sets import *
from devtensor.core.dtype import bool_ as bool
from devtensor.core.dtype import (
    complex64,
    complex128,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)

__array_api_version__ = "2024.12"
newaxis = None
