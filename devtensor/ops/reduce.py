"""Reductions: many numbers into fewer."""

from __future__ import annotations

from math import inf, nan
from math import prod as _product
from typing import Any

from devtensor.core.dtype import float32, int64
from devtensor.core.op import HOLOMORPHIC, OWN, Dim, Dims, composite, primitive
from devtensor.core.rules import (
    accumulated,
    boolean,
    floating,
    index64,
    only_floating,
    promoted,
    real_of,
    reduced,
)
from devtensor.ops.compare import bitwise_not, eq, isinf, ne, where
from devtensor.ops.create import cast
from devtensor.ops.examples import along_a_dim, case, reductions
from devtensor.ops.functions import exp, log
from devtensor.ops.join import cat
from devtensor.ops.parts import imag, real
from devtensor.ops.scans import cumprod
from devtensor.ops.shape import as_shape, expand, flip, getitem, inverse, permute


def spread(g: Any, like: Any, dims: tuple[int, ...], keepdim: bool) -> Any:
    """A reduction's gradient, stretched over the dims that were reduced."""
    shape = like.input.shape
    if not keepdim and g.array.ndim:
        g = as_shape(g, tuple(1 if d in dims else size for d, size in enumerate(shape)))
    return expand(g, shape)


@primitive(dtype=accumulated, shape=reduced, amp="float32", complex=HOLOMORPHIC)
def sum(input, dim: Dims = None, keepdim=False):
    """Sum over `dim`; bools and integers are summed as int64.

    Shapes: input (*S) -> S without dim
    """


def sum_to(g: Any, shape: tuple[int, ...]) -> Any:
    """A gradient summed over the dimensions along which its input was stretched."""
    extra = g.array.ndim - len(shape)
    dims = tuple(range(extra)) + tuple(
        d + extra for d, size in enumerate(shape) if size == 1 and g.array.shape[d + extra] != 1
    )
    if dims:
        g = sum(g, dims, True)
    return as_shape(g, tuple(shape)) if extra else g


sum.vjp(input=lambda g, like, dim, keepdim: spread(g, like, dim, keepdim))
sum.examples(reductions())


def widened(input: Any) -> Any:
    """Half types as float32, whose sums do not overflow where their mean would not."""
    dtype = input.kind.dtype
    return cast(input, float32) if dtype.is_floating_point and dtype.bits == 16 else input


@composite(dtype=only_floating, shape=reduced, complex=HOLOMORPHIC)
def mean(input, dim: Dims = None, keepdim=False):
    """Mean over `dim`; NaN of nothing.

    Shapes: input (*S) -> S without dim
    Errors: DTypeError for bools and integers.
    """
    count = _product(input.shape[d] for d in dim)
    total = sum(widened(input), dim, keepdim) / (count if count else float("nan"))
    return cast(total, input.kind.dtype) if total.kind is not input.kind else total


mean.vjp(
    input=lambda g, like, dim, keepdim: spread(
        g / max(1, _product(like.input.shape[d] for d in dim)), like, dim, keepdim
    )
)
mean.examples(reductions())


def _prod_gradient(g: Any, input: Any, like: Any, dim: tuple[int, ...], keepdim: bool) -> Any:
    """The product of all others, by products from both ends: right where some input is 0, and smooth."""
    rest = [d for d in range(len(like.input.shape)) if d not in dim]
    order = (*rest, *dim)
    moved = permute(input, order)
    flat = as_shape(moved, (*moved.array.shape[: len(rest)], _product(like.input.shape[d] for d in dim)))
    axis = len(rest)
    ones = expand(getitem(flat * 0 + 1, (*(slice(None),) * axis, slice(0, 1))), (*flat.array.shape[:axis], 1))
    before = getitem(cumprod(flat, axis), (*(slice(None),) * axis, slice(0, -1)))
    after = flip(getitem(cumprod(flip(flat, (axis,)), axis), (*(slice(None),) * axis, slice(0, -1))), (axis,))
    others = cat(ones, before, dim=axis) * cat(after, ones, dim=axis)
    shaped = permute(as_shape(others, tuple(moved.array.shape)), inverse(order))
    return spread(g, like, dim, keepdim) * shaped


@primitive(dtype=accumulated, shape=reduced, amp="float32", complex=HOLOMORPHIC)
def prod(input, dim: Dims = None, keepdim=False):
    """Product over `dim`; bools and integers are multiplied as int64.

    Shapes: input (*S) -> S without dim
    """


prod.vjp(
    # The result is asked for so that a write into it is noticed, as in PyTorch.
    input=lambda g, input, out, like, dim, keepdim: (
        _prod_gradient(g, input, like, dim, keepdim)
        if _product(like.input.shape)
        else spread(g, like, dim, keepdim)
    )
)
prod.examples(reductions())


def _extreme_gradient(g: Any, input: Any, out: Any, like: Any, dim: tuple[int, ...], keepdim: bool) -> Any:
    """The gradient shared evenly among all that equal the extreme, as PyTorch's amax does."""
    winners = cast(eq(input, spread(out, like, dim, keepdim)), g.kind.dtype)
    return spread(g, like, dim, keepdim) * (winners / sum(winners, dim, True))


@primitive(dtype=promoted, shape=reduced)
def amax(input, dim: Dims = None, keepdim=False):
    """Largest value over `dim`; NaN if there is one. Equal values share the gradient.

    Shapes: input (*S) -> S without dim
    Errors: ShapeError over nothing.
    """


def _upside_down(input: Any) -> Any:
    """Numbers in the opposite order; integers by their bits, as the least of them has no opposite."""
    return -input if input.kind.dtype.is_floating_point else bitwise_not(input)


@composite(dtype=promoted, shape=reduced, rounding=4)
def amin(input, dim: Dims = None, keepdim=False):
    """Smallest value over `dim`; NaN if there is one. Equal values share the gradient.

    Shapes: input (*S) -> S without dim
    Errors: ShapeError over nothing.
    """
    return _upside_down(amax(_upside_down(input), dim, keepdim))


for _op in (amax, amin):
    _op.vjp(input=_extreme_gradient)
    _op.examples(reductions(distinct=True))


@composite(dtype=boolean, shape=reduced, complex=OWN)
def any(input, dim: Dims = None, keepdim=False):
    """Whether any value over `dim` is non-zero.

    Shapes: input (*S) -> S without dim
    """
    return ne(sum(cast(ne(input, 0), int64), dim, keepdim), 0)


@composite(dtype=boolean, shape=reduced, complex=OWN)
def all(input, dim: Dims = None, keepdim=False):
    """Whether all values over `dim` are non-zero.

    Shapes: input (*S) -> S without dim
    """
    return eq(sum(cast(eq(input, 0), int64), dim, keepdim), 0)


for _op in (any, all):
    _op.vjp(None)
    _op.examples(reductions(low=0, high=2))


@primitive(dtype=index64, shape=reduced)
def argmax(input, dim: Dim, keepdim=False):
    """Place of the first largest value along `dim`; NaN counts as the largest.

    Shapes: input (*S) -> S without dim
    """


@composite(dtype=index64, shape=reduced)
def argmin(input, dim: Dim, keepdim=False):
    """Place of the first smallest value along `dim`; NaN counts as the smallest.

    Shapes: input (*S) -> S without dim
    """
    return argmax(_upside_down(input), dim, keepdim)


for _op in (argmax, argmin):
    _op.vjp(None)
    _op.examples(along_a_dim(distinct=True))


@composite(dtype=real_of(only_floating), shape=reduced, complex=OWN)
def var(input, dim: Dims = None, keepdim=False, correction=1):
    """Variance over `dim`: squared distances from the mean, divided by the count less `correction`.

    Shapes: input (*S) -> S without dim
    """
    count = _product(input.shape[d] for d in dim)
    if input.kind.dtype.is_complex:
        return var(real(input), dim, keepdim, correction) + var(imag(input), dim, keepdim, correction)
    wide = widened(input)
    apart = wide - mean(wide, dim, True)
    found = sum(apart * apart, dim, keepdim) / max(0.0, count - correction)
    return cast(found, input.kind.dtype) if found.kind is not input.kind else found


def _var_gradient(g: Any, input: Any, like: Any, dim: tuple[int, ...], keepdim: bool, correction: Any) -> Any:
    """2 / (count - correction) times the distance from the mean; infinite, as in PyTorch, where all elements
    are fewer than a correction, which is then infinite."""
    left = _product(like.input.shape[d] for d in dim) - correction
    middle, wide = mean(input, dim, True), spread(g, like, dim, keepdim)
    if left == -inf:
        return wide * where(eq(input, middle), nan, inf)
    return wide * (input - middle) * 2.0 / left


var.vjp(input=_var_gradient)


@var.examples
def _(make):
    yield case(make(5))
    yield case(make(2, 3, 4), dim=(0, 2))
    yield case(make(2, 3, 4), dim=-1, keepdim=True, correction=0)
    yield case(make(4, 3, layout="transposed"), dim=0)


@composite(dtype=floating, shape=reduced, amp="float32", complex=HOLOMORPHIC)
def logsumexp(input, dim: Dims, keepdim=False):
    """log(sum(exp(input))) over `dim`, computed after subtracting the largest value.

    Shapes: input (*S) -> S without dim
    """
    if not _product(input.shape):
        return log(sum(exp(input), dim, keepdim))
    top = amax(real(input) if input.kind.dtype.is_complex else input, dim, True)
    top = where(isinf(top), 0.0, top)
    total = log(sum(exp(input - top), dim, keepdim))
    return total + (top if keepdim else as_shape(top, tuple(total.array.shape)))


logsumexp.vjp(
    input=lambda g, input, out, like, dim, keepdim: (
        spread(g, like, dim, keepdim) * exp(input - spread(out, like, dim, keepdim))
    )
)


@logsumexp.examples
def _(make):
    yield case(make(5), dim=0)
    yield case(make(2, 3, 4, low=-50, high=50), dim=(0, 2))
    yield case(make(2, 3), dim=-1, keepdim=True)
    yield case(make(2, 0), dim=1)
