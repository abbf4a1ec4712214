"""Sums over rows and columns as matrix products: BLAS adds several numbers at once where NumPy adds one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy import asarray, ndarray

total: Any = np.add.reduce

WIDEST = 1024
"""Numbers in a row up to which adding in a few lanes is as exact as adding in pairs."""
MANY = 4096
"""Elements from which a sum is worth looking at."""

_ones = {char: np.ones(WIDEST, char) for char in "fd"}


def ones(count: int, char: str) -> ndarray:
    """That many ones of one dtype; kept up to the most that anybody asked for."""
    found = _ones[char]
    if found.size < count:
        found = _ones[char] = np.ones(count, char)
    return found[:count]


def sums_of_rows(x: ndarray) -> ndarray:
    """(R, W) -> (R, 1), for float32 and float64."""
    width = x.shape[1]
    if width > WIDEST:
        return total(x, 1, None, None, True)
    return (x @ ones(width, x.dtype.char))[:, None]


def sums_of_columns(x: ndarray) -> ndarray:
    """(R, W) -> (W,), for float32 and float64; one row after the other, as NumPy adds them too."""
    return ones(x.shape[0], x.dtype.char) @ x


def sum_over(x: ndarray, dims: tuple[int, ...], keepdim: bool) -> ndarray:
    """The sum over dims, by a product where all of them come first or last."""
    if x.size >= MANY and x.dtype.char in "fd" and 0 < len(dims) < x.ndim and x.flags.c_contiguous:
        count = len(dims)
        first, last = max(dims) == count - 1, min(dims) == x.ndim - count
        inside = math.prod(x.shape[count:] if first else x.shape[x.ndim - count :])
        if (first and inside >= 16) or (last and inside <= WIDEST):
            matrix = x.reshape(-1, inside)
            found = sums_of_columns(matrix) if first else sums_of_rows(matrix)
            return found.reshape(summed_shape(x.shape, dims, keepdim))
    return asarray(total(x, dims, x.dtype, None, keepdim), order="C")


def summed_shape(shape: tuple[int, ...], dims: tuple[int, ...], keepdim: bool) -> list[int]:
    """The shape that is left of a sum over dims."""
    if keepdim:
        return [1 if place in dims else size for place, size in enumerate(shape)]
    return [size for place, size in enumerate(shape) if place not in dims]
