"""The CPU's kernel table: the generic one with NumPy's fast paths in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import asarray, ndarray

from devtensor.backend import arraylib
from devtensor.backend.arraylib.elementwise import BINARY, DIVISIONS, ROUNDINGS, UNARY
from devtensor.backend.protocol import Kernel
from devtensor_numpy.blocks import in_blocks
from devtensor_numpy.convolution import convolution_kernels
from devtensor_numpy.halves import HALVES, cast, half_kernel, half_ufunc
from devtensor_numpy.index import embedding_grad
from devtensor_numpy.matmul import matmul, product
from devtensor_numpy.pool import max_pool
from devtensor_numpy.random import random_kernels
from devtensor_numpy.softmax import log_softmax, softmax

RAW: dict[str, np.ufunc] = {
    name: getattr(np, theirs) for name, theirs in (UNARY | BINARY | DIVISIONS | ROUNDINGS).items()
}
"""Kernels that are one ufunc once integers and scalar results are out of the way."""

integer_power = arraylib.kernels(np)["pow"]
OUT_KERNELS = frozenset(RAW) - DIVISIONS.keys() - ROUNDINGS.keys()
SEVERAL_PASSES = ("sigmoid", "rsqrt", "erf", "erfc", "erfinv", "lgamma", "digamma")
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
    table = arraylib.kernels(np)
    table |= {name: unary(RAW[name]) for name in UNARY}
    table |= {name: binary(RAW[name]) for name in BINARY if name in RAW}
    table |= {"sum": reducing(np.add), "prod": reducing(np.multiply)}
    table |= {"amax": reducing(np.maximum), "amin": reducing(np.minimum)}
    table |= {"any": reducing(np.logical_or), "all": reducing(np.logical_and)}
    table |= {"cumsum": running(np.add), "cumprod": running(np.multiply)}
    table |= {name: in_blocks(table[name]) for name in SEVERAL_PASSES}
    table |= convolution_kernels(table)
    table["max_pool"] = max_pool(table["max_pool"])
    table["embedding_grad"] = embedding_grad(table["embedding_grad"])
    return table | random_kernels() | FUNCTIONS


def specialise(name: str, kernel: Kernel, dtype: str, all_scalar: bool = True) -> Kernel:
    """The best kernel for arrays of one dtype.

    Half types are computed in float32. With `all_scalar=False` some input has a dimension, so that a ufunc
    itself can serve: it gives scalars for 0-d inputs only.
    """
    if dtype in HALVES:
        if name in OUT_KERNELS:
            return half_ufunc(name, kernel, dtype, 2 if name in BINARY else 1)
        return half_kernel(name, kernel, dtype)
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


def getitem(x: ndarray, index: tuple[Any, ...]) -> ndarray:
    """Basic indexing; where NumPy would give a scalar, a view without dimensions."""
    result = x[index]
    return result if result.__class__ is ndarray else x[(*index, ...)]


def where(mask: ndarray, x: ndarray, y: ndarray) -> ndarray:
    return asarray(np.where(mask, x, y))


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
            return ndarray(shape, x.dtype, x, 0, strides)
    view = np.broadcast_to(x, shape)
    if x.flags.writeable:
        view.flags.writeable = True
    return view


FUNCTIONS: dict[str, Kernel] = {
    "pow": power,
    "cast": cast,
    "where": where,
    "expand": expand,
    "getitem": getitem,
    "matmul": matmul,
    "softmax": softmax,
    "log_softmax": log_softmax,
}
