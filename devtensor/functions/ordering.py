"""Order in PyTorch's spellings: sorting, the largest few, medians, searching."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import BOOL, COMPLEX, iinfo, int32, int64
from devtensor.core.errors import ArgumentTypeError, DTypeError, IndexingError, OptionError, ShapeError
from devtensor.core.rules import literal_operand
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor, describe
from devtensor.functions import results
from devtensor.functions.comparing import common_dtype
from devtensor.functions.reducing import UNNAMED, without_dim
from devtensor.functions.shaping import view
from devtensor.ops import reduce
from devtensor.ops import sort as ops
from devtensor.ops.compare import eq, isnan, where
from devtensor.ops.create import cast, full
from devtensor.ops.gathering import gather
from devtensor.ops.shape import as_shape, getitem

__all__ = [
    "argsort",
    "bucketize",
    "isin",
    "kthvalue",
    "median",
    "msort",
    "nanmedian",
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


def _refuse_truth(op: str, k: Any) -> None:
    if isinstance(k, bool):
        raise ArgumentTypeError(f"[{op}] k is {k}; it needs an int")


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """The `k` largest, or smallest, values along `dim` in order, and their places.

    Errors: ShapeError if there are fewer than k.
    """
    at = normalize_dim("topk", dim, input.array.ndim)
    size = input.array.shape[at] if input.array.ndim else 1
    _refuse_truth("topk", k)
    if not 0 <= k <= size:
        raise ShapeError(f"[topk] selected index k out of range: k={k} for {describe(input)} along dim {dim}")
    return results.topk(*ops.ranked(input, at, 0, k, bool(largest)))


def _nth(input: Tensor, n: int, dim: int, keepdim: bool, result: Any) -> Any:
    """The value at place `n` of those in order along `dim`, and where it came from."""
    found = ops.ranked(input, dim, n, n + 1)
    return result(*found) if keepdim or not input.array.ndim else result(*_without(found, dim))


def _without(found: Any, dim: int) -> Any:
    """Tensors without a dim of size 1."""
    shape = found[0].array.shape
    return [as_shape(each, (*shape[:dim], *shape[dim + 1 :])) for each in found]


def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """The k-th smallest value along `dim`, counted from 1, and its place."""
    at = _not_empty("kthvalue", input, dim)
    size = input.array.shape[at] if input.array.ndim else 1
    _refuse_truth("kthvalue", k)
    if not 1 <= k <= size:
        raise ShapeError(f"[kthvalue] selected number k out of range for dimension {dim}: k={k} of {size}")
    return _nth(input, k - 1, at, keepdim, results.kthvalue)


def median(input: Tensor, dim: Any = UNNAMED, keepdim: bool = False) -> Any:
    """The middle value, the lower of two; NaN if there is one. With `dim`, its place too.

    Errors: DTypeError for bool, ArgumentTypeError for keepdim without dim.
    """
    if dim is UNNAMED:
        without_dim("median", None, keepdim)
        return _of_all("median", input)
    at = _not_empty("median", input, dim)
    _ordered("median", input)
    return _median(input, at, keepdim)


def _not_empty(op: str, input: Tensor, dim: int) -> int:
    """The dim, counted from the front, which must hold something."""
    at = normalize_dim(op, dim, input.array.ndim)
    if input.array.ndim and not input.array.shape[at]:
        raise IndexingError(f"[{op}] {describe(input)}: Expected reduction dim {dim} to have non-zero size.")
    return at


def _ordered(op: str, input: Tensor) -> None:
    if input.dtype.category in (BOOL, COMPLEX):
        raise DTypeError(f"[{op}] not implemented for {describe(input)}; convert it first")


def _nothing(input: Tensor) -> Tensor:
    """The median of no elements: NaN, and what a NaN becomes as a bool or an integer of the dtype."""
    dtype, value = input.dtype, 0.0
    if dtype.differentiable:
        value = float("nan")
    elif dtype.category == BOOL or dtype.bits >= 32:
        value = True if dtype.category == BOOL else iinfo.of(dtype).min
    return full((), value, dtype, input.device)


def _of_all(name: str, input: Tensor) -> Tensor:
    if not input.shape.numel():
        return _nothing(input) + reduce.sum(input) if input.requires_grad else _nothing(input)
    _ordered(name, input)
    return ops.one_of_all(input, name)


def _median(input: Tensor, dim: int, keepdim: bool) -> Any:
    size = input.array.shape[dim] if input.array.ndim else 1
    found = _nth(input, (size - 1) // 2, dim, True, results.median)
    if input.dtype.is_floating_point and input.array.ndim:
        largest = reduce.amax(input, dim, True)
        bad = isnan(largest)
        first_bad = reduce.argmax(cast(isnan(input), int32), dim, True)
        found = results.median(where(bad, largest, found.values), where(bad, first_bad, found.indices))
    return found if keepdim or not input.array.ndim else results.median(*_without(found, dim))


def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle of the values that are not NaN, the lower of two."""
    if dim is None:
        return _of_all("nanmedian", input)
    _ordered("nanmedian", input)
    at = _not_empty("nanmedian", input, dim)
    values, places = ops.sort(input, at, False)
    if input.array.ndim == 0:
        return results.nanmedian(values, places)
    count = reduce.sum(~isnan(input), at, True)
    middle = where(count > 0, (count - 1) // 2, 0)
    found = gather(values, middle, at), gather(places, middle, at)
    if not keepdim:
        index = (*(slice(None),) * at, 0)
        found = getitem(found[0], index), getitem(found[1], index)
    return results.nanmedian(*found)


def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where in the last dim of `sorted_sequence` each value belongs, so that the order stays.

    Shapes: sorted_sequence (K,), input (*S) -> (*S), or (*B, K), (*B, N) -> (*B, N)
    Errors: OptionError for a side that is neither "left" nor "right", or contradicts `right`.
    """
    if side not in (None, "left", "right"):
        raise OptionError(f"[searchsorted] side can only be 'left' or 'right' but got {side!r}")
    if right and side == "left":
        raise OptionError("[searchsorted] side and right can't be set to opposites: side is left, right True")
    values = (
        input if isinstance(input, Tensor) else full((), input, _number_type(input), sorted_sequence.device)
    )
    if sorter is not None:
        sorted_sequence = _in_order(sorted_sequence, sorter)
    found = ops.searchsorted(sorted_sequence, values, right or side == "right")
    return cast(found, int32) if out_int32 else found


def _in_order(sequence: Tensor, sorter: Tensor) -> Tensor:
    """The sequence as the places in `sorter` have it."""
    if sorter.dtype is not int64 or sorter.array.shape != sequence.array.shape:
        raise ShapeError(
            "[searchsorted] boundary and sorter must have the same size, and sorter must be of int64; got "
            f"{describe(sequence)} and {describe(sorter)}"
        )
    return gather(sequence, sorter, -1)


def _number_type(value: Any) -> Any:
    return literal_operand(type(value)).dtype


def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The number of the bucket, between sorted boundaries, that each value falls into."""
    if boundaries.array.ndim != 1:
        raise ShapeError(f"[bucketize] boundaries tensor must be 1 dimension, but got {describe(boundaries)}")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def isin(
    elements: Any = None,
    test_elements: Any = None,
    *,
    assume_unique: bool = False,
    invert: bool = False,
    element: Any = None,
    test_element: Any = None,
) -> Tensor:
    """Whether each element is among `test_elements`; `element` and `test_element` name a lone number.

    Shapes: elements (*S), test_elements (*T) -> (*S)
    """
    elements = element if elements is None else elements
    test_elements = test_element if test_elements is None else test_elements
    given = [value for value in (elements, test_elements) if isinstance(value, Tensor)]
    if not given:
        raise ArgumentTypeError("[isin] got two numbers; one of the two must be a Tensor")
    elements, tests = (
        v if isinstance(v, Tensor) else full((), v, _number_type(v), given[0].device)
        for v in (elements, test_elements)
    )
    for value in (elements, tests):
        if value.dtype.category in (BOOL, COMPLEX):
            raise DTypeError(f"[isin] Unsupported input type encountered for isin(): {value.dtype.name}")
    count = tests.shape.numel()
    dtype = common_dtype((elements, tests))
    tests = tests if tests.dtype is dtype else cast(tests, dtype)
    # A few are looked at as they lie, as in PyTorch: refused where that takes a copy.
    few = count < int(10 * elements.shape.numel() ** 0.145)
    flat = view(tests, (count,)) if few else as_shape(tests, (count,))
    found = reduce.any(eq(as_shape(elements, (*elements.array.shape, 1)), flat), -1)
    return ~found if invert else found


METHODS: dict[str, Callable] = {
    f.__name__: f
    for f in (
        argsort, isin, kthvalue, median, msort, nanmedian, sort, topk,
    )
}  # fmt: skip
