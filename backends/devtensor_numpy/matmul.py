"""Matrix products on the CPU."""

from __future__ import annotations

import numpy as np
from numpy import ndarray

EXACT_IN_FLOAT64 = 2**53


def matmul(a: ndarray, b: ndarray) -> ndarray:
    """Matrix product over the last two dimensions.

    NumPy has no BLAS for integers: they go through float64 where every partial sum is exact in it.
    """
    if a.dtype.kind in "iu" and a.size and b.size and fits_float64(a, b):
        return product(a.astype(np.float64), b.astype(np.float64)).astype(np.int64).astype(a.dtype)
    return product(a, b)


def product(a: ndarray, b: ndarray) -> ndarray:
    """`a @ b`; a stack of matrices times one matrix is a single product of the stacked rows."""
    if a.ndim > 2 and b.ndim == 2 and a.size:
        rows = np.matmul(a.reshape(-1, a.shape[-1]), b)
        return rows.reshape(*a.shape[:-1], b.shape[-1])
    result = np.matmul(a, b, order="C")
    return result if result.__class__ is ndarray else np.asarray(result)


def linear(x: ndarray, weight: ndarray, bias: ndarray | None) -> ndarray:
    """x times the transpose of `weight`, plus `bias`, added in place."""
    if weight.ndim != 2 or (bias is not None and bias.shape != weight.shape[:1]):
        raise ValueError(f"weight {weight.shape} and bias do not fit each other")
    result = matmul(x, weight.T)
    if bias is not None:
        result += bias
    return result


def fits_float64(a: ndarray, b: ndarray) -> bool:
    """True if no partial sum of the product of two integer arrays can be rounded in float64."""
    return largest(a) * largest(b) * a.shape[-1] <= EXACT_IN_FLOAT64


def largest(x: ndarray) -> int:
    """The largest magnitude in an integer array."""
    return max(abs(int(x.max())), abs(int(x.min())))
