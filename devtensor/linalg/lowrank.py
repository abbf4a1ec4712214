"""Decompositions of large matrices by their action on a few random vectors."""

from __future__ import annotations

from devtensor.core.errors import ArgumentError, ShapeError
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.sampling import randn
from devtensor.ops import decompositions, reduce, spectra
from devtensor.ops.create import cast
from devtensor.ops.matrices import adjoint


def svd_lowrank(
    A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """U, S and V with A - M nearly U diag(S) V^H, of the `q` largest singular values.

    Shapes: A (*B, M, N), M as A -> U (*B, M, Q), S (*B, Q), V (*B, N, Q)
    Source: Halko et al., Finding structure with randomness (2009), algorithm 5.1.
    """
    count, rounds = 6 if q is None else q, 2 if niter is None else niter
    A = A if M is None else A - M.expand(*A.array.shape)
    height, width = A.array.shape[-2:]
    wide = height < width
    A = adjoint(A) if wide else A
    space = _range(A, count, rounds)
    small, values, turned = spectra.linalg_svd(adjoint(space) @ A, False)
    left, right = space @ small, adjoint(turned)
    return (right, values, left) if wide else (left, values, right)


def _range(A: Tensor, count: int, rounds: int) -> Tensor:
    """Orthonormal columns that nearly span what A makes of all vectors.

    Source: as above, algorithm 4.4.
    """
    start = cast(randn(A.array.shape[-1], count, dtype=A.dtype.to_real(), device=A.device), A.dtype)
    space = decompositions.linalg_qr(A @ start)[0]
    for _ in range(rounds):
        back = decompositions.linalg_qr(adjoint(A) @ space)[0]
        space = decompositions.linalg_qr(A @ back)[0]
    return space


def pca_lowrank(
    A: Tensor, q: int | None = None, center: bool = True, niter: int = 2
) -> tuple[Tensor, Tensor, Tensor]:
    """The `q` main directions of the rows of A, as `svd_lowrank` of A less its mean row.

    Shapes: A (*B, M, N) -> U (*B, M, Q), S (*B, Q), V (*B, N, Q)
    Errors: ArgumentError for a `q` that is not between 0 and the smaller size, or a negative `niter`.
    """
    if A.array.ndim < 2:
        raise ShapeError(
            f"[pca_lowrank] {describe(A)}: needs at least two dims, rows and columns; reshape it"
        )
    height, width = A.array.shape[-2:]
    count = min(6, height, width) if q is None else q
    if not 0 <= count <= min(height, width):
        raise ArgumentError(
            f"[pca_lowrank] q(={count}) must be non-negative and at most {min(height, width)}"
        )
    if niter < 0:
        raise ArgumentError(f"[pca_lowrank] niter(={niter}) must be non-negative")
    return svd_lowrank(A - reduce.mean(A, -2, True) if center else A, count, niter)
