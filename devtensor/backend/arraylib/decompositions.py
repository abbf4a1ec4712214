"""Decompositions of matrices, and the equations they solve, for batches of matrices in the last two dims.

What a library's own function cannot tell (which pivot vanished) is found by a slower walk over the columns,
taken only when that function gave up.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from devtensor.backend.arraylib.library import Library
from devtensor.backend.protocol import Array, Kernel

PANEL = 32
"""Columns that are eliminated one by one before the rest of the matrix is updated by one product."""

COMPLEX_OF = {"float32": "complex64", "float64": "complex128"}

PADE = (
    64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0,
    10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0,
)  # fmt: skip
"""Coefficients of the approximation of the exponential of degree 13 by Pade."""

PADE_REACH = 5.371920351148152
"""1-norm up to which that approximation is exact in float64."""


def kernels(lib: Library) -> dict[str, Kernel]:
    """The part of the table that takes matrices apart."""
    return lib.bind(FUNCTIONS)


def rows_first(lib: Library, x: Array) -> Array:
    """The array laid out row by row."""
    return lib.xp.ascontiguousarray(x)


def adjoint(lib: Library, x: Array) -> Array:
    """The conjugated transpose of each matrix."""
    return lib.xp.conjugate(x.swapaxes(-1, -2)) if x.dtype.kind == "c" else x.swapaxes(-1, -2)


def identity(lib: Library, like: Array) -> Array:
    """The identity matrix of the size and dtype of the matrices in `like`."""
    return lib.xp.eye(like.shape[-1], dtype=like.dtype)


def first_bad(lib: Library, bad: Array) -> Array:
    """One more than the place of the first truth in each row, 0 where there is none."""
    if not bad.shape[-1]:
        return lib.xp.zeros(bad.shape[:-1], dtype=lib.dtypes["int32"])
    place = lib.xp.argmax(bad, axis=-1) + 1
    return lib.xp.asarray(lib.xp.where(lib.xp.any(bad, axis=-1), place, 0)).astype(lib.dtypes["int32"])


def diagonal_of(lib: Library, x: Array) -> Array:
    """The diagonal of each matrix, as a copy."""
    places = lib.xp.arange(min(x.shape[-2:]))
    return x[..., places, places]


def cholesky(lib: Library, x: Array, upper: bool) -> tuple[Array, Array]:
    """The lower factor of the lower triangle, or the upper one of the upper, and where it failed."""
    factor, info = lower_factor(lib, adjoint(lib, x) if upper else x)
    return (adjoint(lib, factor).copy() if upper else factor), info


def lower_factor(lib: Library, x: Array) -> tuple[Array, Array]:
    """The lower factor, and the order of the first leading minor that is not positive, 0 if all are."""
    try:
        factor = rows_first(lib, lib.xp.linalg.cholesky(x))
    except ValueError:
        return cholesky_by_columns(lib, x)
    diagonal = diagonal_of(lib, factor)
    real = diagonal.real if x.dtype.kind == "c" else diagonal
    return factor, first_bad(lib, lib.xp.logical_not(real > 0))


def cholesky_by_columns(lib: Library, x: Array) -> tuple[Array, Array]:
    """The same, column by column; from a vanishing pivot on, the factor's columns are NaN or infinite."""
    xp, size = lib.xp, x.shape[-1]
    flat = x.reshape(-1, size, size)
    factor = xp.zeros(flat.shape, dtype=x.dtype)
    pivots = xp.zeros(flat.shape[:-1], dtype=(x.real if x.dtype.kind == "c" else x).dtype)
    for k in range(size):
        done = adjoint(lib, factor[:, k : k + 1, :k])
        column = flat[:, k:, k] - xp.matmul(factor[:, k:, :k], done)[..., 0]
        pivots[:, k] = column[:, 0].real if x.dtype.kind == "c" else column[:, 0]
        factor[:, k:, k] = column / xp.sqrt(pivots[:, k])[:, None]
    info = first_bad(lib, xp.logical_not(pivots > 0))
    return factor.reshape(x.shape), info.reshape(x.shape[:-2])


def lu(lib: Library, x: Array) -> tuple[Array, Array, Array]:
    """L without its diagonal and U in one matrix, the rows exchanged (from 1), and the first zero pivot.

    Source: Golub and Van Loan, Matrix Computations, 3.4 (partial pivoting) and 3.2.11 (by blocks).
    """
    xp, (rows, columns) = lib.xp, x.shape[-2:]
    count = min(rows, columns)
    work = x.reshape(prod(x.shape[:-2]), rows, columns).copy()
    pivots = xp.zeros((work.shape[0], count), dtype=lib.dtypes["int32"])
    for start in range(0, count, PANEL):
        stop = min(start + PANEL, count)
        eliminate(lib, work, pivots, start, stop)
        if stop < columns:
            for k in range(start + 1, stop):
                left = work[:, k : k + 1, start:k]
                work[:, k : k + 1, stop:] -= xp.matmul(left, work[:, start:k, stop:])
            work[:, stop:, stop:] -= xp.matmul(work[:, stop:, start:stop], work[:, start:stop, stop:])
    info = first_bad(lib, diagonal_of(lib, work) == 0)
    shape = x.shape[:-2]
    return work.reshape(x.shape), pivots.reshape(*shape, count), info.reshape(shape)


def eliminate(lib: Library, work: Array, pivots: Array, start: int, stop: int) -> None:
    """Eliminate the columns from `start` to `stop`, exchanging whole rows."""
    xp = lib.xp
    each = xp.arange(work.shape[0])
    for k in range(start, stop):
        chosen = xp.argmax(size_of(lib, work[:, k:, k]), axis=1) + k
        pivots[:, k] = chosen + 1
        moved = work[each, chosen]
        work[each, chosen] = work[:, k]
        work[:, k] = moved
        pivot = work[:, k, k]
        work[:, k + 1 :, k] /= xp.where(pivot == 0, 1, pivot)[:, None]
        work[:, k + 1 :, k + 1 : stop] -= work[:, k + 1 :, k][:, :, None] * work[:, k, k + 1 : stop][:, None]


def size_of(lib: Library, x: Array) -> Array:
    """What pivots are chosen by: |x|, of complex numbers the sum of both parts as LAPACK takes it."""
    if x.dtype.kind == "c":
        return lib.xp.absolute(x.real) + lib.xp.absolute(x.imag)
    return lib.xp.absolute(x)


def rows_exchanged(lib: Library, pivots: Array, rows: int) -> Array:
    """The order of `rows` rows after the exchanges that `pivots` (from 1) name, one after the other."""
    xp, count = lib.xp, pivots.shape[-1]
    flat = pivots.reshape(prod(pivots.shape[:-1]), count)
    order = xp.zeros((flat.shape[0], rows), dtype=lib.dtypes["int64"]) + xp.arange(rows)
    each = xp.arange(flat.shape[0])
    for k in range(count):
        other = flat[:, k] - 1
        moved = order[each, other]
        order[each, other] = order[:, k]
        order[:, k] = moved
    return order.reshape(*pivots.shape[:-1], rows)


def qr(lib: Library, x: Array, complete: bool) -> tuple[Array, Array]:
    found = lib.xp.linalg.qr(x, "complete" if complete else "reduced")
    return rows_first(lib, found[0]), rows_first(lib, found[1])


def geqrf(lib: Library, x: Array) -> tuple[Array, Array]:
    """R, the Householder vectors below it, and their factors."""
    found = lib.xp.linalg.qr(x, "raw")
    return rows_first(lib, found[0].swapaxes(-1, -2)), rows_first(lib, found[1])


def eigh(lib: Library, x: Array, upper: bool) -> tuple[Array, Array]:
    values, vectors = lib.xp.linalg.eigh(x, "U" if upper else "L")
    return rows_first(lib, values), rows_first(lib, vectors)


def eig(lib: Library, x: Array) -> tuple[Array, Array]:
    values, vectors = lib.xp.linalg.eig(x)
    name: str = x.dtype.name
    dtype = lib.dtypes[COMPLEX_OF.get(name, name)]
    return rows_first(lib, values.astype(dtype)), rows_first(lib, vectors.astype(dtype))


def svd(lib: Library, x: Array, full_matrices: bool) -> tuple[Array, Array, Array]:
    found = lib.xp.linalg.svd(x, full_matrices)
    return tuple(rows_first(lib, part) for part in found)  # type: ignore[return-value]


def solve(lib: Library, a: Array, b: Array) -> tuple[Array, Array]:
    """x with a x = b, and the first zero pivot of each `a` (x is NaN there), 0 for those that have none."""
    xp = lib.xp
    try:
        found = rows_first(lib, xp.linalg.solve(a, b))
        none = xp.zeros(a.shape[:-2], dtype=lib.dtypes["int32"])
        return found, none if lib.host else lu(lib, a)[2]
    except ValueError:
        info = lu(lib, a)[2]
    singular = (info != 0)[..., None, None]
    found = xp.linalg.solve(xp.where(singular, identity(lib, a), a), b)
    return rows_first(lib, xp.where(singular, float("nan"), found).astype(b.dtype)), info


def solve_triangular(lib: Library, a: Array, b: Array, upper: bool, unit: bool) -> Array:
    """x with a x = b for the upper or the lower triangle of `a`, whose diagonal is 1 if `unit`.

    The general solver meets an upper triangle as its own LU factor and substitutes back at once, so that a
    lower one is turned round first.
    """
    xp = lib.xp
    if not upper:
        found = solve_triangular(lib, a[..., ::-1, ::-1], b[..., ::-1, :], True, unit)
        return rows_first(lib, found[..., ::-1, :]).copy()
    triangle = xp.triu(a, 1) + identity(lib, a) if unit else xp.triu(a, 0)
    try:
        return rows_first(lib, xp.linalg.solve(triangle, b))
    except ValueError:
        return substituted(lib, triangle, b)


def substituted(lib: Library, a: Array, b: Array) -> Array:
    """Substitution row by row, where zeros on the diagonal give infinities."""
    xp, size = lib.xp, a.shape[-1]
    batch = xp.matmul(a[..., :1], b[..., :1, :]).shape[:-2]
    found = xp.zeros((*batch, *b.shape[-2:]), dtype=b.dtype)
    for k in reversed(range(size)):
        rest = b[..., k, :] - xp.matmul(a[..., k : k + 1, k + 1 :], found[..., k + 1 :, :])[..., 0, :]
        found[..., k, :] = rest / a[..., k, k][..., None]
    return found


def matrix_exp(lib: Library, x: Array) -> Array:
    """The exponential of each matrix, by a quotient of polynomials after halving it often enough.

    The number of halvings is read from the device: it decides how many products follow.

    Source: Higham, The scaling and squaring method for the matrix exponential revisited (2005).
    """
    xp = lib.xp
    if not x.size:
        return x.copy()
    wide = x.astype(lib.dtypes["complex128" if x.dtype.kind == "c" else "float64"])
    norm = xp.amax(lib.total(xp.absolute(wide), axis=-2), axis=-1)
    known = xp.where(xp.isfinite(norm), norm, 0.0)
    halvings = xp.ceil(xp.log2(xp.maximum(known / PADE_REACH, 1.0)))
    result = quotient(lib, wide / xp.exp2(halvings)[..., None, None])
    for k in range(int(halvings.max())):
        squared = xp.matmul(result, result)
        result = xp.where((halvings > k)[..., None, None], squared, result)
    return xp.where(xp.isfinite(norm)[..., None, None], result, float("nan")).astype(x.dtype)


def quotient(lib: Library, x: Array) -> Array:
    """The polynomial in x over the same in -x."""
    xp, c = lib.xp, PADE
    one = identity(lib, x)
    two = xp.matmul(x, x)
    four = xp.matmul(two, two)
    six = xp.matmul(four, two)
    odd = xp.matmul(six, six * c[13] + four * c[11] + two * c[9])
    odd = xp.matmul(x, odd + six * c[7] + four * c[5] + two * c[3] + one * c[1])
    even = xp.matmul(six, six * c[12] + four * c[10] + two * c[8])
    even = even + six * c[6] + four * c[4] + two * c[2] + one * c[0]
    return xp.linalg.solve(even - odd, even + odd)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "linalg_cholesky_ex": cholesky,
    "linalg_lu_factor_ex": lu,
    "rows_exchanged": rows_exchanged,
    "linalg_qr": qr,
    "geqrf": geqrf,
    "linalg_eigh": eigh,
    "linalg_eig": eig,
    "linalg_svd": svd,
    "linalg_solve_ex": solve,
    "linalg_solve_triangular": solve_triangular,
    "matrix_exp": matrix_exp,
}
