"""Order: sorting, searching in what is sorted, and values without repetition."""

from __future__ import annotations

from typing import Any

from devtensor.core.dtype import int64
from devtensor.core.errors import ShapeError
from devtensor.core.op import Dim, Plain, composite, primitive
from devtensor.core.placement import LIKE_FIRST
from devtensor.core.rules import Operand, Types, index64, promoted, result_type
from devtensor.ops.compare import eq, isnan, logical_and, logical_not, logical_or, where
from devtensor.ops.create import cast, copy, zeros_like_spec
from devtensor.ops.examples import along_a_dim, case, fails
from devtensor.ops.gathering import gather, scatter
from devtensor.ops.index import by_values
from devtensor.ops.reduce import amax, amin, sum
from devtensor.ops.shape import as_shape, getitem


def _both(op, inputs, params):
    return [inputs[0].shape, inputs[0].shape]


@primitive(dtype=(promoted, index64), shape=_both, placement=LIKE_FIRST)
def sort(input, dim: Dim = -1, descending: Plain = False):
    """Values in order along `dim` and the places they came from; equal values keep their order, NaN is the
    largest.

    Shapes: input (*S) -> values (*S), indices (*S)
    """


def _back(g: Any, second: Any, like: Any, dim: int) -> Any:
    """Each value's gradient goes to the place it came from."""
    return scatter(zeros_like_spec(like.input), second, g, dim)


sort.vjp(input=_back)
sort.examples(along_a_dim(distinct=True))


@sort.examples
def _(make):
    yield case(make(2, 7, distinct=True), dim=-1, descending=True)
    yield case(make(0, 3), dim=0)


def _part(op, inputs, params):
    dim, first, last = params[:3]
    shape = inputs[0].shape
    if shape:
        shape = (*shape[:dim], last - first, *shape[dim + 1 :])
    return [shape, shape]


@composite(dtype=(promoted, index64), shape=_part, placement=LIKE_FIRST)
def ranked(input, dim: Dim, first: Plain, last: Plain, descending: Plain = False):
    """The values that rank from `first` to before `last` along `dim`, and the places they came from.

    Shapes: input (..., S, ...) -> values (..., last - first, ...), indices (..., last - first, ...)
    """
    found = sort(input, dim, descending)
    if not input.array.ndim:
        return found
    part = (*(slice(None),) * dim, slice(first, last))
    return tuple(copy(getitem(each, part)) for each in found)


ranked.vjp(input=lambda g, second, like, dim: _back(g, second, like, dim))


@ranked.examples
def _(make):
    yield case(make(9, distinct=True), dim=0, first=0, last=3)
    yield case(make(3, 8, distinct=True), dim=-1, first=2, last=5, descending=True)
    yield case(make(7, 2, layout="transposed", distinct=True), dim=0, first=6, last=7)
    yield case(make(2, 600, distinct=True), dim=1, first=299, last=300)
    yield case(make(600, distinct=True), dim=0, first=0, last=4, descending=True)
    yield case(make(), dim=0, first=0, last=1)
    yield case(make(4, 0), dim=0, first=1, last=2)
    yield case(make(4, 3), dim=1, first=2, last=2)


def _median(source: Any) -> Any:
    """The middle of all, the lower of two; NaN if there is one."""
    line = as_shape(source, (source.shape.numel(),))
    middle = (line.array.shape[0] - 1) // 2
    found = as_shape(ranked(line, 0, middle, middle + 1)[0], ())
    if not source.kind.dtype.is_floating_point:
        return found
    largest = amax(line, 0)
    return where(isnan(largest), largest, found)


def _known_median(source: Any) -> Any:
    """The middle of all that are not NaN, the lower of two."""
    values = sort(as_shape(source, (source.shape.numel(),)), 0, False)[0]
    count = sum(cast(logical_not(isnan(values)), int64), 0, True)
    middle = where(count > 0, (count - 1) // 2, 0)
    return as_shape(gather(values, middle, 0), ())


CHOICES = {"max": amax, "min": amin, "median": _median, "nanmedian": _known_median}


def _number(op, inputs, params):
    return ()


@composite(dtype=promoted, shape=_number)
def one_of_all(source, choice: Plain):
    """One of all numbers: "max", "min", "median" or "nanmedian". Those that equal it share its gradient.

    Shapes: source (*S) -> ()
    Source: NaN equals NaN here, as where PyTorch reduces all to one.
    """
    return CHOICES[choice](source)


def _among_equals(g: Any, source: Any, out: Any) -> Any:
    equal = logical_or(eq(source, out), logical_and(isnan(source), isnan(out)))
    winners = cast(equal, g.kind.dtype)
    return winners * (g / sum(winners))


one_of_all.vjp(source=_among_equals)


@one_of_all.examples
def _(make):
    for choice in CHOICES:
        yield case(make(3, 4, distinct=True), choice=choice)
    yield case(make(), choice="max")
    yield case(make(4, 3, layout="transposed", distinct=True), choice="median")


@primitive(dtype=(promoted, index64, index64), shape=by_values, data_dependent=True)
def unique(input):
    """Different values in ascending order, for each element the place of its value, and how often each
    occurs.

    Shapes: input (*S) -> values (K,), inverse (*S), counts (K,)
    """


# Recorded, and refused in backward, as in PyTorch.
unique.vjp()


@unique.examples
def _(make):
    yield case(make(3, 4, low=0, high=4, dtype="int64"))
    yield case(make(5))
    yield case(make())
    yield case(make(0))
    yield case(make(4, 3, layout="transposed", low=0, high=3, dtype="int64"))


def _met(op: str, operands: list[Operand], params: tuple) -> Types:
    return Types(result_type(operands), int64)


def _places(op, inputs, params):
    line, values = inputs[0].shape, inputs[1].shape
    if not line:
        raise ShapeError(f"[{op}] sorted is 0-d; it needs at least one dimension")
    if len(line) > 1 and line[:-1] != values[:-1]:
        raise ShapeError(
            f"[{op}] sorted {line} and values {values}: the first N-1 dimensions of boundaries tensor and "
            "input value tensor must match, unless sorted is 1-D"
        )
    return values


@primitive(dtype=_met, shape=_places, eager=True)
def searchsorted(sorted, values, right: Plain = False):
    """Where in the last dim of `sorted` each value belongs, so that the order stays; behind equal ones if
    `right`.

    Shapes: sorted (K,) and values (*S), or sorted (*B, K) and values (*B, N) -> like values
    """


searchsorted.vjp(None)


@searchsorted.examples
def _(make):
    yield case(make(1), make(3, 4))
    yield case(make(1), make(4), right=True)
    yield case(make(1), make())
    yield case(make(2, 1), make(2, 3))
    yield case(make(0), make(3))
    yield fails(make(2, 4), make(3, 4), error="must match")
