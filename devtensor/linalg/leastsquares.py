"""Pseudoinverses, ranks and least squares in the spellings of torch.linalg."""

from __future__ import annotations

from typing import Any

from devtensor.core.dtype import finfo, int64
from devtensor.core.errors import DTypeError, OptionError, ShapeError
from devtensor.core.host import host_read
from devtensor.core.precision import one_op
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.formats import in_columns
from devtensor.functions.out import into
from devtensor.linalg import results
from devtensor.ops import reduce, spectra
from devtensor.ops.compare import gt
from devtensor.ops.create import full
from devtensor.ops.determinants import pseudoinverse
from devtensor.ops.extremes import maximum
from devtensor.ops.linalg import transposed
from devtensor.ops.parts import abs, as_real
from devtensor.ops.shape import as_shape


def pinv(
    A: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The pseudoinverse; singular values up to max(atol, rtol * the largest) count as 0.

    Within autocast it has the dtype of products, since its last step is one, unless it goes into `out`.

    Shapes: A (*B, M, N) -> (*B, N, M)
    """
    rtol = rcond if rtol is None else rtol
    if not A.shape.numel() and A.array.ndim > 1:
        made = transposed(A) * 1
    else:
        made = pseudoinverse(A, *tolerances(A, atol, rtol), hermitian)
    return _product(made) if out is None else into(out, made)


@one_op("lower", "linalg_pinv_product")
def _product(made: Tensor) -> Tensor:
    return made


def tolerances(A: Tensor, atol: Any, rtol: Any) -> tuple[Any, Any]:
    """The absolute and the relative limit; without either, eps times the larger size of A, relative."""
    if rtol is None:
        usual = finfo.of(A.dtype).eps * max(A.array.shape[-2:], default=1) if A.dtype.differentiable else 0.0
        if isinstance(atol, Tensor):
            rtol = _none_given(atol, usual)
        else:
            rtol = 0.0 if atol is not None and atol > 0 else usual
    return 0.0 if atol is None else atol, rtol


def _none_given(atol: Tensor, usual: float) -> Tensor:
    """The usual relative limit wherever no absolute one is given."""
    given: Any = gt(atol, 0)
    return given.logical_not() * usual


@one_op(name="linalg_matrix_rank")
def matrix_rank(
    A: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """How many singular values are above max(atol, rtol * the largest); `tol` is absolute.

    Shapes: A (*B, M, N) -> (*B)
    """
    if A.array.ndim < 2:
        raise ShapeError(f"[linalg_matrix_rank] {describe(A)}: The A tensor must have at least 2 dimensions")
    if tol is not None:
        atol, rtol = tol, 0.0
    atol, rtol = tolerances(A, atol, rtol)
    if not A.shape.numel():
        return into(out, full(tuple(A.array.shape[:-2]), 0, int64, A.device))
    values = abs(spectra.linalg_eigh(A)[0]) if hermitian else spectra.linalg_svd(A, False)[1]
    values = values.detach()
    limit = maximum(_beside(rtol) * reduce.amax(values, -1, True), _beside(atol))
    return into(out, reduce.sum(gt(values, limit), -1))


def _beside(limit: Any) -> Any:
    return limit[..., None] if isinstance(limit, Tensor) else limit


DRIVERS = ("gels", "gelsy", "gelsd", "gelss")


@one_op("float32", "linalg_lstsq")
def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """The X for which A X is nearest to B.

    Shapes: A (*B, M, N), B (*B, M, K) or (*B, M) -> solution (*B, N, K); residuals (*B, K), empty unless
    M > N and A has full rank; rank (*B), empty for driver "gels"; singular_values (*B, min(M, N)) of "gelsd"
    and "gelss", else empty
    Source: all drivers find X by the pseudoinverse here.
    """
    driver = driver or "gelsy"
    if driver not in DRIVERS:
        raise OptionError(f"[linalg_lstsq] driver is {driver!r}; it should be one of {DRIVERS}")
    vector = _check_least_squares(A, B)
    right = B[..., None] if vector else B
    height, width = A.array.shape[-2:]
    limit = finfo.of(A.dtype).eps * max(height, width) if rcond is None else rcond
    limit = finfo.of(A.dtype).eps if limit < 0 else limit
    solution = in_columns(pinv(A, rtol=0.0 if driver == "gels" else limit) @ right)
    nothing = full((0,), 0, A.dtype.to_real(), A.device)
    rank = full((0,), 0, int64, A.device) if driver == "gels" else matrix_rank(A, rtol=limit)
    values = spectra.linalg_svd(A, False)[1].detach() if driver in ("gelsd", "gelss") else nothing
    # Nothing is cut out of the solution, so that autograd takes it for a result too.
    residuals = as_real(as_shape(solution, (solution.shape.numel(),))[:0])
    if height > width and driver != "gelsy":
        residuals = _residuals(A, right, solution, rank)
    return results.linalg_lstsq(solution[..., 0] if vector else solution, residuals, rank, values)


def _check_least_squares(A: Tensor, B: Tensor) -> bool:
    """Whether B holds a vector for each matrix.

    Errors: ShapeError or DTypeError for what does not fit together.
    """
    if A.array.ndim < 2 or B.array.ndim < 1:
        raise ShapeError(
            f"[linalg_lstsq] {describe(A)}, {describe(B)}: input must have at least 2 dimensions, other at "
            "least 1"
        )
    if A.dtype is not B.dtype:
        raise DTypeError(
            f"[linalg_lstsq] Expected input and other to have the same dtype, but got {A.dtype.name} and "
            f"{B.dtype.name}; convert one with .to(dtype)"
        )
    vector = A.array.ndim - 1 == B.array.ndim and tuple(B.array.shape) == tuple(A.array.shape[:-1])
    if not vector and (B.array.ndim < 2 or B.array.shape[-2] != A.array.shape[-2]):
        raise ShapeError(
            f"[linalg_lstsq] {describe(A)}, {describe(B)}: input.size(-2) should match other.size(-2); give "
            "as many rows"
        )
    return vector


def _residuals(A: Tensor, right: Tensor, solution: Tensor, rank: Tensor) -> Tensor:
    """The squared distances, where every matrix has full rank."""
    numbers = host_read(rank, "linalg_lstsq").numbers()
    if any(number < A.array.shape[-1] for number in numbers):
        return full((0,), 0, A.dtype.to_real(), A.device)
    gap = abs(A @ solution - right)
    return reduce.sum(gap * gap, -2)
