"""Matrices taken apart: factors, eigenvalues and singular values, of every matrix in the last two dims."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import AutogradError
from devtensor.core.op import Index, Plain, primitive
from devtensor.core.rules import index64
from devtensor.ops.create import full
from devtensor.ops.examples import case
from devtensor.ops.gathering import scatter
from devtensor.ops.join import cat
from devtensor.ops.linalg import matmul
from devtensor.ops.matrices import (
    adjoint,
    any_matrices,
    columns,
    counted,
    field,
    identity_like,
    matrices,
    matrix_of,
    rows,
    smallest_squares,
    square_of,
    with_diagonal,
)
from devtensor.ops.shape import as_shape, diagonal, expand
from devtensor.ops.solvers import linalg_solve_triangular
from devtensor.ops.triangles import tril, triu


def back_substituted(factor: Any, x: Any, upper: bool = True, unit: bool = False) -> Any:
    """factor^-1 x for a triangular factor."""
    return linalg_solve_triangular(factor, x, upper, unit)


def _cholesky_shapes(op: str, inputs: Any, params: tuple) -> list:
    batch, _ = square_of(op, inputs[0])
    return [inputs[0].shape, batch]


@matrices(dtype=(field, counted), shape=_cholesky_shapes)
def linalg_cholesky_ex(A, upper: Plain = False):
    """The lower triangular L with A = L L^H, read from the lower triangle; or if `upper`, L^H from the upper
    one. And the order of the leading minor that is not positive, or 0.

    Shapes: A (*B, N, N) -> L (*B, N, N), info (*B)
    """


def _cholesky_gradient(gs: Any, outs: Any, upper: bool) -> Any:
    """Source: Murray, Differentiation of the Cholesky decomposition (2016), made symmetric."""
    factor, g = (adjoint(outs[0]), adjoint(gs[0])) if upper else (outs[0], gs[0])
    inner = tril(matmul(adjoint(factor), g))
    inner = (inner + adjoint(tril(inner, -1))) * 0.5
    left = back_substituted(adjoint(factor), inner)
    return adjoint(back_substituted(adjoint(factor), adjoint(left)))


linalg_cholesky_ex.vjp(A=_cholesky_gradient)


def _lu_shapes(op: str, inputs: Any, params: tuple) -> list:
    batch, rows, columns = matrix_of(op, inputs[0])
    return [inputs[0].shape, (*batch, min(rows, columns)), batch]


@matrices(dtype=(field, counted, counted), shape=_lu_shapes)
def linalg_lu_factor_ex(A):
    """L (its ones left out) below U in one matrix, with P A = L U; the rows that were exchanged, one after
    the other and counted from 1; and the place of the first zero on U's diagonal, or 0.

    Shapes: A (*B, M, N) -> LU (*B, M, N), pivots (*B, K), info (*B), K the smaller of M and N
    """


def unit_lower(packed: Any) -> Any:
    """L of a packed L and U."""
    height, width = packed.array.shape[-2:]
    size = min(height, width)
    return tril(columns(packed, 0, size), -1) + identity_like(packed, height, size)


def order_of_rows(pivots: Any, height: int) -> Any:
    """For each row of L U, which row of the factored matrix it is."""
    return rows_exchanged(pivots, height)


def put_rows(x: Any, order: Any) -> Any:
    """Rows moved to the places that `order` names: what P^T does."""
    places = expand(as_shape(order, (*order.array.shape, 1)), tuple(x.array.shape))
    return scatter(full(tuple(x.array.shape), 0, x.kind.dtype, x.kind.device), places, x, x.array.ndim - 2)


def _lu_gradient(gs: Any, outs: Any) -> Any:
    """The rule for a square matrix; what sticks out of it to the right or below follows from L and U."""
    packed, pivots = outs[0], outs[1]
    height, width = packed.array.shape[-2:]
    size = min(height, width)
    lower, upper = unit_lower(packed), triu(rows(packed, 0, size))
    g_lower, g_upper = tril(columns(gs[0], 0, size), -1), triu(rows(gs[0], 0, size))
    corner, other = adjoint(rows(lower, 0, size)), adjoint(columns(upper, 0, size))
    right, below = columns(g_upper, size, None), rows(g_lower, size, None)
    strict = matmul(corner, rows(g_lower, 0, size)) - matmul(right, adjoint(columns(upper, size, None)))
    rest = matmul(columns(g_upper, 0, size), other) - matmul(adjoint(rows(lower, size, None)), below)
    middle = back_substituted(corner, tril(strict, -1) + triu(rest), unit=True)
    found = _divided(middle, columns(upper, 0, size))
    if width > size:
        found = cat(found, back_substituted(corner, right, unit=True), dim=found.array.ndim - 1)
    if height > size:
        found = cat(found, _divided(below, columns(upper, 0, size)), dim=found.array.ndim - 2)
    return put_rows(found, order_of_rows(pivots, height))


def _divided(x: Any, upper: Any) -> Any:
    """x times the inverse of the adjoint of an upper triangular matrix."""
    return adjoint(back_substituted(upper, adjoint(x)))


linalg_lu_factor_ex.vjp(A=_lu_gradient)


def _ordered(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    return (*inputs[0].shape[:-1], params[0])


@primitive(dtype=index64, shape=_ordered)
def rows_exchanged(pivots: Index, rows: Plain):
    """The order of rows after exchanging each in turn with the one its pivot names, counted from 1.

    Shapes: pivots (*B, K) -> (*B, rows)
    """


rows_exchanged.vjp(None)


@rows_exchanged.examples
def _(make):
    yield case(make(3, low=3, high=5, dtype="int64"), rows=4)
    yield case(make(2, 3, low=3, high=6, dtype="int64"), rows=5)
    yield case(make(0, dtype="int64"), rows=2)


def _qr_shapes(op: str, inputs: Any, params: tuple) -> list:
    batch, rows, columns = matrix_of(op, inputs[0])
    inner = rows if params[0] else min(rows, columns)
    return [(*batch, rows, inner), (*batch, inner, columns)]


@matrices(dtype=(field, field), shape=_qr_shapes)
def linalg_qr(A, complete: Plain = False):
    """Q with orthonormal columns and an upper triangular R with A = Q R; if `complete`, Q is square.

    Shapes: A (*B, M, N) -> Q (*B, M, K), R (*B, K, N), K the smaller of M and N, or M
    """


def _qr_gradient(gs: Any, outs: Any, complete: bool) -> Any:
    """Source: Seeger et al., Auto-Differentiating Linear Algebra (2017); a wide matrix by its square part."""
    (orthogonal, triangle), (g_q, g_r) = outs, gs
    height, width = orthogonal.array.shape[-2], triangle.array.shape[-1]
    if complete and height > width:
        raise AutogradError(
            "[linalg_qr] The QR decomposition is not differentiable when mode='complete' and nrows > ncols; "
            "use mode='reduced'"
        )
    if width <= height:
        return _tall_qr_gradient(orthogonal, triangle, g_q, g_r)
    square, rest = columns(triangle, 0, height), columns(triangle, height, None)
    g_rest = columns(g_r, height, None)
    g_q = g_q + matmul(orthogonal, matmul(rest, adjoint(g_rest)))
    first = _tall_qr_gradient(orthogonal, square, g_q, columns(g_r, 0, height))
    return cat(first, matmul(orthogonal, g_rest), dim=first.array.ndim - 1)


def _tall_qr_gradient(orthogonal: Any, triangle: Any, g_q: Any, g_r: Any) -> Any:
    inner = triu(matmul(g_r, adjoint(triangle)) - matmul(adjoint(orthogonal), g_q))
    whole = inner + adjoint(inner)
    whole = with_diagonal(whole, diagonal(whole, 0, -2, -1) * 0.5)
    return _divided(g_q + matmul(orthogonal, whole), triangle)


linalg_qr.vjp(A=_qr_gradient)


def _geqrf_shapes(op: str, inputs: Any, params: tuple) -> list:
    batch, rows, columns = matrix_of(op, inputs[0])
    return [inputs[0].shape, (*batch, min(rows, columns))]


@matrices(dtype=(field, field), shape=_geqrf_shapes)
def geqrf(A):
    """R with the vectors of Householder's reflections below it, and the reflections' factors.

    Shapes: A (*B, M, N) -> a (*B, M, N), tau (*B, K), K the smaller of M and N
    """


geqrf.vjp(None)


@linalg_lu_factor_ex.examples
@linalg_qr.examples
@geqrf.examples
def _(make):
    yield from any_matrices(make)


linalg_cholesky_ex.examples(smallest_squares)
