"""References for linear algebra and Fourier transforms: by SciPy's LAPACK, by definition, and by sums of
waves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import linalg

Array = Any


def each(function: Callable) -> Callable:
    """A reference for one matrix, for all matrices of a batch; several results are stacked each."""

    def reference(x: Array, *others: Array, **named: Any) -> Any:
        x, *others = (np.asarray(a) for a in (x, *others))
        shape = np.broadcast_shapes(x.shape[:-2], *(other.shape[:-2] for other in others))
        count = math.prod(shape)
        flat = [
            np.broadcast_to(a, (*shape, *a.shape[-2:])).reshape(count, *a.shape[-2:]) for a in (x, *others)
        ]
        found = [function(*matrices, **named) for matrices in zip(*flat, strict=True)]
        if isinstance(found[0], tuple):
            return tuple(stacked(part, shape) for part in zip(*found, strict=True))
        return stacked(found, shape)

    return reference


def stacked(parts: Any, shape: tuple[int, ...]) -> Array:
    joined = np.stack([np.asarray(part) for part in parts])
    return joined.reshape((*shape, *joined.shape[1:]))


def factored(x: Array) -> tuple[Array, Array, Array]:
    """Elimination by hand, the largest element of a column first."""
    work, exchanged = x.copy(), []
    for k in range(min(x.shape)):
        column = work[k:, k]
        best = k + int(np.argmax(np.abs(column.real) + np.abs(column.imag)))
        exchanged.append(best + 1)
        work[[k, best]] = work[[best, k]]
        work[k + 1 :, k] /= work[k, k]
        work[k + 1 :, k + 1 :] -= np.outer(work[k + 1 :, k], work[k, k + 1 :])
    return work, np.array(exchanged, np.int64), np.int64(0)


def rows_exchanged(pivots: Array, rows: int) -> Array:
    result = np.empty((*pivots.shape[:-1], rows), np.int64)
    for place in np.ndindex(*pivots.shape[:-1]):
        order = list(range(rows))
        for k, other in enumerate(pivots[place]):
            order[k], order[other - 1] = order[other - 1], order[k]
        result[place] = order
    return result


def determinant(x: Array) -> Array:
    """The sum over all orders of the columns."""
    total = 0.0
    for order in itertools.permutations(range(x.shape[0])):
        sign = np.linalg.det(np.eye(x.shape[0])[list(order)]).round() if order else 1.0
        total += sign * np.prod([x[row, column] for row, column in enumerate(order)])
    return np.asarray(total)


def slogdet(x: Array) -> tuple[Array, Array]:
    found = determinant(x)
    return np.sign(found), np.log(np.abs(found))


def triangular(a: Array, b: Array, upper: bool, unitriangular: bool = False) -> Array:
    triangle = np.triu(a) if upper else np.tril(a)
    if unitriangular:
        np.fill_diagonal(triangle, 1)
    return np.linalg.inv(triangle) @ b


def householder(x: Array) -> tuple[Array, Array]:
    """R and the vectors of the reflections, as SciPy's LAPACK gives them."""
    (packed, tau), _ = linalg.qr(x, mode="raw") if x.size else ((x, np.zeros(0)), None)
    return packed, tau


def waves(size: int, forward: bool) -> Array:
    """The matrix of a transform along one dim."""
    turns = np.outer(np.arange(size), np.arange(size)) / size
    return np.exp((-2j if forward else 2j) * np.pi * turns)


def scale(norm: str, size: int, forward: bool) -> float:
    if norm == "ortho":
        return size**-0.5
    return 1 / size if (norm == "forward") is forward else 1.0


def fourier(x: Array, dims: tuple, norm: str = "backward", forward: bool = True) -> Array:
    """One sum of waves after the other."""
    x = x.astype(complex)
    for dim in dims:
        size = x.shape[dim]
        x = np.moveaxis(np.tensordot(waves(size, forward), x, (1, dim)), 0, dim) * scale(norm, size, forward)
    return x


def half_spectrum(x: Array, dims: tuple, norm: str = "backward") -> Array:
    return np.take(fourier(x, dims, norm), range(x.shape[dims[-1]] // 2 + 1), dims[-1])


def from_half(x: Array, dims: tuple, norm: str, size: int) -> Array:
    """The half that is missing mirrors the other; of what mirrors itself the imaginary part is not read."""
    x = fourier(x, dims[:-1], norm, False)
    last = dims[-1]
    x = np.moveaxis(x, last, -1).copy()
    x[..., 0] = x[..., 0].real
    if size % 2 == 0:
        x[..., -1] = x[..., -1].real
    mirrored = np.conj(x[..., 1 : size - x.shape[-1] + 1][..., ::-1])
    whole = np.moveaxis(np.concatenate((x, mirrored), -1), -1, last)
    return fourier(whole, (last,), norm, False).real


def by_factor(b: Array, factor: Array, upper: bool = False) -> Array:
    turned = factor.conj().T
    return np.linalg.inv(turned @ factor if upper else factor @ turned) @ b


def solved(a: Array, b: Array) -> tuple[Array, Array]:
    """Each matrix says for itself that it could be solved."""
    return each(lambda a, b: np.linalg.inv(a) @ b)(a, b), np.zeros(a.shape[:-2], np.int64)


LINALG_ORACLES: dict[str, Callable[..., Any]] = {
    "linalg_cholesky_ex": each(lambda x, upper=False: (linalg.cholesky(x, lower=not upper), np.int64(0))),
    "linalg_lu_factor_ex": each(factored),
    "rows_exchanged": rows_exchanged,
    "linalg_qr": each(lambda x, complete=False: linalg.qr(x, mode="full" if complete else "economic")),
    "geqrf": each(householder),
    "linalg_eigh": each(lambda x, upper=False: linalg.eigh(x, lower=not upper)),
    "linalg_eig": each(linalg.eig),
    "linalg_svd": each(lambda x, full_matrices=True: linalg.svd(x, full_matrices)),
    "linalg_solve_ex": solved,
    "linalg_inv_ex": lambda a: (np.linalg.inv(a), np.zeros(a.shape[:-2], np.int64)),
    "linalg_solve_triangular": each(triangular),
    "cholesky_solve": each(by_factor),
    "matrix_exp": each(linalg.expm),
    "linalg_det": each(determinant),
    "linalg_slogdet": each(slogdet),
    "pseudoinverse": lambda x, atol, rtol, hermitian=False: each(linalg.pinv)(x),
    "fft_c2c": fourier,
    "fft_r2c": half_spectrum,
    "fft_c2r": from_half,
}
