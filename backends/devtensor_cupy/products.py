"""Batches of matrix products of half types: one call of cuBLAS, transposed and broadcast by strides alone.

CuPy's own computes float16 batches in float32, has none for bfloat16 and copies transposed matrices.
"""

# What CuPy has of cuBLAS is compiled, and checkers of types do not see into it.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Any, NamedTuple

import cupy
import numpy as np

ONE, ZERO = np.ones(1, np.float32), np.zeros(1, np.float32)


class Operand(NamedTuple):
    """A batch of matrices as cuBLAS reads it: in rows (then `by_columns` is False) or in columns."""

    array: Any
    by_columns: bool
    lead: int
    stride: int


def batched(a: Any, b: Any) -> Any:
    """a @ b for at least one of more than two dimensions, neither empty: summed in float32, rounded once."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    rows, inner, columns = a.shape[-2], a.shape[-1], b.shape[-1]
    result = cupy.empty((*batch, rows, columns), a.dtype)
    # Matrices in rows are the transposed ones in columns, which is how cuBLAS sees them: hence b before a.
    left, right = operand(b, batch), operand(a, batch)
    cublas, runtime = cupy.cuda.cublas, cupy.cuda.runtime
    kind = runtime.CUDA_R_16F if a.dtype.name == "float16" else runtime.CUDA_R_16BF
    cublas.gemmStridedBatchedEx(
        cupy.cuda.device.get_cublas_handle(), int(left.by_columns), int(right.by_columns),
        columns, rows, inner,
        ONE.ctypes.data, left.array.data.ptr, kind, left.lead, left.stride,
        right.array.data.ptr, kind, right.lead, right.stride,
        ZERO.ctypes.data, result.data.ptr, kind, columns, rows * columns, int(np.prod(batch)),
        cublas.CUBLAS_COMPUTE_32F, cublas.CUBLAS_GEMM_DEFAULT,
    )  # fmt: skip
    return result


def operand(x: Any, batch: tuple[int, ...]) -> Operand:
    """The matrices where they lie if their strides allow it, else a copy of them."""
    seen = cupy.broadcast_to(x, (*batch, *x.shape[-2:])) if x.shape[:-2] != batch else x
    stride = batch_stride(seen)
    layout = matrix_layout(seen)
    if stride is None or layout is None:
        seen = cupy.ascontiguousarray(seen)
        return Operand(seen, False, seen.shape[-1], seen.shape[-2] * seen.shape[-1])
    return Operand(seen, *layout, stride)


def matrix_layout(x: Any) -> tuple[bool, int] | None:
    """Whether each matrix lies by columns, and how far its lines are apart; None for other strides."""
    (rows, columns), item = x.shape[-2:], x.dtype.itemsize
    down, across = x.strides[-2] // item, x.strides[-1] // item
    if (across == 1 or columns == 1) and (down >= columns or rows == 1):
        return False, max(down, columns) if rows > 1 else columns
    if (down == 1 or rows == 1) and (across >= rows or columns == 1):
        return True, max(across, rows) if columns > 1 else rows
    return None


def batch_stride(x: Any) -> int | None:
    """How far the matrices of the batch are apart if that is one number; None if it is not."""
    item = x.dtype.itemsize
    found, expected = None, 0
    for size, stride in zip(reversed(x.shape[:-2]), reversed(x.strides[:-2]), strict=True):
        if size == 1:
            continue
        if found is None:
            found = stride // item
        elif stride // item != expected:
            return None
        expected = stride // item * size
    if found is None:
        return 0
    return found if found >= 0 else None
