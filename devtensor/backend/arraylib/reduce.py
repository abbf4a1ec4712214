"""Reductions, running sums and the softmaxes; all results lie row by row, whatever the input does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.backend.arraylib.library import HALF_TYPES, Library, dtype_name
from devtensor.backend.protocol import Array, Kernel

ACCUMULATING = ("sum", "prod")
EXTREMES = ("amax", "amin")
TRUTHS = ("any", "all")
POSITIONS = ("argmax", "argmin")
RUNNING = ("cumsum", "cumprod")


def kernels(lib: Library) -> dict[str, Kernel]:
    """The reducing part of the table."""
    table = {name: accumulating(lib, getattr(lib.xp, name)) for name in ACCUMULATING}
    table |= {name: reduction(lib, getattr(lib.xp, name)) for name in (*EXTREMES, *TRUTHS)}
    table |= {name: position(lib, getattr(lib.xp, name)) for name in POSITIONS}
    table |= {name: running(lib, getattr(lib.xp, name)) for name in RUNNING}
    return table | lib.bind(FUNCTIONS)


def accumulating(lib: Library, function: Callable[..., Any]) -> Kernel:
    """A sum or product in the input's dtype, with half types accumulated in float32."""
    asarray = lib.xp.asarray
    float32 = lib.dtypes["float32"]

    def kernel(x: Array, dims: tuple[int, ...], keepdim: bool) -> Array:
        if dtype_name(x) in HALF_TYPES:
            found = asarray(function(x.astype(float32), axis=dims, keepdims=keepdim), order="C")
            return found.astype(x.dtype)
        return asarray(function(x, axis=dims, keepdims=keepdim, dtype=x.dtype), order="C")

    return kernel


def reduction(lib: Library, function: Callable[..., Any]) -> Kernel:
    """A reduction over a tuple of dimensions that accumulates nothing."""
    asarray = lib.xp.asarray

    def kernel(x: Array, dims: tuple[int, ...], keepdim: bool) -> Array:
        return asarray(function(x, axis=dims, keepdims=keepdim), order="C")

    return kernel


def position(lib: Library, function: Callable[..., Any]) -> Kernel:
    """Index of an extreme along one dimension; a 0-d input has only index 0."""
    asarray = lib.xp.asarray
    int64 = lib.dtypes["int64"]

    def kernel(x: Array, dim: int, keepdim: bool) -> Array:
        if x.ndim == 0:
            return asarray(function(x.reshape(1), axis=0)).astype(int64)
        return asarray(function(x, axis=dim, keepdims=keepdim)).astype(int64, copy=False)

    return kernel


def running(lib: Library, function: Callable[..., Any]) -> Kernel:
    """A running sum or product along one dimension, half types in float32."""
    float32 = lib.dtypes["float32"]

    def kernel(x: Array, dim: int) -> Array:
        if x.ndim == 0:
            return x.copy()
        if dtype_name(x) in HALF_TYPES:
            return function(x.astype(float32), axis=dim).astype(x.dtype, order="C")
        return lib.xp.asarray(function(x, axis=dim, dtype=x.dtype), order="C")

    return kernel


def softmax(lib: Library, x: Array, dim: int) -> Array:
    """exp(x) / sum(exp(x)) along `dim`, after subtracting the maximum; one temporary beside the result."""
    result = shifted(lib, x, dim)
    result = lib.xp.exp(result, out=result)
    axis = dim if x.ndim else None
    result /= lib.total(result, axis=axis, keepdims=True)
    return result


def log_softmax(lib: Library, x: Array, dim: int) -> Array:
    """x - log(sum(exp(x))) along `dim`, after subtracting the maximum."""
    result = shifted(lib, x, dim)
    axis = dim if x.ndim else None
    result -= lib.xp.log(lib.total(lib.xp.exp(result), axis=axis, keepdims=True))
    return result


def shifted(lib: Library, x: Array, dim: int) -> Array:
    """x less its maximum along `dim`: a fresh array, rows first."""
    if x.size == 0:
        return x.copy()
    result = lib.xp.asarray(x - lib.xp.amax(x, axis=dim if x.ndim else None, keepdims=True))
    return result if result.flags.c_contiguous else result.copy()


FUNCTIONS: dict[str, Callable[..., Any]] = {"softmax": softmax, "log_softmax": log_softmax}
