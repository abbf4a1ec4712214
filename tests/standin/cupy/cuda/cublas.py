"""The one function of cuBLAS that the runtime calls by itself, on matrices in columns, as cuBLAS has them."""

from __future__ import annotations

import ctypes
from typing import Any

import ml_dtypes
import numpy as np

from cupy._arrays import launched

CUBLAS_OP_N, CUBLAS_OP_T = 0, 1
CUBLAS_COMPUTE_32F = 68
CUBLAS_GEMM_DEFAULT = -1
DTYPES: dict[int, Any] = {0: np.float32, 2: np.float16, 14: ml_dtypes.bfloat16}


class CUBLASError(RuntimeError):
    """What cuBLAS reports."""


def matrices(
    pointer: int, dtype: Any, rows: int, columns: int, lead: int, stride: int, count: int
) -> np.ndarray:
    """The batch at an address: `columns` columns of `rows` numbers, `lead` apart."""
    if lead < max(1, rows):
        raise CUBLASError("CUBLAS_STATUS_INVALID_VALUE")
    item = np.dtype(dtype).itemsize
    last = (count - 1) * stride + (columns - 1) * lead + rows
    memory = np.frombuffer((ctypes.c_ubyte * (last * item)).from_address(pointer), np.uint8).view(dtype)
    return np.lib.stride_tricks.as_strided(memory, (count, rows, columns), (stride * item, item, lead * item))


def gemmStridedBatchedEx(
    handle: int, transa: int, transb: int, m: int, n: int, k: int, alpha: int,
    A: int, Atype: int, lda: int, strideA: int,
    B: int, Btype: int, ldb: int, strideB: int, beta: int,
    C: int, Ctype: int, ldc: int, strideC: int, batchCount: int, computeType: int, algo: int,
) -> None:  # fmt: skip
    """c = alpha a b + beta c for each of a batch, summed in float32."""
    if computeType != CUBLAS_COMPUTE_32F:
        raise CUBLASError("CUBLAS_STATUS_NOT_SUPPORTED")
    launched()
    factors = [ctypes.c_float.from_address(place).value for place in (alpha, beta)]
    shape_a, shape_b = ((k, m) if transa else (m, k)), ((n, k) if transb else (k, n))
    a = matrices(A, DTYPES[Atype], *shape_a, lda, strideA, batchCount).astype(np.float32)
    b = matrices(B, DTYPES[Btype], *shape_b, ldb, strideB, batchCount).astype(np.float32)
    c = matrices(C, DTYPES[Ctype], m, n, ldc, strideC, batchCount)
    a = a.swapaxes(1, 2) if transa else a
    b = b.swapaxes(1, 2) if transb else b
    with np.errstate(all="ignore"):
        before = factors[1] * c.astype(np.float32) if factors[1] else 0.0
        c[...] = (factors[0] * np.matmul(a, b) + before).astype(c.dtype)
