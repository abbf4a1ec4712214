"""Decompositions in the spellings of torch.linalg."""

from __future__ import annotations

from typing import Any

from devtensor.batching.levels import all_examples
from devtensor.core.dtype import bool_
from devtensor.core.errors import LinAlgError, OptionError, ShapeError
from devtensor.core.host import host_read
from devtensor.core.precision import one_op
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.formats import in_columns
from devtensor.functions.out import into, into_exactly
from devtensor.linalg import results
from devtensor.linalg.results import NOT_POSITIVE, ZERO_PIVOT, all_into, require_solved
from devtensor.ops import decompositions as ops
from devtensor.ops import reduce, spectra
from devtensor.ops.compare import isfinite, where
from devtensor.ops.create import full
from devtensor.ops.matrices import adjoint, columns, identity_like, rows
from devtensor.ops.parts import conjugate
from devtensor.ops.triangles import tril, triu


def cholesky(A: Tensor, *, upper: bool = False, out: Tensor | None = None) -> Tensor:
    """The lower triangular L with A = L L^H, or the upper triangular U with A = U^H U.

    Shapes: A (*B, N, N) -> (*B, N, N)
    Errors: LinAlgError if A is not positive definite.
    """
    factor, info = cholesky_ex(A, upper=upper)
    require_solved("linalg_cholesky", info, NOT_POSITIVE)
    return into_exactly(out, factor)


def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False, out: Any = None) -> Any:
    """`cholesky` beside `info`, 0 or the order of the leading minor that is not positive."""
    found = ops.linalg_cholesky_ex(A, upper)
    if check_errors:
        require_solved("linalg_cholesky_ex", found[1], NOT_POSITIVE)
    return all_into(out, found, results.linalg_cholesky_ex)


def qr(A: Tensor, mode: str = "reduced", *, out: Any = None) -> Any:
    """Q with orthonormal columns and an upper triangular R with A = Q R.

    Shapes: A (*B, M, N) -> Q (*B, M, K), R (*B, K, N); K = min(M, N), or M for mode "complete"; Q is empty
    for mode "r"
    """
    if mode not in ("reduced", "complete", "r"):
        raise OptionError(f"[linalg_qr] mode is {mode!r}; expected one of 'reduced', 'complete', 'r'")
    found = ops.linalg_qr(A, mode == "complete")
    if mode == "r":
        found = (full((0,), 0, A.dtype, A.device), found[1])
    return all_into(out, found, results.linalg_qr)


def eig(A: Tensor, *, out: Any = None) -> Any:
    """Eigenvalues and eigenvectors of square matrices, complex.

    Shapes: A (*B, N, N) -> eigenvalues (*B, N), eigenvectors (*B, N, N)
    Errors: LinAlgError for infinities and NaN.
    """
    return into(out, results.linalg_eig(*_eigen(A)))


def eigvals(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Eigenvalues of square matrices, complex.

    Shapes: A (*B, N, N) -> (*B, N)
    """
    return into(out, _eigen(A)[0])


def _eigen(A: Tensor) -> tuple:
    if (
        A.dtype.differentiable
        and not host_read(reduce.all(isfinite(all_examples(A))), "linalg_eig").numbers()[0]
    ):
        raise LinAlgError(
            f"[linalg_eig] {describe(A)}: input tensor should not contain infs or NaNs; clean it"
        )
    return spectra.linalg_eig(A)


def eigh(A: Tensor, UPLO: str = "L", *, out: Any = None) -> Any:
    """Eigenvalues in ascending order and eigenvectors of Hermitian matrices, read from one triangle.

    Shapes: A (*B, N, N) -> eigenvalues (*B, N), eigenvectors (*B, N, N)
    """
    return all_into(out, spectra.linalg_eigh(A, _is_upper(UPLO)), results.linalg_eigh)


def eigvalsh(A: Tensor, UPLO: str = "L", *, out: Tensor | None = None) -> Tensor:
    """Eigenvalues of Hermitian matrices in ascending order.

    Shapes: A (*B, N, N) -> (*B, N)
    """
    return into_exactly(out, spectra.linalg_eigh(A, _is_upper(UPLO))[0])


def _is_upper(triangle: str) -> bool:
    if triangle.upper() not in ("L", "U"):
        raise OptionError(f"[linalg_eigh] UPLO is {triangle!r}; expected 'L' or 'U'")
    return triangle.upper() == "U"


def svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None, out: Any = None) -> Any:
    """Singular values in descending order, U and V^H, with A = U diag(S) V^H.

    Shapes: A (*B, M, N) -> U (*B, M, K), S (*B, min(M, N)), Vh (*B, K, N); K = min(M, N), or M and N for full
    matrices
    """
    _check_driver(driver, A)
    return all_into(out, spectra.linalg_svd(A, full_matrices), results.linalg_svd)


def svdvals(A: Tensor, *, driver: str | None = None, out: Tensor | None = None) -> Tensor:
    """Singular values in descending order.

    Shapes: A (*B, M, N) -> (*B, min(M, N))
    """
    _check_driver(driver, A)
    return into_exactly(out, spectra.linalg_svd(A, False)[1])


def _check_driver(driver: str | None, A: Tensor) -> None:
    if driver is not None and A.device.type != "cuda":
        raise OptionError(
            f"[linalg_svd] keyword argument `driver={driver}` is only supported on CUDA inputs; leave it out"
        )


def lu(A: Tensor, *, pivot: bool = True, out: Any = None) -> Any:
    """P, unit lower triangular L and upper triangular U with A = P L U.

    Shapes: A (*B, M, N) -> P (*B, M, M), L (*B, M, K), U (*B, K, N) with K = min(M, N)
    """
    packed, pivots, _ = _factored("linalg_lu", A, pivot)
    return all_into(out, (permutation(packed, pivots), *halves(packed)), results.linalg_lu)


def halves(packed: Tensor) -> tuple[Tensor, Tensor]:
    """L and U of both in one matrix."""
    return ops.unit_lower(packed), triu(rows(packed, 0, min(packed.array.shape[-2:])))


def permutation(packed: Tensor, pivots: Tensor) -> Tensor:
    """The matrix P of the exchanged rows, with A = P L U."""
    height = packed.array.shape[-2]
    order = ops.order_of_rows(pivots, height)
    shape = (*order.array.shape[:-1], height, height)
    eye = identity_like(packed, height, height).expand(shape)
    return ops.put_rows(eye, order)


def lu_factor(A: Tensor, *, pivot: bool = True, out: Any = None) -> Any:
    """L and U in one matrix, and the rows that were exchanged, counted from 1.

    Shapes: A (*B, M, N) -> LU (*B, M, N), pivots (*B, min(M, N))
    Errors: LinAlgError if a square A is singular.
    """
    packed, pivots, info = _factored("linalg_lu_factor", A, pivot)
    require_solved("linalg_lu_factor", info, ZERO_PIVOT)
    return all_into(out, (packed, pivots), results.linalg_lu_factor)


def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False, out: Any = None) -> Any:
    """`lu_factor` beside `info`, 0 or the place of the first zero on U's diagonal."""
    found = _factored("linalg_lu_factor_ex", A, pivot)
    if check_errors:
        require_solved("linalg_lu_factor_ex", found[2], ZERO_PIVOT)
    return all_into(out, found, results.linalg_lu_factor_ex)


def _factored(op: str, A: Tensor, pivot: bool) -> tuple:
    if not pivot:
        raise OptionError(f"[{op}] pivot=False: LU without pivoting is not implemented; leave it out")
    return ops.linalg_lu_factor_ex(A)


@one_op(name="linalg_householder_product")
def householder_product(A: Tensor, tau: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The first columns of the product of Householder's reflections, whose vectors stand below A's diagonal.

    Shapes: A (*B, M, N), tau (*B, K), K <= N <= M -> (*B, M, N)
    """
    _check_reflections(A, tau)
    start = constant_of(A, identity_like(A, *A.array.shape[-2:]))
    return into(out, in_columns(reflected(A, tau, start)))


def constant_of(A: Tensor, value: Tensor) -> Tensor:
    """`value` in A's shape, with a gradient for A, which is 0."""
    nowhere = full((), False, bool_, A.device)
    return where(nowhere, A, value)  # type: ignore[return-value]


def _check_reflections(A: Tensor, tau: Tensor) -> None:
    shape, factors = tuple(A.array.shape), tuple(tau.array.shape)
    if len(shape) < 2 or shape[-2] < shape[-1]:
        raise ShapeError(
            f"[linalg_householder_product] {describe(A)}: input.shape[-2] must be greater than or equal to "
            "input.shape[-1]; give as many rows"
        )
    if len(factors) != len(shape) - 1 or factors[:-1] != shape[:-2] or factors[-1] > shape[-1]:
        raise ShapeError(
            f"[linalg_householder_product] {describe(A)} and tau {describe(tau)}: tau needs A's batch dims "
            "and at most one factor for each column"
        )
    if A.dtype is not tau.dtype:
        raise ShapeError(
            f"[linalg_householder_product] tau dtype {tau.dtype.name} does not match input dtype "
            f"{A.dtype.name}; convert one with .to(dtype)"
        )


def reflected(A: Tensor, tau: Tensor, made: Tensor, adjoint_of: bool = False) -> Tensor:
    """Q times `made`, Q the product of all reflections; or the adjoint of Q times it."""
    vectors = tril(A, -1) + identity_like(A, *A.array.shape[-2:])
    factors = conjugate(tau) if adjoint_of else tau
    count = tau.array.shape[-1]
    for k in range(count) if adjoint_of else reversed(range(count)):
        vector = columns(vectors, k, k + 1)
        factor = factors[..., k : k + 1, None]
        made = made - vector * factor @ (adjoint(vector) @ made)
    return made
