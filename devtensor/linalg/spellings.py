"""What `devtensor` itself and Tensor offer of linear algebra, under the names that are older than
torch.linalg."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.callers import warn
from devtensor.core.dtype import int32
from devtensor.core.errors import DTypeError, OptionError, ShapeError
from devtensor.core.precision import one_op
from devtensor.core.refusal import refused
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.formats import in_columns
from devtensor.functions.out import into, into_exactly
from devtensor.linalg import factors, measures, products, results, solutions
from devtensor.linalg.factors import halves
from devtensor.linalg.leastsquares import pinv
from devtensor.linalg.lowrank import pca_lowrank, svd_lowrank
from devtensor.linalg.products import matrix_exp, matrix_power, multi_dot
from devtensor.linalg.results import all_into
from devtensor.linalg.solutions import check_square, inv
from devtensor.ops import solvers
from devtensor.ops.compare import eq, where
from devtensor.ops.create import full
from devtensor.ops.linalg import transposed
from devtensor.ops.matrices import adjoint, identity_like
from devtensor.ops.solvers import cholesky_solve

__all__ = [
    "chain_matmul",
    "cholesky",
    "cholesky_inverse",
    "cholesky_solve",
    "det",
    "eig",
    "inverse",
    "logdet",
    "lstsq",
    "lu",
    "lu_solve",
    "lu_unpack",
    "matrix_exp",
    "matrix_power",
    "matrix_rank",
    "pca_lowrank",
    "pinverse",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svd_lowrank",
    "symeig",
    "triangular_solve",
    "vander",
]


def inverse(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse: `linalg.inv`."""
    return inv(input, out=out)


@one_op()
def pinverse(input: Tensor, rcond: Any = 1e-15) -> Tensor:
    """The pseudoinverse: `linalg.pinv`."""
    return pinv(input, rcond)


def det(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The determinant: `linalg.det`."""
    return measures.det(input, out=out)


def slogdet(input: Tensor, *, out: Any = None) -> Any:
    """The determinant's sign and the logarithm of its size: `linalg.slogdet`."""
    return all_into(out, tuple(measures.slogdet(input)), results.slogdet)


def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant: NaN where it is negative.

    Shapes: input (*B, N, N) -> (*B)
    """
    sign, logarithm = measures.slogdet(input)
    if input.dtype.is_complex:
        return logarithm + sign.log()
    return where(eq(sign, -1), float("nan"), logarithm)  # type: ignore[return-value]


def svd(input: Tensor, some: bool = True, compute_uv: bool = True, *, out: Any = None) -> Any:
    """U, S and V (not V^H) with input = U diag(S) V^H; U and V square unless `some`, zero unless asked for.

    Shapes: input (*B, M, N) -> U (*B, M, K), S (*B, K), V (*B, N, K) with K = min(M, N)
    """
    if compute_uv:
        left, values, right = factors.svd(input, not some)
        return all_into(out, (left, values, adjoint(right)), results.svd)
    values = factors.svdvals(input)
    batch, (height, width) = tuple(input.array.shape[:-2]), input.array.shape[-2:]
    left, right = (full((*batch, n, n), 0, input.dtype, input.device) for n in (height, width))
    return all_into(out, (left, values, right), results.svd)


def qr(input: Tensor, some: bool = True, *, out: Any = None) -> Any:
    """Q and R with input = Q R: `linalg.qr`, of mode "complete" unless `some`."""
    return all_into(out, tuple(factors.qr(input, "reduced" if some else "complete")), results.qr)


def cholesky(input: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The triangular factor of positive definite matrices: `linalg.cholesky`."""
    return factors.cholesky(input, upper=upper, out=out)


@one_op()
def cholesky_inverse(input: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The inverse of A, for its factor `input`.

    Shapes: input (*B, N, N) -> (*B, N, N)
    """
    check_square("cholesky_inverse", input)
    size = input.array.shape[-1]
    right = identity_like(input, size, size)
    return into(out, cholesky_solve(right, input, upper))


@one_op()
def triangular_solve(
    input: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False, *,
    out: Any = None,
) -> Any:  # fmt: skip
    """X with T X = input, T a triangle of A or if `transpose` its transpose; and a copy of A.

    Shapes: input (*B, N, K), A (*B, N, N) -> solution (*B, N, K), cloned_coefficient (*B, N, N)
    """
    for name, x in (("b", input), ("A", A)):
        if x.array.ndim < 2:
            raise ShapeError(
                f"[triangular_solve] Expected {name} to have at least 2 dimensions, got {describe(x)}"
            )
    left, triangle = (transposed(A), not upper) if transpose else (A, upper)
    found = solvers.linalg_solve_triangular(left, input, triangle, unitriangular)
    copied = in_columns(A.expand(*found.array.shape[:-2], *A.array.shape[-2:]).clone())
    return all_into(out, (found, copied), results.triangular_solve)


@one_op()
def lu(input: Tensor, pivot: bool = True, get_infos: bool = False, out: Any = None) -> Any:
    """L and U in one matrix, the rows exchanged, and if asked for where U's diagonal is 0."""
    if get_infos:
        return into(out, tuple(factors.lu_factor_ex(input, pivot=pivot)))
    return into(out, tuple(factors.lu_factor(input, pivot=pivot)))


@one_op()
def lu_solve(input: Tensor, LU_data: Tensor, LU_pivots: Tensor, *, out: Tensor | None = None) -> Tensor:
    """X with A X = input: `linalg.lu_solve`."""
    if input.array.ndim < 2 or LU_data.array.ndim < 2:
        raise ShapeError(
            f"[lu_solve] {describe(input)}, {describe(LU_data)}: both should have at least 2 dimensions; add "
            "one"
        )
    return solutions.lu_solve(LU_data, LU_pivots, input, out=out)


def lu_unpack(
    LU_data: Tensor,
    LU_pivots: Tensor,
    unpack_data: bool = True,
    unpack_pivots: bool = True,
    *,
    out: Any = None,
) -> Any:
    """P, L and U with A = P L U, of what `lu` gave; empty ones for what is not asked for.

    Shapes: LU_data (*B, M, N), LU_pivots (*B, K) -> P (*B, M, M), L (*B, M, K), U (*B, K, N)
    """
    if LU_data.array.ndim < 2:
        raise ShapeError(f"[lu_unpack] {describe(LU_data)}: LU_data must have at least 2 dimensions")
    if unpack_pivots and LU_pivots.dtype is not int32:
        raise DTypeError(
            "[lu_unpack] LU_pivots is expected to be a contiguous tensor of torch.int32 dtype, got "
            f"{describe(LU_pivots)}; convert it with .int()"
        )
    empty = full((0,), 0, LU_data.dtype, LU_data.device)
    order, lower, upper = empty, empty, empty
    if unpack_pivots:
        order = factors.permutation(LU_data, LU_pivots)
    if unpack_data:
        lower, upper = halves(LU_data)
    return all_into(out, (order, lower, upper), results.lu_unpack)


@one_op("lower")
def chain_matmul(*matrices: Tensor, out: Tensor | None = None) -> Tensor:
    """The product of matrices in a row: `linalg.multi_dot`."""
    warn("[chain_matmul] is deprecated; use linalg.multi_dot, which takes a list")
    listed = matrices[0] if len(matrices) == 1 and isinstance(matrices[0], (list, tuple)) else matrices
    if not listed:
        raise OptionError("[chain_matmul] Expected one or more matrices; got none")
    if any(matrix.array.ndim != 2 for matrix in listed):
        raise ShapeError(f"[chain_matmul] got {', '.join(map(describe, listed))}; expected 2D tensors")
    return into_exactly(out, listed[0] if len(listed) == 1 else multi_dot(listed))


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """Powers of each element, the highest first unless they are `increasing`.

    Shapes: x (M,) -> (M, N); N is M if not given
    """
    if x.array.ndim != 1:
        raise ShapeError(f"[vander] {describe(x)}: x must be a one-dimensional tensor")
    count = x.array.shape[0] if N is None else N
    if count < 0:
        raise OptionError(f"[vander] N must be non-negative, got {N}")
    made = products.powers(x, count)
    return made if increasing else made.flip(1)


REMOVED: dict[str, str] = {
    "eig": "linalg.eig()",
    "lstsq": "linalg.lstsq(), whose arguments come in the other order",
    "matrix_rank": "linalg.matrix_rank()",
    "solve": "linalg.solve(), whose arguments come in the other order",
    "symeig": "linalg.eigh()",
}
eig, lstsq, matrix_rank, solve, symeig = (
    refused(name, f"This function was deprecated since version 1.9 and is now removed; use {instead}")
    for name, instead in REMOVED.items()
)


def _method_lu(self: Tensor, pivot: bool = True, get_infos: bool = False) -> Any:
    """L and U in one matrix, and the rows exchanged: `devtensor.lu`."""
    return lu(self, pivot, get_infos)


METHODS: dict[str, Callable] = {
    f.__name__: f
    for f in (
        cholesky, cholesky_inverse, det, eig, inverse, logdet, lstsq, lu_solve,
        matrix_exp,
        matrix_power, pinverse, qr, slogdet, solve, svd, symeig, triangular_solve,
    )
} | {"lu": _method_lu}  # fmt: skip
