"""Statistics, truths and running sums along axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import devtensor
from devtensor.core.dtype import INTEGER, DType, int64, uint64
from devtensor.core.errors import ArgumentError
from devtensor.core.naming import named
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor

__all__ = [
    "all",
    "any",
    "cumulative_prod",
    "cumulative_sum",
    "diff",
    "max",
    "mean",
    "min",
    "prod",
    "std",
    "sum",
    "var",
]

Axes = int | tuple[int, ...] | None


def along(x: Tensor, axis: Axes) -> tuple[Tensor, tuple[int, ...]]:
    """`x` and the dims to reduce: all for None; for no axis a new one, so that every element stands alone."""
    dims = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    return (x, dims) if dims else (x.unsqueeze(-1), (x.ndim,))


def _reduce(ours: str, x: Tensor, axis: Axes, keepdims: bool, **facts: Any) -> Tensor:
    source, dims = along(x, axis)
    # The axis that `along` had to make goes again.
    return getattr(devtensor, ours)(source, dim=dims, keepdim=keepdims and source is x, **facts)


def _reduction(name: str, ours: str, doc: str) -> Callable[..., Tensor]:
    def function(x: Tensor, /, *, axis: Axes = None, keepdims: bool = False) -> Tensor:
        return _reduce(ours, x, axis, keepdims)

    return named(function, name, f"{doc} along axes, or of all elements.")


all = _reduction("all", "all", "Whether every element is true")
any = _reduction("any", "any", "Whether some element is true")
max = _reduction("max", "amax", "The greatest element")
mean = _reduction("mean", "mean", "The mean")
min = _reduction("min", "amin", "The least element")


def accumulator(x: Tensor, dtype: DType | None) -> DType:
    """The dtype in which elements are summed: integers as the widest of their sign unless told."""
    if dtype is not None or x.dtype.category > INTEGER:
        return dtype or x.dtype
    return int64 if x.dtype.is_signed or x.dtype.category < INTEGER else uint64


def sum(x: Tensor, /, *, axis: Axes = None, dtype: DType | None = None, keepdims: bool = False) -> Tensor:
    """The sum along axes, or of all elements."""
    wanted = accumulator(x, dtype)
    return _reduce("sum", _summable(x, wanted), axis, keepdims).to(wanted)


def _summable(x: Tensor, wanted: DType) -> Tensor:
    """`x` for sums in `wanted`; those in unsigned integers are the signed ones, which wrap around alike."""
    return x.to(int64 if wanted.category <= INTEGER else wanted)


def prod(x: Tensor, /, *, axis: Axes = None, dtype: DType | None = None, keepdims: bool = False) -> Tensor:
    """The product along axes, or of all elements."""
    wanted = accumulator(x, dtype)
    source, dims = along(_summable(x, wanted), axis)
    for dim in sorted((normalize_dim("prod", dim, source.ndim) for dim in dims), reverse=True):
        source = devtensor.prod(source, dim=dim, keepdim=keepdims and source.ndim == x.ndim)
    return source.to(wanted)


def _spread(name: str, doc: str) -> Callable[..., Tensor]:
    def function(
        x: Tensor, /, *, axis: Axes = None, correction: float = 0.0, keepdims: bool = False
    ) -> Tensor:
        return _reduce(name, x, axis, keepdims, correction=correction)

    return named(
        function, name, f"{doc} along axes, or of all elements, over their number less `correction`."
    )


std = _spread("std", "The standard deviation")
var = _spread("var", "The variance")


def _running(name: str, ours: str, first: int) -> Callable[..., Tensor]:
    def function(
        x: Tensor,
        /,
        *,
        axis: int | None = None,
        dtype: DType | None = None,
        include_initial: bool = False,
    ) -> Tensor:
        if axis is None:
            if x.ndim != 1:
                raise ArgumentError(f"[{name}] x has {x.ndim} dims; give an axis unless it has one")
            axis = 0
        wanted = accumulator(x, dtype)
        result = getattr(devtensor, ours)(_summable(x, wanted), dim=axis).to(wanted)
        if include_initial:
            shape = [1 if dim == axis % x.ndim else size for dim, size in enumerate(x.shape)]
            start = devtensor.full(shape, first, dtype=wanted, device=x.device)
            result = devtensor.cat([start, result], dim=axis)
        return result

    return named(function, name, f"`devtensor.{ours}` along an axis, from {first} on if `include_initial`.")


cumulative_prod = _running("cumulative_prod", "cumprod", 1)
cumulative_sum = _running("cumulative_sum", "cumsum", 0)


def diff(
    x: Tensor, /, *, axis: int = -1, n: int = 1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """Differences of neighbours along an axis, `n` times over."""
    return devtensor.diff(x, n, axis, prepend, append)
