"""Equations, inverses and pseudoinverses in the spellings of torch.linalg."""

from __future__ import annotations

from math import prod
from typing import Any

from devtensor.core.errors import DTypeError, OptionError, ShapeError
from devtensor.core.precision import one_op
from devtensor.core.spec import broadcast_shapes
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.formats import in_columns
from devtensor.functions.out import into, into_exactly
from devtensor.linalg import results
from devtensor.linalg.results import NO_INVERSE, SINGULAR, all_into, require_solved
from devtensor.ops import decompositions, solvers
from devtensor.ops.gathering import gather
from devtensor.ops.linalg import transposed
from devtensor.ops.matrices import adjoint
from devtensor.ops.shape import as_shape, expand


@one_op(name="linalg_inv")
def inv(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse.

    Shapes: A (*B, N, N) -> (*B, N, N)
    Errors: LinAlgError if A is singular.
    """
    inverse, info = inv_ex(A)
    require_solved("linalg_inv", info, NO_INVERSE)
    return into_exactly(out, inverse)


@one_op(name="linalg_inv_ex")
def inv_ex(A: Tensor, *, check_errors: bool = False, out: Any = None) -> Any:
    """`inv` beside `info`, 0 or the place of the first zero pivot."""
    check_square("linalg_inv", A)
    found = solvers.linalg_inv_ex(A)
    if check_errors:
        require_solved("linalg_inv_ex", found[1], NO_INVERSE)
    return all_into(out, found, results.linalg_inv_ex)


def check_square(op: str, A: Tensor) -> None:
    """Refuse what is no batch of square matrices.

    Errors: ShapeError that names the shape.
    """
    shape = tuple(A.array.shape)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ShapeError(f"[{op}] {describe(A)}: A must be batches of square matrices; pad or cut it")


@one_op(name="linalg_solve")
def solve(A: Tensor, B: Tensor, *, left: bool = True, out: Tensor | None = None) -> Tensor:
    """X with A X = B, or with X A = B if not `left`; B may be one vector for each matrix.

    Shapes: A (*B, N, N), B (*B, N, K) or (*B, N) -> as B
    Errors: LinAlgError if A is singular.
    """
    found, info = solve_ex(A, B, left=left)
    require_solved("linalg_solve", info, SINGULAR)
    return into_exactly(out, found)


def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False, out: Any = None) -> Any:
    """`solve` beside `info`, 0 or the place of the first zero pivot."""
    check_square("linalg_solve", A)
    vector = is_vector(A, B)
    if vector and not left:
        raise ShapeError(
            f"[linalg_solve] {describe(B)}: Vector broadcasting of the left hand side is not supported for "
            "left=False; add a dim"
        )
    columns = as_shape(B, (*B.array.shape, 1)) if vector else B
    if left:
        found, info = solvers.linalg_solve_ex(A, columns)
    else:
        _check_columns("linalg_solve", A, B)
        found, info = solvers.linalg_solve_ex(transposed(A), transposed(columns))
        found = transposed(found)
    if check_errors:
        require_solved("linalg_solve_ex", info, SINGULAR)
    made = in_columns(found[..., 0]) if vector else found
    return all_into(out, (made, info), results.linalg_solve_ex)


def is_vector(A: Tensor, B: Tensor) -> bool:
    """Whether B holds a vector for each matrix: one dim less, and as many elements as A has rows."""
    return B.array.ndim == 1 or (
        A.array.ndim - 1 == B.array.ndim and tuple(B.array.shape) == tuple(A.array.shape[:-1])
    )


def _check_columns(op: str, A: Tensor, B: Tensor) -> None:
    if B.array.ndim < 2 or B.array.shape[-1] != A.array.shape[-1]:
        raise ShapeError(
            f"[{op}] Incompatible shapes of A and B for the equation XA = B: {describe(A)}, {describe(B)}; B "
            "needs as many columns as A"
        )


def solve_triangular(
    A: Tensor,
    B: Tensor,
    *,
    upper: bool,
    left: bool = True,
    unitriangular: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """X with T X = B, or X T = B if not `left`, T the upper or lower triangle of A.

    Shapes: A (*B, N, N), B (*B, N, K) -> (*B, N, K)
    """
    if left:
        return into_exactly(out, solvers.linalg_solve_triangular(A, B, upper, unitriangular))
    check_square("linalg_solve_triangular", A)
    _check_columns("linalg_solve_triangular", A, B)
    found = solvers.linalg_solve_triangular(transposed(A), transposed(B), not upper, unitriangular)
    return into_exactly(out, in_columns(transposed(found)))


def lu_solve(
    LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """X with A X = B for an A that `lu_factor` took apart; X A = B if not `left`; with A^H if `adjoint`.

    Shapes: LU (*B, N, N), pivots (*B, N), B (*B, N, K) -> (*B, N, K)
    """
    check_square("linalg_lu_solve", LU)
    if pivots.dtype.name != "int32":
        raise DTypeError(
            f"[linalg_lu_solve] pivots are {describe(pivots)}; pivots should be a Tensor of scalar type "
            "int32; convert with .int()"
        )
    if tuple(pivots.array.shape) != tuple(LU.array.shape[:-1]):
        raise ShapeError(
            f"[linalg_lu_solve] pivots {describe(pivots)} for LU {describe(LU)}: Number of pivots per batch "
            "should be same as the dimension of the matrix, and batches should match"
        )
    if left:
        return into_exactly(out, _substituted(LU, pivots, B, adjoint))
    _check_columns("linalg_lu_solve", LU, B)
    return into_exactly(out, _turned(_substituted(LU, pivots, _turned(B), not adjoint)))


def _turned(x: Tensor) -> Tensor:
    return adjoint(x)


def _substituted(packed: Tensor, pivots: Tensor, right: Tensor, turned: bool) -> Tensor:
    """Forward and backward substitution, rows exchanged before, or for the adjoint after."""
    order = decompositions.order_of_rows(pivots, packed.array.shape[-1])
    batch = broadcast_shapes(
        "linalg_lu_solve", [tuple(packed.array.shape[:-2]), tuple(right.array.shape[:-2])]
    )
    right = expand(right, (*batch, *right.array.shape[-2:]))
    order = expand(order, (*batch, order.array.shape[-1]))
    triangular = solvers.linalg_solve_triangular
    if turned:
        back = adjoint(packed)
        found = triangular(back, triangular(back, right, False, False), True, True)
        return in_columns(decompositions.put_rows(found, order))
    places = expand(as_shape(order, (*order.array.shape, 1)), tuple(right.array.shape))
    moved = gather(right, places, right.array.ndim - 2)
    return triangular(packed, triangular(packed, moved, False, True), True, False)


@one_op(name="linalg_tensorinv")
def tensorinv(A: Tensor, ind: int = 2, *, out: Tensor | None = None) -> Tensor:
    """The inverse of the map from the last dims of A to its first `ind`.

    Shapes: A (*I, *J), I of `ind` dims and as many elements as J -> (*J, *I)
    """
    if ind <= 0:
        raise OptionError(f"[linalg_tensorinv] ind is {ind}; expected a strictly positive integer")
    if A.array.ndim < ind:
        raise ShapeError(f"[linalg_tensorinv] {describe(A)} has no {ind} first dims; give fewer")
    first, last = tuple(A.array.shape[:ind]), tuple(A.array.shape[ind:])
    if prod(first) != prod(last):
        raise ShapeError(
            f"[linalg_tensorinv] {describe(A)} with ind={ind}: Expected self to satisfy the requirement "
            "prod(self.shape[ind:]) == prod(self.shape[:ind])"
        )
    return into(out, as_shape(inv(as_shape(A, (prod(first), prod(last)))), (*last, *first)))


@one_op(name="linalg_tensorsolve")
def tensorsolve(A: Tensor, B: Tensor, dims: Any = None, *, out: Tensor | None = None) -> Tensor:
    """X with tensordot(A, X, X.ndim) = B.

    Shapes: A (*B, *X) with as many elements in B as in X, B (*B) -> (*X); `dims` of the A move to
    its end first
    """
    if dims is not None:
        taken = [d % A.array.ndim for d in ((dims,) if isinstance(dims, int) else dims)]
        A = A.permute(*[d for d in range(A.array.ndim) if d not in taken], *taken)
    wanted = tuple(A.array.shape[B.array.ndim :])
    if prod(wanted) != B.shape.numel():
        raise ShapeError(
            f"[linalg_tensorsolve] {describe(A)}, {describe(B)}: Expected self to satisfy the "
            "requirement prod(self.shape[B.ndim:]) == prod(self.shape[:B.ndim])"
        )
    size = B.shape.numel()
    return into(out, as_shape(solve(as_shape(A, (size, size)), as_shape(B, (size,))), wanted))
