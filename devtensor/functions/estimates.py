"""Covariances and correlations of samples, and integrals by trapezoids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.errors import ArgumentTypeError, DimensionError, OptionError, ShapeError
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor, describe
from devtensor.ops import reduce, scans
from devtensor.ops.compare import gt, where
from devtensor.ops.linalg import matmul, transposed
from devtensor.ops.parts import as_real, complex, conjugate, imag
from devtensor.ops.shape import as_shape, diagonal, getitem

__all__ = ["corrcoef", "cov", "cumulative_trapezoid", "trapezoid", "trapz"]


def cov(
    input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None
) -> Tensor:
    """Covariances of variables, one a row, over observations, one a column, that may count several times
    (`fweights`) or more or less (`aweights`).

    Shapes: input (V, N) or (N,) -> (V, V) or ()
    """
    if input.array.ndim > 2 or input.dtype.category == 0:
        raise ShapeError(
            f"[cov] {describe(input)}: expected input to have two or fewer dimensions, and numbers; reshape "
            "it"
        )
    x = as_shape(input, (1, input.shape.numel())) if input.array.ndim < 2 else input
    x = x if x.dtype.differentiable else x.float()
    weights = _weights(x, fweights, aweights)
    if weights is None:
        total: Any = x.array.shape[1]
        mean = reduce.sum(x, 1, True) / (total or float("nan"))
        freedom: Any = max(total - correction, 0)
    else:
        total = reduce.sum(weights)
        mean = reduce.sum(x * weights, 1, True) / total
        freedom = total - correction if aweights is None else _freedom(weights, total, aweights, correction)
        freedom = where(gt(freedom, 0), freedom, 0)
    centred = x - mean
    weighted = centred if weights is None else centred * weights
    found = matmul(weighted, conjugate(transposed(centred)))
    found = found / freedom
    return as_shape(found, ()) if found.shape.numel() == 1 else found


def _freedom(weights: Tensor, total: Tensor, aweights: Tensor, correction: int) -> Tensor:
    """What weights leave of the number of observations."""
    return total - correction * reduce.sum(weights * aweights) / total


def _weights(x: Tensor, fweights: Tensor | None, aweights: Tensor | None) -> Tensor | None:
    """Both kinds of weights in one.

    Errors: ShapeError or OptionError for weights that do not fit.
    """
    count = x.array.shape[1]
    for name, weights, integral in (("fweights", fweights, True), ("aweights", aweights, False)):
        if weights is None:
            continue
        if tuple(weights.array.shape) != (count,):
            raise ShapeError(
                f"[cov] {name} is {describe(weights)}; expected {name} to have one dimension and a weight "
                f"for each of {count} observations"
            )
        if integral is not (weights.dtype.category == 1):
            raise OptionError(
                f"[cov] {name} is {describe(weights)}; expected fweights to be integral and aweights "
                "floating point"
            )
        if count and bool((weights < 0).any()):
            raise OptionError(f"[cov] {name} cannot be negative")
    if fweights is None or aweights is None:
        return aweights if fweights is None else fweights
    return fweights * aweights


def corrcoef(input: Tensor) -> Tensor:
    """Correlations of variables, one a row, over observations, one a column.

    Shapes: input (V, N) or (N,) -> (V, V) or ()
    """
    if input.array.ndim > 2:
        raise ShapeError(f"[corrcoef] {describe(input)}: expected two or fewer dimensions; reshape it")
    found = cov(input)
    if not found.array.ndim:
        return found / found
    spread = as_real(diagonal(found)).sqrt()
    size = spread.array.shape[0]
    found = found / as_shape(spread, (size, 1)) / spread
    if found.dtype.is_complex:
        return complex(as_real(found).clamp(-1, 1), imag(found).clamp(-1, 1))
    return found.clamp(-1, 1)


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """The integral of `y` along `dim` by trapezoids, at places `x` or `dx` apart.

    Shapes: y (*S), x (S,) or (*S) -> S without dim
    """
    at = _place("trapezoid", y, x, dx, dim)
    if x is None and y.array.shape[at]:
        # The sum less half of both ends, as in PyTorch: an infinite end is taken from itself.
        ends = _part(y, at, slice(0, 1)) + _part(y, at, slice(-1, None))
        whole = reduce.sum(y, at - y.array.ndim, True) - ends * 0.5
        return reduce.sum(whole * (1 if dx is None else dx), at - y.array.ndim)
    return reduce.sum(_areas("trapezoid", y, x, dx, at), at - y.array.ndim)


def trapz(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """Another name of `trapezoid`."""
    return trapezoid(y, x, dx=dx, dim=dim)


def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1) -> Tensor:
    """The running integral of `y` along `dim` by trapezoids.

    Shapes: y (*S), x (S,) or (*S) -> (*S) with one less along dim
    """
    at = _place("cumulative_trapezoid", y, x, dx, dim)
    areas = _areas("cumulative_trapezoid", y, x, dx, at)
    return scans.cumsum(areas, at - y.array.ndim)


def _place(op: str, y: Tensor, x: Tensor | None, dx: Any, dim: int) -> int:
    """The dim to integrate over, counted from the front.

    Errors: DimensionError if there is none, ArgumentTypeError if both spacings are given.
    """
    if x is not None and dx is not None:
        raise ArgumentTypeError(f"[{op}] got x and dx; give one of them")
    if not y.array.ndim:
        raise DimensionError(f"[{op}] dim {dim} of {describe(y)}: it has no dimensions; give it one")
    return normalize_dim(op, dim, y.array.ndim)


def _areas(op: str, y: Tensor, x: Any, dx: Any, at: int) -> Tensor:
    """Each trapezoid's area."""
    low, high = (_part(y, at, part) for part in (slice(0, -1), slice(1, None)))
    pairs = low + high
    if x is None:
        return pairs * (1 if dx is None else dx) / 2
    if x.array.ndim == 1:
        if x.array.shape[0] != y.array.shape[at]:
            raise ShapeError(
                f"[{op}] {describe(y)}, {describe(x)}: There must be one `x` value for each sample point"
            )
        x = as_shape(x, (x.array.shape[0], *(1,) * (y.array.ndim - at - 1)))
    x = as_shape(x, (*(1,) * (y.array.ndim - x.array.ndim), *x.array.shape))
    width = _part(x, at, slice(1, None)) - _part(x, at, slice(0, -1))
    return pairs * width / 2


def _part(x: Tensor, dim: int, part: slice) -> Tensor:
    return getitem(x, (*(slice(None),) * dim, part))


METHODS: dict[str, Callable] = {"corrcoef": corrcoef, "cov": cov}
