"""The standard's extension `linalg`."""

from __future__ import annotations

from math import inf
from typing import Any, NamedTuple

import devtensor
from devtensor import linalg
from devtensor.array_api.dtypes import together
from devtensor.array_api.reductions import along
from devtensor.array_api.reductions import sum as sum_along
from devtensor.core.dtype import DType
from devtensor.core.errors import ArgumentError
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor

__all__ = [
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]


class EighResult(NamedTuple):
    """What `eigh` gives."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class QRResult(NamedTuple):
    """What `qr` gives."""

    Q: Tensor
    R: Tensor


class SlogdetResult(NamedTuple):
    """What `slogdet` gives."""

    sign: Tensor
    logabsdet: Tensor


class SVDResult(NamedTuple):
    """What `svd` gives."""

    U: Tensor
    S: Tensor
    Vh: Tensor


def cholesky(x: Tensor, /, *, upper: bool = False) -> Tensor:
    """The triangular factor of positive definite matrices."""
    return linalg.cholesky(x, upper=upper)


def cross(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """The cross product of vectors of three elements along an axis."""
    a, b = devtensor.broadcast_tensors(*together(x1, x2)) if x1.ndim != x2.ndim else together(x1, x2)
    return linalg.cross(a, b, dim=axis)


def det(x: Tensor, /) -> Tensor:
    """The determinant of matrices."""
    return linalg.det(x)


def diagonal(x: Tensor, /, *, offset: int = 0) -> Tensor:
    """The diagonal of matrices."""
    return linalg.diagonal(x, offset=offset)


def eigh(x: Tensor, /) -> EighResult:
    """Eigenvalues and eigenvectors of Hermitian matrices."""
    return EighResult(*linalg.eigh(x))


def eigvalsh(x: Tensor, /) -> Tensor:
    """Eigenvalues of Hermitian matrices."""
    return linalg.eigvalsh(x)


def inv(x: Tensor, /) -> Tensor:
    """The inverse of matrices."""
    return linalg.inv(x)


def matmul(x1: Tensor, x2: Tensor, /) -> Tensor:
    """The product of matrices in the last two axes."""
    return devtensor.matmul(*together(x1, x2))


def matrix_norm(x: Tensor, /, *, keepdims: bool = False, ord: Any = "fro") -> Tensor:
    """A norm of matrices in the last two axes."""
    return linalg.matrix_norm(x, ord, keepdim=keepdims)


def matrix_power(x: Tensor, n: int, /) -> Tensor:
    """Matrices to a whole power."""
    return linalg.matrix_power(x, n)


def matrix_rank(x: Tensor, /, *, rtol: Any = None) -> Tensor:
    """How many singular values of matrices are greater than `rtol` times the greatest."""
    return linalg.matrix_rank(x, rtol=rtol)


def matrix_transpose(x: Tensor, /) -> Tensor:
    """Matrices with rows and columns exchanged."""
    return x.mT


def outer(x1: Tensor, x2: Tensor, /) -> Tensor:
    """The products of all pairs of two vectors' elements."""
    return devtensor.outer(*together(x1, x2))


def pinv(x: Tensor, /, *, rtol: Any = None) -> Tensor:
    """The pseudo-inverse of matrices."""
    return linalg.pinv(x, rtol=rtol)


def qr(x: Tensor, /, *, mode: str = "reduced") -> QRResult:
    """Matrices as the product of an orthonormal and an upper triangular one.

    Errors: ArgumentError for a mode that is neither "reduced" nor "complete".
    """
    if mode not in ("reduced", "complete"):
        raise ArgumentError(f"[qr] mode is {mode!r}; it needs 'reduced' or 'complete'")
    return QRResult(*linalg.qr(x, mode))


def slogdet(x: Tensor, /) -> SlogdetResult:
    """Sign and logarithm of the size of the determinant of matrices."""
    return SlogdetResult(*linalg.slogdet(x))


def solve(x1: Tensor, x2: Tensor, /) -> Tensor:
    """What the matrices `x1` must be multiplied with to give `x2`, one vector or matrices.

    Shapes: x1 (*B, N, N), x2 (N) or (*C, N, K) -> (*B, N) or broadcast(*B, *C) and (N, K)
    """
    matrices, right = together(x1, x2)
    if right.ndim == 1:
        return linalg.solve(matrices, right.unsqueeze(-1).expand(*matrices.shape[:-1], 1)).squeeze(-1)
    while right.ndim < matrices.ndim:
        right = right.unsqueeze(0)
    return linalg.solve(matrices, right)


def svd(x: Tensor, /, *, full_matrices: bool = True) -> SVDResult:
    """Singular vectors and values of matrices."""
    return SVDResult(*linalg.svd(x, full_matrices))


def svdvals(x: Tensor, /) -> Tensor:
    """Singular values of matrices."""
    return linalg.svdvals(x)


def tensordot(x1: Tensor, x2: Tensor, /, *, axes: Any = 2) -> Tensor:
    """Sums of products over pairs of axes: the last and first `axes` ones, or those that two lists name."""
    return devtensor.tensordot(*together(x1, x2), dims=axes)


def trace(x: Tensor, /, *, offset: int = 0, dtype: DType | None = None) -> Tensor:
    """The sum of the diagonal of matrices."""
    return sum_along(diagonal(x, offset=offset), axis=-1, dtype=dtype)


def vecdot(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """The sum along an axis of the conjugate of `x1` times `x2`.

    Errors: ArgumentError if the axis has two sizes.
    """
    sizes = [x.shape[normalize_dim("vecdot", axis, x.ndim)] for x in (x1, x2)]
    if sizes[0] != sizes[1]:
        raise ArgumentError(f"[vecdot] axis {axis} has sizes {sizes[0]} and {sizes[1]}; they must be equal")
    first, second = together(x1, x2)
    return (first.conj() * second).sum(axis, dtype=first.dtype)


def vector_norm(x: Tensor, /, *, axis: Any = None, keepdims: bool = False, ord: float = 2) -> Tensor:
    """A norm of vectors along axes, or of all elements."""
    source, dims = along(x, axis)
    if not source.shape.numel() and (ord == inf or ord < 0) and ord != -inf:
        return source.abs().sum(dims, keepdim=keepdims and source is x)
    return linalg.vector_norm(source, ord, dims, keepdims and source is x)
