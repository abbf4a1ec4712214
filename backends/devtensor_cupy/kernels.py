"""The CUDA kernel table: the generic one over CuPy, and what CuPy does otherwise than NumPy.

Indices out of range and integer division by zero are not reported, as looking at values would wait for the
device: CuPy wraps such indices around and divides to 0.
"""

from __future__ import annotations

import math
import os
from typing import Any

import cupy
from cupyx.scipy import special

from devtensor.backend import arraylib
from devtensor.backend.arraylib import halves
from devtensor.backend.arraylib.elementwise import BINARY, DIVISIONS, ROUNDINGS, UFUNCS, UNARY
from devtensor.backend.arraylib.library import dtype_name, is_floating
from devtensor.backend.protocol import Kernel
from devtensor_cupy import accumulate, divisions, elementwise, equations, ordering, rows, subnormals, windows
from devtensor_cupy.process import watched
from devtensor_cupy.products import batched
from devtensor_cupy.random import philox_words, uniform_or

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
OWN = frozenset(
    {"matmul", *windows.NAMES, *rows.NAMES, *accumulate.NAMES, *divisions.NAMES, *elementwise.NAMES}
)
"""Kernels of ours that take half types as they are."""
NATIVE = (frozenset(UFUNCS | DIVISIONS | ROUNDINGS) | halves.MOVING | OWN) - IN_FLOAT32
"""Kernels that run on half types as they are; CuPy's ufuncs compute those in float32 inside."""
WIDE_NUMBERS = {
    "add": (0, 1), "sub": (0, 1), "mul": (0, 1), "div": (1,), "div_floor": (1,), "div_trunc": (1,),
    "floor_divide": (1,), "add_scaled": (2,), "sub_scaled": (2,), "lerp": (2,),
    "addcmul": (3,), "addcdiv": (3,),
}  # fmt: skip
"""Ops that take a number in float32 beside halves, and where: those for which PyTorch does so on CUDA."""
LOGICAL = ("logical_not", "logical_and", "logical_or", "logical_xor")
"""Kernels that CuPy does not have for complex numbers."""
DEBUG = bool(os.environ.get("DEVTENSOR_DEBUG"))
"""Whether the host waits after every kernel, so that a fault is told of the op that caused it."""


def kernel_table() -> dict[str, Kernel]:
    """Every kernel of CUDA devices, by name."""
    subnormals.kept()
    table = arraylib.kernels(cupy, host=False, add_at=accumulate.add_at)
    table |= {name: getattr(cupy, theirs) for name, theirs in UFUNCS.items()}
    table |= arraylib.random.kernels(LIBRARY, philox_words)
    table["random_uniform"] = uniform_or(table["random_uniform"], CUPY_DTYPES)
    table |= {name: of_truths(table[name]) for name in LOGICAL}
    table |= windows.convolution_kernels({name: widened(table[name]) for name in windows.NAMES}, matmul)
    table |= accumulate.kernels(table["scatter_add"]) | {"index_put": index_put(table["index_put"])}
    table |= rows.kernels()
    table |= SPECIAL | divisions.KERNELS | elementwise.KERNELS
    table |= ordering.kernels(table) | equations.kernels(LIBRARY)
    return table | {"cast": cast, "full": full, "matmul": matmul}


def specialise(name: str, kernel: Kernel, dtype: str) -> Kernel | None:
    """The best kernel for arrays of one dtype; None where an op's body does better."""
    if name in rows.NAMES and not rows.ready(name, dtype):
        return None
    if name in elementwise.NAMES and not elementwise.ready(name, dtype):
        return None
    if dtype in arraylib.HALF_TYPES and name in WIDE_NUMBERS and name not in OWN:
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
        half = y if dtype_name(x) == "float32" else x
        if out is None:
            out = cupy.empty_like(half)
        return function(x, y, out=out, dtype=cupy.float32, casting="unsafe")

    return kernel


def widened(kernel: Kernel) -> Kernel:
    """The kernel computed in float32 if its first array is of a half type."""

    def compute(*arguments: Any) -> Any:
        return in_float32(kernel, dtype_name(arguments[0]))(*arguments)

    return compute


def by_bits(kernel: Kernel) -> Kernel:
    """The kernel on bfloat16 values seen as integers."""
    half, bits = CUPY_DTYPES["bfloat16"], CUPY_DTYPES["int16"]

    def moved(*arguments: Any) -> Any:
        seen = [x.view(bits) if getattr(x, "dtype", None) == half else x for x in arguments]
        return kernel(*seen).view(half)

    return moved


def index_put(generic: Kernel) -> Kernel:
    """Values added at indices, or moved there."""
    moved = by_bits(generic)

    def kernel(x: Any, value: Any, *arguments: Any) -> Any:
        add = arguments[-1]
        return (moved if dtype_name(x) == "bfloat16" and not add else generic)(x, value, *arguments)

    return kernel


def of_truths(kernel: Kernel) -> Kernel:
    """The kernel with complex numbers seen as whether they are zero."""

    def seen(*arrays: Any, **named: Any) -> Any:
        return kernel(*[x != 0 if x.dtype.kind == "c" else x for x in arrays], **named)

    return seen


def cast(x: Any, dtype: str) -> Any:
    """x in another dtype; bytes by way of int64, as the device makes 0 of what is negative."""
    if dtype == "uint8" and x.dtype.kind not in "biu":
        x = arraylib.elementwise.cast(LIBRARY, x, "int64")
    return arraylib.elementwise.cast(LIBRARY, x, dtype)


def full(shape: tuple[int, ...], value: float, dtype: str) -> Any:
    """Numbers that are alike; what equals zero CuPy writes as bytes of zero, which -0.0 is not."""
    made = arraylib.elementwise.full(LIBRARY, shape, value, dtype)
    if isinstance(value, float) and value == 0 and math.copysign(1, value) < 0 and is_floating(made):
        cupy.negative(made, out=made)
    return made


def matmul(a: Any, b: Any) -> Any:
    """Matrix product; half types are summed in float32, batches of them by one call of cuBLAS.

    So is a row times a column, of which CuPy would round each term.
    """
    if dtype_name(a) not in arraylib.HALF_TYPES or not a.size or not b.size:
        return arraylib.linalg.matmul(LIBRARY, a, b)
    if a.ndim == 2 and b.ndim == 2 and not a.shape[0] == b.shape[1] == 1:
        product: Any = cupy.matmul(a, b)
        return product.astype(a.dtype, copy=False)
    if a.ndim > 2 and b.ndim == 2:
        rows = matmul(a.reshape(-1, a.shape[-1]), b)
        return rows.reshape(*a.shape[:-1], b.shape[-1])
    if a.ndim < 2 or b.ndim < 2:
        return arraylib.linalg.matmul(LIBRARY, a, b)
    return batched(a, b)
