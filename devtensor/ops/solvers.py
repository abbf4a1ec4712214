"""Linear equations: solutions, inverses and determinants, of every matrix in the last two dims."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import ShapeError
from devtensor.core.op import OWN, Plain, composite
from devtensor.core.placement import IN_ROWS, MATRICES
from devtensor.core.rules import only_floating
from devtensor.core.spec import broadcast_shapes
from devtensor.ops.examples import case, fails
from devtensor.ops.join import cat
from devtensor.ops.linalg import matmul
from devtensor.ops.matrices import (
    adjoint,
    columns,
    counted,
    field,
    identity_like,
    matrices,
    matrix_of,
    rows,
    same_square,
    square_of,
)
from devtensor.ops.reduce import sum_to
from devtensor.ops.triangles import tril, triu


def equations(op: str, left: Any, right: Any) -> tuple[int, ...]:
    """The batch dims that the matrices and the right-hand sides share.

    Errors: ShapeError if the rows of the two differ.
    """
    batch, size = square_of(op, left)
    other, height, _ = matrix_of(op, right)
    if height != size:
        raise ShapeError(
            f"[{op}] Incompatible shapes of A and B for the equation AX = B ({left.shape} and "
            f"{right.shape}); B needs as many rows as A"
        )
    return broadcast_shapes(op, [batch, other])


def _solve_shapes(op: str, inputs: Any, params: tuple) -> list:
    batch = equations(op, *inputs)
    return [(*batch, *inputs[1].shape[-2:]), inputs[0].shape[:-2]]


@matrices(dtype=(field, counted), shape=_solve_shapes)
def linalg_solve_ex(A, B):
    """X with A X = B; and the place of the first zero pivot of each A, whose X is NaN, or 0.

    Shapes: A (*B, N, N), B (*B, N, K) -> X (*B, N, K), info (*B)
    """


def _solve_gradients(gs: Any, A: Any, outs: Any, like: Any) -> tuple:
    g_right = linalg_solve_ex(adjoint(A), gs[0])[0]
    g_left = -matmul(g_right, adjoint(outs[0]))
    return sum_to(g_left, like.A.shape), sum_to(g_right, like.B.shape)


# At once: both need the same solution of the adjoint equation.
linalg_solve_ex.joint_vjp(_solve_gradients)


@linalg_solve_ex.examples
def _(make):
    yield case(make(3, 3, distinct=True), make(3, 2))
    yield case(make(2, 3, 3, distinct=True), make(3, 1))
    yield case(make(2, 2, layout="transposed", distinct=True), make(4, 2, 2))
    yield case(make(0, 0), make(0, 2))
    yield case(make(2, 2, distinct=True), make(2, 0))
    yield fails(make(2, 3), make(2, 1), error="batches of square matrices")
    yield fails(make(3, 3), make(2, 1), error="Incompatible shapes")


def _inverse_shapes(op: str, inputs: Any, params: tuple) -> list:
    batch, _ = square_of(op, inputs[0])
    return [inputs[0].shape, batch]


@composite(
    dtype=(field, counted), shape=_inverse_shapes, complex=OWN, eager=True, amp="float32", placement=MATRICES
)
def linalg_inv_ex(A):
    """The inverse; and the place of the first zero pivot of each A, whose inverse is NaN, or 0.

    Shapes: A (*B, N, N) -> inverse (*B, N, N), info (*B)
    """
    size = A.array.shape[-1]
    return linalg_solve_ex(A, identity_like(A, size, size))


def _inverse_gradients(gs: Any, outs: Any) -> tuple[Any]:
    turned = adjoint(outs[0])
    return (-matmul(turned, matmul(gs[0], turned)),)


# The inverse alone is kept, so that what was inverted may be written over.
linalg_inv_ex.joint_vjp(_inverse_gradients)


@linalg_inv_ex.examples
def _(make):
    yield case(make(3, 3, distinct=True))
    yield case(make(2, 3, 3, distinct=True))
    yield case(make(2, 2, layout="transposed", distinct=True))
    yield case(make(0, 0))
    yield fails(make(2, 3), error="batches of square matrices")


def _triangular_shape(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    return (*equations(op, *inputs), *inputs[1].shape[-2:])


@matrices(dtype=field, shape=_triangular_shape)
def linalg_solve_triangular(A, B, upper: Plain, unitriangular: Plain = False):
    """X with T X = B, T the upper or the lower triangle of A, its diagonal taken as 1 if `unitriangular`.

    Shapes: A (*B, N, N), B (*B, N, K) -> (*B, N, K)
    """


def _triangular_gradients(
    g: Any, A: Any, out: Any, like: Any, upper: bool, unitriangular: bool
) -> tuple[Any, Any]:
    g_right = linalg_solve_triangular(adjoint(A), g, not upper, unitriangular)
    g_left = -matmul(g_right, adjoint(out))
    inside = 1 if unitriangular else 0
    g_left = triu(g_left, inside) if upper else tril(g_left, -inside)
    return sum_to(g_left, like.A.shape), sum_to(g_right, like.B.shape)


# At once: both need the same solution of the adjoint equation.
linalg_solve_triangular.joint_vjp(_triangular_gradients)


@linalg_solve_triangular.examples
def _(make):
    for upper in (True, False):
        yield case(make(3, 3, apart=0.5), make(3, 2), upper=upper)
        yield case(make(2, 3, 3), make(3, 1), upper=upper, unitriangular=True)
    yield case(make(3, 3, apart=0.5, layout="transposed"), make(2, 3, 2), upper=True)
    yield case(make(0, 0), make(0, 2), upper=False)
    yield fails(make(3, 3), make(2, 1), upper=True, error="Incompatible shapes")


def _factored_shape(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    return (*equations(op, inputs[1], inputs[0]), *inputs[0].shape[-2:])


@composite(dtype=field, shape=_factored_shape, eager=True, complex=OWN, amp="float32", placement=MATRICES)
def cholesky_solve(input, input2, upper: Plain = False):
    """X with A X = input for the factor `input2` of A, its upper one if `upper`.

    Shapes: input (*B, N, K), input2 (*B, N, N) -> (*B, N, K)
    """
    lower = adjoint(input2) if upper else input2
    half = linalg_solve_triangular(lower, input, False)
    return linalg_solve_triangular(adjoint(lower), half, True)


def _factored_gradients(g: Any, input2: Any, out: Any, like: Any, upper: bool) -> tuple[Any, Any]:
    """As in PyTorch, the factor's other triangle gets what A, which is symmetric, hands to both."""
    g_right = cholesky_solve(g, input2, upper)
    common = matmul(g_right, adjoint(out))
    common = common + adjoint(common)
    g_factor = -matmul(input2, common) if upper else -matmul(common, input2)
    return sum_to(g_right, like.input.shape), sum_to(g_factor, like.input2.shape)


# At once: both need the same solution of the equation for the gradient.
cholesky_solve.joint_vjp(_factored_gradients)


@cholesky_solve.examples
def _(make):
    for upper in (True, False):
        # One by one, for where the gradient is all there is: larger factors' other triangle is not read.
        yield case(make(1, 2), make(1, 1, low=0.5, high=2), upper=upper)
        yield case(make(3, 1, 2), make(1, 1, low=0.5, high=2), upper=upper)
    yield case(make(0, 2), make(0, 0))
    yield fails(make(2, 1), make(3, 3), error="Incompatible shapes")


@matrices(dtype=only_floating, shape=same_square, placement=IN_ROWS)
def matrix_exp(A):
    """The exponential of a square matrix: 1 + A + A A / 2 + A A A / 6 + ...

    Shapes: A (*B, N, N) -> (*B, N, N)
    """


def _exp_gradient(g: Any, A: Any) -> Any:
    """The upper right part of the exponential of the adjoint beside `g`.

    Source: Al-Mohy and Higham, Computing the Frechet derivative of the matrix exponential (2009), eq. 1.2.
    """
    size, last = A.array.shape[-1], A.array.ndim - 1
    corner = adjoint(A)
    above = cat(corner, g, dim=last)
    below = cat(corner * 0, corner, dim=last)
    whole = matrix_exp(cat(above, below, dim=last - 1))
    return columns(rows(whole, 0, size), size, None)


matrix_exp.vjp(A=_exp_gradient)


@matrix_exp.examples
def _(make):
    yield case(make(3, 3, low=-1, high=1))
    yield case(make(2, 1, 1, low=-9, high=9))
    yield case(make(2, 2, low=-1, high=1, layout="transposed"))
    yield case(make(0, 0))
    yield fails(make(2, 3), error="batches of square matrices")
