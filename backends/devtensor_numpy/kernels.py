"""The CPU's kernel table: the generic one with NumPy's fast paths in place."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy import asarray, ndarray

from devtensor.backend import arraylib
from devtensor.backend.arraylib.elementwise import BINARY, DIVISIONS, ROUNDINGS, UNARY
from devtensor.backend.protocol import Kernel
from devtensor_numpy import (
    activations,
    combining,
    gelu,
    group_norms,
    losses,
    lstm,
    row_norms,
    slopes,
    statistics,
)
from devtensor_numpy.averages import avg_pool
from devtensor_numpy.blocks import in_blocks
from devtensor_numpy.choosing import where
from devtensor_numpy.convolution import convolution_kernels
from devtensor_numpy.half_kernels import half_kernel
from devtensor_numpy.halves import HALVES, cast
from devtensor_numpy.index import add_at, embedding_grad
from devtensor_numpy.masked_softmax import masked_softmax
from devtensor_numpy.matmul import linear, matmul, product
from devtensor_numpy.pool import max_pool
from devtensor_numpy.random import random_kernels
from devtensor_numpy.row_sums import sum_over
from devtensor_numpy.softmax import (
    log_softmax,
    log_softmax_gradient,
    safe_softmax,
    softmax,
    softmax_gradient,
)
from devtensor_numpy.sorting import extreme_places, ranked, sort

RAW: dict[str, np.ufunc] = {
    name: getattr(np, theirs) for name, theirs in (UNARY | BINARY | DIVISIONS | ROUNDINGS).items()
}
"""Kernels that are one ufunc once integers and scalar results are out of the way."""

GENERIC = arraylib.kernels(np)
integer_power, generic_full = GENERIC["pow"], GENERIC["full"]
OUT_KERNELS = frozenset(RAW) - DIVISIONS.keys() - ROUNDINGS.keys()
SEVERAL_PASSES = ("sigmoid", "rsqrt", "erf", "erfc", "erfinv", "lgamma", "digamma")
UNHEARD = ("fft_c2c", "fft_r2c", "fft_c2r", "linalg_svd", "linalg_eigh", "linalg_eig", "matrix_exp")
SMALL = 4096
"""Elements up to which an array more costs less than entering np.errstate."""
POWERS: dict[float, Callable[[ndarray], Any]] = {
    2.0: np.square,
    0.5: np.sqrt,
    -1.0: np.reciprocal,
    1.0: np.positive,
    3.0: lambda x: x * x * x,
}


def kernel_table() -> dict[str, Kernel]:
    """Every kernel of the CPU, by name."""
    table = arraylib.kernels(np, add_at=add_at)
    table |= {name: unary(RAW[name]) for name in UNARY}
    table |= {name: binary(RAW[name]) for name in BINARY if name in RAW}
    table |= {"sum": sum_over, "prod": reducing(np.multiply)}
    table |= {"amax": reducing(np.maximum), "amin": reducing(np.minimum)}
    table |= {"any": reducing(np.logical_or), "all": reducing(np.logical_and)}
    table |= {"cumsum": running(np.add), "cumprod": running(np.multiply)}
    table |= {name: in_blocks(table[name]) for name in SEVERAL_PASSES}
    table |= {name: unheard(table[name]) for name in UNHEARD}
    table |= convolution_kernels(table)
    table["max_pool"] = max_pool(table["max_pool"])
    table["avg_pool"] = avg_pool
    table["embedding_grad"] = embedding_grad(table["embedding_grad"])
    table |= random_kernels() | FUNCTIONS | activations.FUNCTIONS | lstm.FUNCTIONS | combining.FUNCTIONS
    table |= statistics.FUNCTIONS | row_norms.FUNCTIONS | losses.FUNCTIONS | gelu.FUNCTIONS
    return table | slopes.FUNCTIONS | group_norms.FUNCTIONS


def specialise(name: str, kernel: Kernel, dtype: str, all_scalar: bool = True) -> Kernel | None:
    """The best kernel for arrays of one dtype.

    Half types are computed in float32; None where an op's body does better. With `all_scalar=False` some
    input has a dimension, so that a ufunc itself can serve: it gives scalars for 0-d inputs only.
    """
    if dtype in HALVES and name in slopes.FUNCTIONS:
        return None
    if dtype in HALVES:
        inputs = (2 if name in BINARY else 1) if name in OUT_KERNELS else 0
        return half_kernel(name, kernel, dtype, RAW.get(name), inputs)
    checks_integers = name in DIVISIONS or name in ROUNDINGS
    if name == "matmul" and dtype.startswith("float"):
        return product
    if all_scalar or (checks_integers and not dtype.startswith("float")):
        return kernel
    return RAW.get(name, kernel)


def written(function: Callable[..., Any], arrays: tuple[ndarray, ...], out: ndarray) -> ndarray:
    """The ufunc's result written into `out`, which may be one of its inputs.

    A ufunc that is made to raise on floating-point events does so after it wrote, and could not be run again.
    So a small result is written when nothing can raise any more; a large one is worth entering np.errstate.
    """
    if out.size < SMALL:
        out[...] = function(*arrays)
        return out
    with np.errstate(all="ignore"):
        return function(*arrays, out=out)


def unheard(kernel: Kernel) -> Kernel:
    """A kernel whose floating-point events NumPy would tell of in the name of modules of its own."""

    def silent(*arguments: Any) -> Any:
        with np.errstate(all="ignore"):
            return kernel(*arguments)

    return silent


def unary(function: Callable[..., Any]) -> Kernel:
    """The ufunc, its scalar results made arrays; `out` as the contract of out_kernels has it."""

    def kernel(x: ndarray, out: ndarray | None = None) -> ndarray:
        if out is not None:
            return written(function, (x,), out)
        result = function(x)
        return result if result.__class__ is ndarray else asarray(result)

    return kernel


def binary(function: Callable[..., Any]) -> Kernel:
    """The same for two inputs."""

    def kernel(x: ndarray, y: ndarray, out: ndarray | None = None) -> ndarray:
        if out is not None:
            if out.size < SMALL:
                out[...] = function(x, y)
                return out
            return written(function, (x, y), out)
        result = function(x, y)
        return result if result.__class__ is ndarray else asarray(result)

    return kernel


def reducing(function: np.ufunc) -> Kernel:
    """A reduction in the input's dtype over a tuple of dimensions."""
    reduce: Any = function.reduce
    truth = function in (np.logical_or, np.logical_and)

    def kernel(x: ndarray, dims: tuple[int, ...], keepdim: bool) -> ndarray:
        return asarray(reduce(x, dims, np.bool_ if truth else x.dtype, None, keepdim), order="C")

    return kernel


def running(function: np.ufunc) -> Kernel:
    """A running sum or product in the input's dtype."""
    accumulate = function.accumulate

    def kernel(x: ndarray, dim: int) -> ndarray:
        return asarray(accumulate(x, dim, x.dtype), order="C") if x.ndim else x.copy()

    return kernel


def power(x: ndarray, y: ndarray) -> ndarray:
    """x ** y; for the usual constant exponents by multiplication and roots, tens of times faster."""
    if y.ndim == 0 and x.dtype.kind == "f":
        special = POWERS.get(y.item())
        if special is not None:
            return asarray(special(x))
    return integer_power(x, y) if x.dtype.kind == "i" else asarray(np.power(x, y))


def full(shape: tuple[int, ...], value: float, dtype: str) -> ndarray:
    """An array that repeats a number; halves as integers, which NumPy repeats many at a time."""
    half = HALVES.get(dtype)
    if half is None:
        return generic_full(shape, value, dtype)
    result = np.empty(shape, np.uint16)
    result.fill(cast(np.array(value, np.float32), dtype).view(np.uint16))
    return result.view(half)


def getitem(x: ndarray, index: tuple[Any, ...]) -> ndarray:
    """Basic indexing; where NumPy would give a scalar, a view without dimensions."""
    result = x[index]
    if None in index and x.flags.c_contiguous:
        return with_steps(x, result, index)
    return result if result.__class__ is ndarray else x[(*index, ...)]


def with_steps(x: ndarray, found: ndarray, index: tuple[Any, ...]) -> ndarray:
    """The view found, with new dims that step over all of what follows, where NumPy's step nowhere."""
    strides, dim = [], 0
    for entry in index:
        if entry is None:
            strides.append(x.shape[dim] * x.strides[dim] if dim < x.ndim else x.itemsize)
            continue
        if entry.__class__ is slice:
            strides.append(found.strides[len(strides)])
        dim += 1
    strides += found.strides[len(strides) :]
    start = 0 if found.size == x.size else address(found) - address(x)
    return ndarray(found.shape, x.dtype, x, start, strides)


def address(x: ndarray) -> int:
    return x.__array_interface__["data"][0]


def clamp(x: ndarray, low: ndarray | None, high: ndarray | None) -> ndarray:
    if low is None and high is None:
        return x.copy()
    result = x if low is None else np.maximum(x, low)
    return asarray(result if high is None else np.minimum(result, high))


def tril(x: ndarray, diagonal: int) -> ndarray:
    below = triangle(x.shape[-2], x.shape[-1], diagonal)
    return asarray(np.where(below, x, x.dtype.type(0)), order="C")


def triu(x: ndarray, diagonal: int) -> ndarray:
    below = triangle(x.shape[-2], x.shape[-1], diagonal - 1)
    return asarray(np.where(below, x.dtype.type(0), x), order="C")


def triangle(rows: int, columns: int, diagonal: int) -> ndarray:
    """Where a matrix's column is at most its row plus `diagonal`; small ones are remembered."""
    small = rows * columns <= SMALL
    return (small_triangle if small else np.tri)(rows, columns, diagonal, np.bool_)


small_triangle = lru_cache(256)(np.tri)


def expand(x: ndarray, shape: tuple[int, ...]) -> ndarray:
    """Broadcast view that can be written where it does not overlap itself, unlike np.broadcast_to's."""
    added = len(shape) - x.ndim
    if x.flags.c_contiguous and added >= 0:
        strides = [0] * added
        for n, stride, wanted in zip(x.shape, x.strides, shape[added:], strict=True):
            if n == wanted:
                strides.append(stride)
            elif n == 1:
                strides.append(0)
        if len(strides) == len(shape):
            for dim in range(added - 1, -1, -1):
                if shape[dim] == 1:
                    inside = dim + 1 < len(shape)
                    strides[dim] = shape[dim + 1] * strides[dim + 1] if inside else 0
            return ndarray(shape, x.dtype, x, 0, strides)
    view = np.broadcast_to(x, shape)
    if x.flags.writeable:
        view.flags.writeable = True
    return view


FUNCTIONS: dict[str, Kernel] = {
    "pow": power,
    "full": full,
    "cast": cast,
    "where": where,
    "clamp": clamp,
    "tril": tril,
    "triu": triu,
    "sort": sort,
    "ranked": ranked,
    "extreme_places": extreme_places,
    "expand": expand,
    "getitem": getitem,
    "matmul": matmul,
    "linear": linear,
    "softmax": softmax,
    "log_softmax": log_softmax,
    "safe_softmax": safe_softmax,
    "masked_softmax": masked_softmax,
    "softmax_gradient": softmax_gradient,
    "log_softmax_gradient": log_softmax_gradient,
}
