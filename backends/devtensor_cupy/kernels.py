"""The CUDA kernel table: the generic one over CuPy, and what CuPy does otherwise than NumPy.

Indices out of range and integer division by zero are not reported, as looking at values would wait for the
device: CuPy wraps such indices around and divides to 0.
"""

from __future__ import annotations

import os
from typing import Any

import cupy
import numpy as np
from cupyx.scipy import special

from devtensor.backend import arraylib
from devtensor.backend.arraylib import halves
from devtensor.backend.arraylib.elementwise import BINARY, DIVISIONS, ROUNDINGS, UFUNCS, UNARY
from devtensor.backend.protocol import Kernel
from devtensor_cupy import rows, windows
from devtensor_cupy.compile.prelude import C_TYPES
from devtensor_cupy.process import watched
from devtensor_cupy.products import batched
from devtensor_cupy.random import philox_words

LIBRARY = arraylib.Library(cupy, host=False)
CUPY_DTYPES = LIBRARY.dtypes
OUT_KERNELS = frozenset(UNARY | BINARY)
SPECIAL = {
    "erf": special.erf,
    "erfc": special.erfc,
    "erfinv": special.erfinv,
    "lgamma": special.gammaln,
    "digamma": special.digamma,
}
IN_FLOAT32 = frozenset({"logical_not", "logical_and", "logical_or", "logical_xor", "any", "all", "nonzero"})
"""Kernels that compute nothing but that CuPy does not have for bfloat16."""
BY_BITS = frozenset({"where", "tril", "triu", "index_select", "gather", "scatter", "embedding", "index_get"})
"""Kernels that move bfloat16 values as the 16-bit integers that CuPy knows better."""
OWN = frozenset({"matmul", *windows.NAMES, *rows.NAMES})
"""Kernels of ours that take half types as they are."""
NATIVE = (frozenset(UFUNCS | DIVISIONS | ROUNDINGS) | halves.MOVING | OWN) - IN_FLOAT32
"""Kernels that run on half types as they are; CuPy's ufuncs compute those in float32 inside."""
ATOMIC = {
    "?": "int32", "b": "int32", "h": "int32", "B": "uint32", "H": "uint32", "l": "uint64", "q": "uint64",
}  # fmt: skip
"""The dtype in which CuPy can add integers atomically, with the same bits."""
WIDE_NUMBERS = {
    "add": (0, 1), "sub": (0, 1), "mul": (0, 1), "div": (1,), "div_floor": (1,), "div_trunc": (1,),
    "floor_divide": (1,),
}  # fmt: skip
"""Ops that take a number in float32 beside halves, and where: those for which PyTorch does so on CUDA."""
LOGICAL = ("logical_not", "logical_and", "logical_or", "logical_xor")
"""Kernels that CuPy does not have for complex numbers."""
DEBUG = bool(os.environ.get("DEVTENSOR_DEBUG"))
"""Whether the host waits after every kernel, so that a fault is told of the op that caused it."""


def kernel_table() -> dict[str, Kernel]:
    """Every kernel of CUDA devices, by name."""
    table = arraylib.kernels(cupy, host=False, add_at=add_at)
    table |= {name: getattr(cupy, theirs) for name, theirs in UFUNCS.items()}
    table |= arraylib.random.kernels(LIBRARY, philox_words)
    table |= {name: of_truths(table[name]) for name in LOGICAL}
    table |= windows.convolution_kernels({name: widened(table[name]) for name in windows.NAMES}, matmul)
    table |= rows.kernels(table["embedding_grad"])
    return table | SPECIAL | {"matmul": matmul, "linalg_solve_ex": solve}


def specialise(name: str, kernel: Kernel, dtype: str) -> Kernel | None:
    """The best kernel for arrays of one dtype; None where an op's body does better."""
    if name in rows.NAMES and dtype in C_TYPES and not rows.ready(name, dtype):
        return None
    if dtype in arraylib.HALF_TYPES and name in WIDE_NUMBERS:
        kernel = beside_numbers(getattr(cupy, (BINARY | DIVISIONS)[name]))
    elif dtype == "bfloat16" and name in BY_BITS:
        kernel = by_bits(kernel)
    elif name not in NATIVE:
        kernel = in_float32(kernel, dtype)
    return watched(name, kernel, cupy) if DEBUG else kernel


def watched_lists(kernels: dict[str, Kernel]) -> dict[str, Kernel]:
    """The kernels over lists of tensors; in debug mode the host waits after each."""
    return {name: watched(name, kernel, cupy) for name, kernel in kernels.items()} if DEBUG else kernels


def in_float32(kernel: Kernel, dtype: str) -> Kernel:
    """The kernel computed in float32 if `dtype` is a half type."""
    if dtype not in arraylib.HALF_TYPES:
        return kernel
    half, wide = CUPY_DTYPES[dtype], CUPY_DTYPES["float32"]
    return halves.in_float32(kernel, half, lambda x: x.astype(wide), lambda x: x.astype(half))


def beside_numbers(function: Any) -> Kernel:
    """The ufunc on halves, one of which may be a number in float32: computed in float32 on the way from
    memory to memory, and rounded once."""

    def kernel(x: Any, y: Any, out: Any = None) -> Any:
        if x.dtype == y.dtype:
            return function(x, y) if out is None else function(x, y, out=out)
        half = y if x.dtype.name == "float32" else x
        if out is None:
            out = cupy.empty_like(half)
        return function(x, y, out=out, dtype=cupy.float32, casting="unsafe")

    return kernel


def widened(kernel: Kernel) -> Kernel:
    """The kernel computed in float32 if its first array is of a half type."""

    def compute(*arguments: Any) -> Any:
        return in_float32(kernel, arguments[0].dtype.name)(*arguments)

    return compute


def by_bits(kernel: Kernel) -> Kernel:
    """The kernel on bfloat16 values seen as integers."""
    half, bits = CUPY_DTYPES["bfloat16"], CUPY_DTYPES["int16"]

    def moved(*arguments: Any) -> Any:
        seen = [x.view(bits) if getattr(x, "dtype", None) == half else x for x in arguments]
        return kernel(*seen).view(half)

    return moved


def of_truths(kernel: Kernel) -> Kernel:
    """The kernel with complex numbers seen as whether they are zero."""

    def seen(*arrays: Any, **named: Any) -> Any:
        return kernel(*[x != 0 if x.dtype.kind == "c" else x for x in arrays], **named)

    return seen


def add_at(target: Any, index: Any, values: Any) -> None:
    """Add at indices, as often as they occur; integers in a dtype that has an atomic addition, complex
    numbers part by part.
    """
    if target.dtype.kind == "c":
        values = cupy.asarray(values)
        add_at(target.real, index, values.real)
        add_at(target.imag, index, values.imag if values.dtype.kind == "c" else values * 0)
        return
    if rows.add_at(target, index, values):
        return
    other = ATOMIC.get(target.dtype.char)
    if other is None:
        cupy.add.at(target, index, values)
        return
    wide = target.astype(other)
    cupy.add.at(wide, index, cupy.asarray(values).astype(other))
    target[...] = wide.astype(target.dtype)


def matmul(a: Any, b: Any) -> Any:
    """Matrix product; half types are summed in float32, batches of them by one call of cuBLAS."""
    if a.dtype.name not in arraylib.HALF_TYPES or not a.size or not b.size:
        return arraylib.linalg.matmul(LIBRARY, a, b)
    if a.ndim == 2 and b.ndim == 2:
        product: Any = cupy.matmul(a, b)
        return product.astype(a.dtype, copy=False)
    if a.ndim > 2 and b.ndim == 2:
        rows = matmul(a.reshape(-1, a.shape[-1]), b)
        return rows.reshape(*a.shape[:-1], b.shape[-1])
    if a.ndim < 2 or b.ndim < 2:
        return arraylib.linalg.matmul(LIBRARY, a, b)
    return batched(a, b)


def solve(a: Any, b: Any) -> Any:
    """x with a x = b; CuPy broadcasts no batches."""
    if b.ndim < 2 or a.shape[:-1] == b.shape[:-1]:
        return arraylib.decompositions.solve(LIBRARY, a, b)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    wide = cupy.broadcast_to(a, (*batch, *a.shape[-2:]))
    found = cupy.linalg.solve(wide, cupy.broadcast_to(b, (*batch, *b.shape[-2:])))
    return cupy.ascontiguousarray(found), arraylib.decompositions.lu(LIBRARY, a)[2]
