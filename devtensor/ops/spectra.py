"""Eigenvalues and singular values, with their vectors, of every matrix in the last two dims."""

from __future__ import annotations

from functools import partial
from math import inf
from typing import Any

from devtensor.core.op import Plain
from devtensor.ops.compare import eq, where
from devtensor.ops.create import cast
from devtensor.ops.linalg import matmul
from devtensor.ops.matrices import (
    adjoint,
    any_matrices,
    columns,
    complex_field,
    field,
    matrices,
    matrix_of,
    real_field,
    rows,
    smallest_squares,
    square_of,
    with_diagonal,
)
from devtensor.ops.parts import as_real, conjugate, imag
from devtensor.ops.shape import as_shape, diagonal
from devtensor.ops.solvers import linalg_solve_ex


def _eigh_shapes(op: str, inputs: Any, params: tuple) -> list:
    batch, size = square_of(op, inputs[0])
    return [(*batch, size), inputs[0].shape]


def gaps(values: Any) -> Any:
    """Differences of all pairs, infinite for equal ones: such pairs have no direction of their own, and what
    a sound loss asks of them is 0."""
    shape = tuple(values.array.shape)
    gap = as_shape(values, (*shape[:-1], 1, shape[-1])) - as_shape(values, (*shape, 1))
    return where(eq(gap, 0), inf, gap)


@matrices(dtype=(real_field, field), shape=_eigh_shapes)
def linalg_eigh(A, upper: Plain = False):
    """Eigenvalues in ascending order, and orthonormal eigenvectors as columns, of symmetric or Hermitian
    matrices, read from the lower triangle, or the upper one.

    Shapes: A (*B, N, N) -> L (*B, N), Q (*B, N, N)
    """


def _eigh_gradient(gs: Any, outs: Any) -> Any:
    values, vectors = outs
    turned = matmul(adjoint(vectors), gs[1]) / gaps(values)
    turned = with_diagonal(turned, cast(gs[0], turned.kind.dtype))
    found = matmul(matmul(vectors, turned), adjoint(vectors))
    return (found + adjoint(found)) * 0.5


linalg_eigh.vjp(A=_eigh_gradient)


@matrices(dtype=(complex_field, complex_field), shape=_eigh_shapes)
def linalg_eig(A):
    """Eigenvalues, in no order, and eigenvectors of length 1 as columns; complex, whatever the matrix.

    Shapes: A (*B, N, N) -> L (*B, N), V (*B, N, N)
    """


def _eig_gradient(gs: Any, outs: Any, like: Any) -> Any:
    """Source: Boeddeker et al., On the Computation of Complex-valued Gradients (2017), eq. 4.77."""
    values, vectors = outs
    across = matmul(adjoint(vectors), gs[1])
    lengths = cast(as_real(diagonal(across, 0, -2, -1)), across.kind.dtype)
    shape = tuple(lengths.array.shape)
    products = matmul(adjoint(vectors), vectors) * as_shape(lengths, (*shape[:-1], 1, shape[-1]))
    turned = with_diagonal((across - products) / conjugate(gaps(values)), gs[0])
    found = linalg_solve_ex(adjoint(vectors), matmul(turned, adjoint(vectors)))[0]
    return found if like.A.dtype.is_complex else as_real(found)


linalg_eig.vjp(A=_eig_gradient)


def _svd_shapes(op: str, inputs: Any, params: tuple) -> list:
    batch, rows, columns = matrix_of(op, inputs[0])
    inner = min(rows, columns)
    left, right = (rows, columns) if params[0] else (inner, inner)
    return [(*batch, rows, left), (*batch, inner), (*batch, right, columns)]


@matrices(dtype=(field, real_field, field), shape=_svd_shapes)
def linalg_svd(A, full_matrices: Plain = True):
    """U, the singular values in descending order, and V^H, with A = U diag(S) V^H; if `full_matrices`, U and
    V^H are square.

    Shapes: A (*B, M, N) -> U (*B, M, K), S (*B, K), Vh (*B, K, N), K the smaller of M and N
    """


def _svd_gradient(gs: Any, outs: Any) -> Any:
    """The columns that full matrices add take no part; equal singular values add nothing.

    Source: Giles, Collected matrix derivative results (2008); for complex matrices the phase that U and V
    share is taken from U.
    """
    inner = outs[1].array.shape[-1]
    left, right = columns(outs[0], 0, inner), adjoint(rows(outs[2], 0, inner))
    g_left, g_right = columns(gs[0], 0, inner), adjoint(rows(gs[2], 0, inner))
    values = cast(where(eq(outs[1], 0), inf, outs[1]), left.kind.dtype)
    shape = tuple(values.array.shape)
    across = as_shape(values, (*shape[:-1], 1, shape[-1]))
    along, down = as_shape(outs[1], (*shape[:-1], 1, shape[-1])), as_shape(outs[1], (*shape, 1))
    gap = gaps(outs[1] * outs[1])
    by_left, by_right = matmul(adjoint(left), g_left), matmul(adjoint(right), g_right)
    middle = (by_left - adjoint(by_left)) / gap * along + down * ((by_right - adjoint(by_right)) / gap)
    middle = with_diagonal(middle, cast(gs[1], left.kind.dtype) + _phase(by_left, values))
    found = matmul(matmul(left, middle), adjoint(right))
    height, width = left.array.shape[-2], right.array.shape[-2]
    if height > inner:
        found = found + matmul((g_left - matmul(left, by_left)) / across, adjoint(right))
    if width > inner:
        found = found + matmul(left, adjoint((g_right - matmul(right, by_right)) / across))
    return found


def _phase(by_left: Any, values: Any) -> Any:
    """What turning a column of U, and that of V with it, adds: nothing for real matrices."""
    if not by_left.kind.dtype.is_complex:
        return 0
    return imag(diagonal(by_left, 0, -2, -1)) * 1j / values


linalg_svd.vjp(A=_svd_gradient)


# Complex factors are defined up to a phase of their columns, which gradients by differences do not leave out:
# examples of them are real.
@linalg_svd.examples
def _(make):
    for example in any_matrices(partial(make, dtype="float64")):
        yield example._replace(params={"full_matrices": False})


for _op in (linalg_eigh, linalg_eig):
    _op.examples(smallest_squares)
