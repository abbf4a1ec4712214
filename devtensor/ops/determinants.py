"""Determinants and pseudoinverses: composites whose gradients need more care than their bodies'."""

from __future__ import annotations

from typing import Any

from devtensor.core.dtype import finfo, int64
from devtensor.core.op import OWN, Plain, Raw, composite
from devtensor.core.state import current, no_grad
from devtensor.ops.compare import eq, gt, le, where
from devtensor.ops.create import arange, cast
from devtensor.ops.decompositions import linalg_lu_factor_ex, order_of_rows, put_rows, unit_lower
from devtensor.ops.examples import case, fails
from devtensor.ops.extremes import maximum
from devtensor.ops.functions import log
from devtensor.ops.linalg import matmul
from devtensor.ops.matrices import (
    adjoint,
    field,
    identity_like,
    matrix_of,
    real_field,
    square_of,
    with_diagonal,
)
from devtensor.ops.parts import abs, conjugate, imag, sgn
from devtensor.ops.reduce import amax, any, prod, sum
from devtensor.ops.shape import as_shape, diagonal, expand
from devtensor.ops.solvers import linalg_solve_ex
from devtensor.ops.spectra import linalg_eigh, linalg_svd


def _batch(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    return square_of(op, inputs[0])[0]


def _parity(pivots: Any, like: Any) -> Any:
    """1 or -1 for an even or odd number of exchanged rows."""
    counted = arange(1, 1, pivots.array.shape[-1], int64, pivots.kind.device)
    return cast(prod(where(eq(pivots, counted), 1, -1), -1), like.kind.dtype)


@composite(dtype=field, shape=_batch, eager=True, complex=OWN, amp="float32")
def linalg_det(A):
    """The determinant.

    Shapes: A (*B, N, N) -> (*B)
    Source: the gradient of a singular matrix is that of one a rounding error away.
    """
    packed, pivots, _ = linalg_lu_factor_ex(A)
    return prod(diagonal(packed, 0, -2, -1), -1) * _parity(pivots, A)


def _each(values: Any) -> Any:
    """One number for each matrix."""
    return as_shape(values, (*values.array.shape, 1, 1))


def _det_gradient(g: Any, A: Any, out: Any) -> Any:
    """The cofactors: the determinant times the inverse, or by singular values where that is lost in rounding.

    The result is asked for so that a write into it is noticed, as in PyTorch.

    Only a second derivative needs the latter: the former's first is sound even a rounding error away.
    """
    size = A.array.shape[-1]
    if not size:
        return A * 0
    step, singular = _step_away(A, 1 / 3 if current().grad else 1.0)
    inverse = linalg_solve_ex(A + step, identity_like(A, size, size))[0]
    cofactors = _each(conjugate(linalg_det(A + step))) * adjoint(inverse)
    if current().grad:
        cofactors = where(_each(singular), _cofactors(A), cofactors)
    return _each(g) * cofactors


@no_grad()
def _step_away(A: Any, exponent: float) -> tuple[Any, Any]:
    """What to add to a singular matrix so that it can be inverted, 0 for others; and which are singular."""
    packed, pivots, _ = linalg_lu_factor_ex(A)
    values = diagonal(packed, 0, -2, -1)
    largest = amax(abs(values), -1, True)
    limit = where(eq(largest, 0), 1.0, largest) * (4 * finfo.of(A.kind.dtype).eps) ** exponent
    vanished = le(abs(values), limit)
    step = where(vanished, limit - values, 0.0)
    lower = unit_lower(packed) * as_shape(step, (*step.array.shape[:-1], 1, step.array.shape[-1]))
    return put_rows(lower, order_of_rows(pivots, packed.array.shape[-2])), any(vanished, -1)


def _cofactors(A: Any) -> Any:
    """Conjugated cofactors: to each singular value the product of all others."""
    left, values, right = linalg_svd(A, False)
    shape = tuple(values.array.shape)
    others = expand(as_shape(values, (*shape[:-1], 1, shape[-1])), (*shape, shape[-1]))
    products = cast(prod(with_diagonal(others, values * 0 + 1), -1), A.kind.dtype)
    turned = conjugate(linalg_det(left) * linalg_det(right))
    scaled = left * as_shape(products, (*shape[:-1], 1, shape[-1]))
    return _each(turned) * matmul(scaled, right)


linalg_det.vjp(A=_det_gradient)


def _two_batches(op: str, inputs: Any, params: tuple) -> list:
    return [_batch(op, inputs, params)] * 2


@composite(dtype=(field, real_field), shape=_two_batches, eager=True, complex=OWN, amp="float32")
def linalg_slogdet(A):
    """The determinant as its sign (of a complex one its direction) and the logarithm of its size.

    Shapes: A (*B, N, N) -> sign (*B), logabsdet (*B)
    """
    packed, pivots, _ = linalg_lu_factor_ex(A)
    values = diagonal(packed, 0, -2, -1)
    return prod(sgn(values), -1) * _parity(pivots, A), sum(log(abs(values)), -1)


def _slogdet_gradient(gs: Any, A: Any, outs: Any) -> Any:
    g = cast(gs[1], A.kind.dtype)
    if A.kind.dtype.is_complex:
        g = g - imag(conjugate(gs[0]) * outs[0]) * 1j
    size = A.array.shape[-1]
    return _each(g) * linalg_solve_ex(adjoint(A), identity_like(A, size, size))[0]


linalg_slogdet.vjp(A=_slogdet_gradient)


@linalg_det.examples
@linalg_slogdet.examples
def _(make):
    yield case(make(3, 3, distinct=True))
    yield case(make(2, 4, 4, distinct=True))
    yield case(make(2, 2, layout="transposed", distinct=True))
    yield case(make(0, 0))
    yield fails(make(2, 3), error="batches of square matrices")


def _turned(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    batch, rows, columns = matrix_of(op, inputs[0])
    return (*batch, columns, rows)


@composite(dtype=field, shape=_turned, eager=True, complex=OWN)
def pseudoinverse(A, atol: Raw, rtol: Raw, hermitian: Plain = False):
    """The inverse on the space where A acts: singular values up to `atol`, or `rtol` times the largest, count
    as 0.

    Shapes: A (*B, M, N), atol (*B), rtol (*B) -> (*B, N, M)
    """
    if hermitian:
        values, vectors = linalg_eigh(A)
        left, right = vectors, vectors
    else:
        right, values, turned = linalg_svd(A, False)
        left = adjoint(turned)
    size = abs(values)
    limit = maximum(_beside(rtol) * amax(size, -1, True), _beside(atol))
    kept = gt(size, limit)
    inverse = where(kept, 1 / where(kept, values, 1), 0)
    shape = inverse.array.shape
    return matmul(left * as_shape(inverse, (*shape[:-1], 1, shape[-1])), adjoint(right))


def _beside(limit: Any) -> Any:
    """One limit for all singular values of a matrix."""
    return as_shape(limit, (*limit.array.shape, 1)) if hasattr(limit, "array") else limit


def _pseudoinverse_gradient(g: Any, A: Any, out: Any) -> Any:
    """Source: Golub and Pereyra, The Differentiation of Pseudo-Inverses (1973), eq. 4.12."""
    across, back = adjoint(out), adjoint(g)
    inside = -matmul(across, matmul(g, across))
    left = matmul(matmul(back - matmul(A, matmul(out, back)), out), across)
    right = matmul(matmul(across, out), back - matmul(back, matmul(out, A)))
    return inside + left + right


pseudoinverse.vjp(A=_pseudoinverse_gradient, atol=None, rtol=None)


@pseudoinverse.examples
def _(make):
    yield case(make(3, 3, distinct=True), 0.0, 1e-7)
    yield case(make(2, 4, 2, distinct=True), 0.0, 1e-7)
    yield case(make(2, 3, distinct=True), 1e-7, 0.0)
    yield fails(make(3), 0.0, 0.0, error="at least 2 dimensions")
