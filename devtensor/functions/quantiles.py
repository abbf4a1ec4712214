"""Quantiles in PyTorch's spellings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import float32, float64, int64
from devtensor.core.errors import DTypeError, OptionError, ShapeError
from devtensor.core.precision import one_op
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.selecting import values_are_free
from devtensor.ops import reduce
from devtensor.ops.compare import isnan, where
from devtensor.ops.create import cast, full
from devtensor.ops.elementwise import ceil, floor, round
from devtensor.ops.gathering import gather
from devtensor.ops.shape import as_shape, permute
from devtensor.ops.sort import sort

__all__ = ["nanquantile", "quantile"]

ROUNDINGS = ("linear", "lower", "higher", "midpoint", "nearest")


@one_op()
def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The values below which the shares `q` of the elements along `dim` lie; NaN if there is one.

    Shapes: q () or (Q,) -> S without dim, with Q in front if q has a dim
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, ignore_nan=False)


@one_op()
def nanquantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """`quantile` of the values that are not NaN."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, ignore_nan=True)


def _quantile(
    op: str, input: Tensor, q: Any, dim: Any, keepdim: bool, rounding: str, ignore_nan: bool
) -> Tensor:
    _check(op, input, rounding)
    q = _shares(op, input, q)
    at = 0 if dim is None else normalize_dim(op, dim, input.array.ndim)
    kept = (1,) * input.array.ndim if dim is None else _with_one(tuple(input.array.shape), at)
    moved = as_shape(input, (input.shape.numel(),)) if dim is None else _last(input, at)
    if not input.shape.numel():
        raise ShapeError(f"[{op}] {describe(input)}: quantile() input tensor must be non-empty")
    values = sort(moved, -1, False)[0]
    count = reduce.sum(~isnan(moved), -1, True) if ignore_nan else moved.array.shape[-1]
    last = cast(where(count > 0, count - 1, 0), input.dtype) if isinstance(count, Tensor) else count - 1
    start = full((*values.array.shape[:-1], 1), 0, input.dtype, input.device)
    made = _between(values, as_shape(q, (q.shape.numel(),)) * last + start, rounding)
    if not ignore_nan:
        made = where(isnan(values[..., -1:]), values[..., -1:], made)
    return _arranged(made, kept, at, q.array.ndim > 0, keepdim, dim is None)


def _check(op: str, input: Tensor, rounding: str) -> None:
    if rounding not in ROUNDINGS:
        raise OptionError(f"[{op}] interpolation is {rounding!r}; it must be one of {', '.join(ROUNDINGS)}")
    if input.dtype not in (float32, float64):
        raise DTypeError(f"[{op}] input tensor must be either float or double dtype; got {describe(input)}")


def _shares(op: str, input: Tensor, q: Any) -> Tensor:
    """The shares as a tensor like the input, each in [0, 1]."""
    if not isinstance(q, Tensor):
        if not 0 <= q <= 1:
            raise OptionError(f"[{op}] q must be in the range [0, 1] but got {q}")
        return full((), q, input.dtype, input.device)
    if q.array.ndim > 1:
        raise ShapeError(f"[{op}] q must be a scalar or 1D tensor; got {describe(q)}")
    if q.kind.dtype is not input.kind.dtype:
        raise DTypeError(f"[{op}] q tensor must be same dtype as the input tensor; got {describe(q)}")
    if values_are_free(q) and not bool(reduce.all((q >= 0) & (q <= 1))):
        raise OptionError(f"[{op}] q values must be in the range [0, 1]")
    return q


def _with_one(shape: tuple[int, ...], at: int) -> tuple[int, ...]:
    return (*shape[:at], 1, *shape[at + 1 :]) if shape else ()


def _last(input: Tensor, at: int) -> Tensor:
    """`input` with a dim moved to the end."""
    rest = [d for d in range(input.array.ndim) if d != at]
    return permute(input, (*rest, at)) if input.array.ndim else as_shape(input, (1,))


def _between(values: Tensor, rank: Tensor, rounding: str) -> Tensor:
    """Sorted values at fractional ranks in the last dim."""
    rank = where(isnan(rank), 0.0, rank)
    below, above = cast(floor(rank), int64), cast(ceil(rank), int64)
    if rounding == "nearest":
        return gather(values, cast(round(rank), int64), -1)
    low, high = gather(values, below, -1), gather(values, above, -1)
    if rounding in ("lower", "higher"):
        return low if rounding == "lower" else high
    share = rank - floor(rank)
    return low + (high - low) * (0.5 * (share > 0) if rounding == "midpoint" else share)


def _arranged(made: Tensor, kept: tuple, at: int, many: bool, keepdim: bool, flat: bool) -> Tensor:
    """Results for each share, which lie in the last dim, brought to the front or dropped."""
    ndim = made.array.ndim
    made = permute(made, (ndim - 1, *range(ndim - 1)))
    shape = kept if keepdim else () if flat else (*kept[:at], *kept[at + 1 :])
    return as_shape(made, (made.array.shape[0], *shape) if many else shape)


METHODS: dict[str, Callable] = {"nanquantile": nanquantile, "quantile": quantile}
