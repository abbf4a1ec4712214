"""Order in PyTorch's spellings: sorting, the largest few, medians, quantiles, searching, distinct values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import as_dtype, int32, int64
from devtensor.core.errors import ArgumentError, DTypeError, ShapeError
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor, describe
from devtensor.functions import results
from devtensor.ops import reduce
from devtensor.ops import sort as ops
from devtensor.ops.compare import eq, isnan, where
from devtensor.ops.create import cast, full
from devtensor.ops.elementwise import ceil, floor, round
from devtensor.ops.index import gather
from devtensor.ops.shape import as_shape, getitem, permute

__all__ = [
    "argsort",
    "bucketize",
    "isin",
    "kthvalue",
    "median",
    "msort",
    "nanmedian",
    "nanquantile",
    "quantile",
    "searchsorted",
    "sort",
    "topk",
]


def sort(
    input: Tensor, dim: Any = -1, descending: bool = False, stable: bool = True, *, axis: int | None = None
) -> Any:
    """Values in order along `dim` and the places they came from; equal values keep their order."""
    return results.sort(*ops.sort(input, dim if axis is None else axis, bool(descending)))


def argsort(
    input: Tensor, dim: Any = -1, descending: bool = False, stable: bool = True, *, axis: int | None = None
) -> Tensor:
    """The places, along `dim`, that values in order come from."""
    return ops.sort(input, dim if axis is None else axis, bool(descending))[1]


def msort(input: Tensor) -> Tensor:
    """Values in order along the first dim."""
    return ops.sort(input, 0, False)[0]


def _part(dim: int, start: int, stop: int) -> tuple:
    return (*(slice(None),) * dim, slice(start, stop))


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """The `k` largest, or smallest, values along `dim` in order, and their places.

    Errors: ArgumentError if there are fewer than k.
    """
    at = normalize_dim("topk", dim, input.array.ndim)
    size = input.array.shape[at] if input.array.ndim else 1
    if not 0 <= k <= size:
        raise ArgumentError(
            f"[topk] selected index k out of range: k={k} for {describe(input)} along dim {dim}"
        )
    values, places = ops.sort(input, at, bool(largest))
    if input.array.ndim == 0:
        return results.topk(values, places)
    part = _part(at, 0, k)
    return results.topk(getitem(values, part), getitem(places, part))


def _nth(input: Tensor, n: int, dim: int, keepdim: bool, result: Any) -> Any:
    """The value at place `n` of those in order along `dim`, and where it came from."""
    if input.array.ndim == 0:
        return result(*ops.sort(input, 0, False))
    values, places = ops.sort(input, dim, False)
    index = _part(dim, n, n + 1) if keepdim else (*(slice(None),) * dim, n)
    return result(getitem(values, index), getitem(places, index))


def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """The k-th smallest value along `dim`, counted from 1, and its place."""
    at = normalize_dim("kthvalue", dim, input.array.ndim)
    size = input.array.shape[at] if input.array.ndim else 1
    if not 1 <= k <= size:
        raise ArgumentError(f"[kthvalue] selected number k out of range for dimension {dim}: k={k} of {size}")
    return _nth(input, k - 1, at, keepdim, results.kthvalue)


def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle value, the lower of two; NaN if there is one. With `dim`, its place too."""
    if dim is None:
        flat = as_shape(input, (input.shape.numel(),))
        if not flat.array.shape[0]:
            return full((), float("nan"), input.dtype, input.device)
        return _median(flat, 0, False).values
    return _median(input, normalize_dim("median", dim, input.array.ndim), keepdim)


def _median(input: Tensor, dim: int, keepdim: bool) -> Any:
    size = input.array.shape[dim] if input.array.ndim else 1
    found = _nth(input, (size - 1) // 2, dim, True, results.median)
    if input.dtype.is_floating_point and input.array.ndim:
        last = _nth(input, size - 1, dim, True, results.median)
        bad = isnan(last.values)
        first_bad = reduce.argmax(cast(isnan(input), int32), dim, True)
        found = results.median(where(bad, last.values, found.values), where(bad, first_bad, found.indices))
    if keepdim or not input.array.ndim:
        return found
    index = (*(slice(None),) * dim, 0)
    return results.median(getitem(found.values, index), getitem(found.indices, index))


def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle of the values that are not NaN, the lower of two."""
    flat = as_shape(input, (input.shape.numel(),)) if dim is None else input
    at = 0 if dim is None else normalize_dim("nanmedian", dim, input.array.ndim)
    values, places = ops.sort(flat, at, False)
    if flat.array.ndim == 0:
        return results.nanmedian(values, places)
    count = reduce.sum(~isnan(flat), at, True)
    middle = where(count > 0, (count - 1) // 2, 0)
    found = gather(values, middle, at), gather(places, middle, at)
    if not keepdim:
        index = (*(slice(None),) * at, 0)
        found = getitem(found[0], index), getitem(found[1], index)
    return found[0] if dim is None else results.nanmedian(*found)


ROUNDINGS = ("linear", "lower", "higher", "nearest", "midpoint")


def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The values below which the shares `q` of the elements along `dim` lie; NaN if there is one.

    Shapes: q () or (Q,) -> S without dim, with Q in front if q has a dim
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, ignore_nan=False)


def nanquantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """`quantile` of the values that are not NaN."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, ignore_nan=True)


def _quantile(
    op: str, input: Tensor, q: Any, dim: Any, keepdim: bool, rounding: str, ignore_nan: bool
) -> Tensor:
    if rounding not in ROUNDINGS:
        raise ArgumentError(f"[{op}] interpolation is {rounding!r}; it needs one of {', '.join(ROUNDINGS)}")
    if not input.dtype.is_floating_point:
        raise DTypeError(f"[{op}] input tensor must be either float or double dtype; got {describe(input)}")
    q = q if isinstance(q, Tensor) else full((), q, input.dtype, input.device)
    at = 0 if dim is None else normalize_dim(op, dim, input.array.ndim)
    kept = (1,) * input.array.ndim if dim is None else _with_one(tuple(input.array.shape), at)
    moved = as_shape(input, (input.shape.numel(),)) if dim is None else _last(input, at)
    values = ops.sort(moved, -1, False)[0]
    count = reduce.sum(~isnan(moved), -1, True) if ignore_nan else moved.array.shape[-1]
    shares = as_shape(q, (q.shape.numel(),))
    rank = (
        shares * (count - 1) + values[..., :1] * 0
        if ignore_nan
        else shares * (count - 1) + moved[..., :1].detach() * 0
    )
    made = _between(values, rank, rounding)
    if not ignore_nan:
        made = where(isnan(values[..., -1:]), values[..., -1:], made)
    return _arranged(made, kept, at, q.array.ndim > 0, keepdim, dim is None)


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
    low, high = gather(values, below, -1), gather(values, above, -1)
    if rounding == "lower":
        return low
    if rounding == "higher":
        return high
    share = rank - floor(rank)
    if rounding == "nearest":
        return gather(values, cast(round(rank), int64), -1)
    return low + (high - low) * (0.5 * (share > 0) if rounding == "midpoint" else share)


def _arranged(made: Tensor, kept: tuple, at: int, many: bool, keepdim: bool, flat: bool) -> Tensor:
    """Results for each share, which lie in the last dim, brought to the front or dropped."""
    ndim = made.array.ndim
    made = permute(made, (ndim - 1, *range(ndim - 1)))
    shape = kept if keepdim else () if flat else (*kept[:at], *kept[at + 1 :])
    return as_shape(made, (made.array.shape[0], *shape) if many else shape)


def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where in the last dim of `sorted_sequence` each value belongs, so that the order stays."""
    if sorter is not None:
        sorted_sequence = gather(sorted_sequence, sorter, -1)
    if side not in (None, "left", "right"):
        raise ArgumentError(f"[searchsorted] side can only be 'left' or 'right' but got {side!r}")
    values = (
        input if isinstance(input, Tensor) else full((), input, sorted_sequence.dtype, sorted_sequence.device)
    )
    found = ops.searchsorted(sorted_sequence, values, right or side == "right")
    return cast(found, int32) if out_int32 else found


def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The number of the bucket, between sorted boundaries, that each value falls into."""
    if boundaries.array.ndim != 1:
        raise ShapeError(f"[bucketize] boundaries tensor must be 1 dimension, but got {describe(boundaries)}")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each element is among `test_elements`."""
    device = (elements if isinstance(elements, Tensor) else test_elements).device
    elements, tests = (
        v if isinstance(v, Tensor) else full((), v, _type_of(v), device) for v in (elements, test_elements)
    )
    flat = as_shape(tests, (tests.shape.numel(),))
    found = reduce.any(eq(as_shape(elements, (*elements.array.shape, 1)), flat), -1)
    return ~found if invert else found


def _type_of(value: Any) -> Any:
    return as_dtype(type(value))


METHODS: dict[str, Callable] = {
    f.__name__: f
    for f in (
        argsort, isin, kthvalue, median, msort, nanmedian, nanquantile, quantile, sort, topk,
    )
}  # fmt: skip
