"""CuPy's linear algebra: cuSOLVER reports nothing by itself, broadcasts nothing, and knows no half types."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from cupy._arrays import launched, ndarray, unwrapped, wrapped


def solved(function: Any, *arrays: Any, **named: Any) -> Any:
    """NumPy's function; where NumPy raises on numbers, the result is NaN, as nobody looked."""
    for value in arrays:
        if not isinstance(value, ndarray):
            raise TypeError("cupy.linalg functions take cupy.ndarray")
        if value.dtype.kind not in "biufc" or value.dtype.itemsize == 2:
            raise TypeError(f"{value.dtype} is unsupported in linalg")
    launched(*arrays)
    with np.errstate(all="ignore"):
        return wrapped(function(*unwrapped(arrays), **named), ())


def one_by_one(function: Any, *arrays: np.ndarray) -> np.ndarray:
    """Matrix by matrix, with NaN where the library gives up."""
    shape = arrays[0].shape[:-2]
    last = arrays[-1]
    result = np.full(last.shape, np.nan, np.result_type(last.dtype, np.float32))
    for place in np.ndindex(*shape):
        with contextlib.suppress(np.linalg.LinAlgError):
            result[place] = function(*(array[place] for array in arrays))
    return result


def cholesky(a: Any) -> ndarray:
    return solved(lambda x: one_by_one(lower_factor, x), a)


def lower_factor(x: np.ndarray) -> np.ndarray:
    """As cuSOLVER leaves it: columns up to the first pivot that is not positive, which stays as it is."""
    factor = np.tril(x)
    for k in range(len(x)):
        factor[k:, k] -= factor[k:, :k] @ factor[k, :k].conj()
        if not factor[k, k].real > 0:
            break
        factor[k:, k] /= np.sqrt(factor[k, k])
    return factor


def solve(a: Any, b: Any) -> ndarray:
    """CuPy broadcasts no batches: both have the same dimensions but the last."""
    if b.ndim == 1 and a.shape[-1] != b.size:
        raise ValueError("a must have (..., M, M) shape and b must have (M,) for one-dimensional b")
    if b.ndim > 1 and a.shape[:-1] != b.shape[:-1]:
        raise ValueError("a must have (..., M, M) shape and b must have (..., M, K) for multidimensional b")
    if a.ndim > 2 and a.size and not b.size:
        # The addresses of the batch are an arange whose step is 0 (cupy/cublas.py: batched_gesv).
        raise ZeroDivisionError("float division by zero")
    return solved(lambda x, y: one_by_one(np.linalg.solve, x, y), a, b)


def qr(a: Any, mode: str = "reduced") -> Any:
    return solved(lambda x: tuple(np.linalg.qr(x, mode)), a)


def eigh(a: Any, UPLO: str = "L") -> Any:
    return solved(lambda x: tuple(np.linalg.eigh(x, UPLO)), a)


def eig(a: Any) -> Any:
    """The results of real matrices are complex, as cuSOLVER's are."""

    def found(x: np.ndarray) -> Any:
        kind = np.result_type(x.dtype, np.complex64)
        return tuple(part.astype(kind) for part in np.linalg.eig(x))

    return solved(found, a)


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    return solved(lambda x: tuple(np.linalg.svd(x, full_matrices)), a)
