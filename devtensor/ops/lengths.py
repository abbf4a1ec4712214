"""Lengths, distances and standard deviations: roots whose gradient is 0, not NaN, where they are 0."""

from __future__ import annotations

from math import inf, prod
from typing import Any

from devtensor.core.op import OWN, Dims, Plain, composite
from devtensor.core.rules import only_floating, real_of, reduced
from devtensor.core.spec import broadcast_shapes
from devtensor.ops.compare import eq, isnan, logical_or, ne, where
from devtensor.ops.create import cast
from devtensor.ops.examples import case, fails, reductions
from devtensor.ops.extremes import maximum
from devtensor.ops.functions import sqrt
from devtensor.ops.linalg import matmul, transposed
from devtensor.ops.parts import abs, sgn
from devtensor.ops.reduce import amax, amin, mean, spread, sum, sum_to, var, widened


@composite(dtype=real_of(only_floating), shape=reduced, amp="float32", complex=OWN)
def vector_norm(input, dim: Dims = None, keepdim: Plain = False, p: Plain = 2):
    """The p-norm over `dim`: (sum |x|^p)^(1/p); inf: the largest, -inf: the smallest, 0: how many are not 0.

    Shapes: input (*S) -> S without dim
    Source: where the norm is 0 the gradient is 0, as in PyTorch.
    """
    wide = widened(input)
    found = _length(abs(wide) if input.kind.dtype.is_complex else wide, dim, keepdim, p)
    return found if wide is input else cast(found, input.kind.dtype)


def _length(input: Any, dim: tuple[int, ...], keepdim: bool, p: float) -> Any:
    if p == inf:
        return amax(abs(input), dim, keepdim)
    if p == -inf:
        return amin(abs(input), dim, keepdim)
    if p == 0:
        return sum(cast(ne(input, 0), input.kind.dtype), dim, keepdim)
    if p == 1:
        return sum(abs(input), dim, keepdim)
    if p == 2:
        return sqrt(sum(input * input, dim, keepdim))
    return sum(abs(input) ** p, dim, keepdim) ** (1.0 / p)


def _no_zero(out: Any) -> Any:
    """`out`, infinite where it is 0, so that what is divided by it vanishes."""
    return where(eq(out, 0), inf, out)


def _norm_gradient(
    g: Any, input: Any, out: Any, like: Any, dim: tuple[int, ...], keepdim: bool, p: float
) -> Any:
    if p == 0:
        return input * 0
    if p == 1:
        return spread(g, like, dim, keepdim) * sgn(input)
    if p == 2:
        nothing = eq(spread(out, like, dim, keepdim), 0)
        return where(nothing, 0.0, spread(g / out, like, dim, keepdim) * input)
    if p in (inf, -inf):
        sizes = abs(input)
        equal = logical_or(eq(sizes, spread(out, like, dim, keepdim)), isnan(sizes))
        winners = cast(equal, g.kind.dtype)
        return spread(g, like, dim, keepdim) * sgn(input) * (winners / sum(winners, dim, True))
    return _power_gradient(spread(g, like, dim, keepdim), input, spread(out, like, dim, keepdim), p)


def _power_gradient(g: Any, input: Any, norm: Any, p: float) -> Any:
    """sgn(x) (|x| / norm)^(p - 1), its powers taken as PyTorch takes them, whose infinities are these."""
    if p < 1:
        steep = where(eq(input, 0), 0.0, abs(input) ** (p - 1))
        return sgn(input) * steep * g * norm ** (1 - p)
    share = where(eq(norm, 0), 0.0, g / norm ** (p - 1))
    return (sgn(input) * abs(input) ** (p - 1) if p < 2 else input * abs(input) ** (p - 2)) * share


vector_norm.vjp(input=_norm_gradient)
vector_norm.examples(reductions(apart=0.2, distinct=True))


@vector_norm.examples
def _(make):
    for p in (0.5, 1, 3, inf, -inf):
        yield case(make(2, 5, apart=0.2, distinct=True), dim=1, p=p)
    yield case(make(3, 4), dim=0, p=0)


@composite(dtype=real_of(only_floating), shape=reduced, complex=OWN)
def std(input, dim: Dims = None, keepdim: Plain = False, correction: Plain = 1):
    """Standard deviation over `dim`: the root of `var`.

    Shapes: input (*S) -> S without dim
    Source: where it is 0 the gradient is 0, as in PyTorch.
    """
    return sqrt(var(input, dim, keepdim, correction))


def _std_gradient(
    g: Any, input: Any, out: Any, like: Any, dim: tuple[int, ...], keepdim: bool, correction: float
) -> Any:
    count = prod(like.input.shape[d] for d in dim)
    share = g / (_no_zero(out) * max(1e-300, count - correction))
    return spread(share, like, dim, keepdim) * (input - mean(input, dim, True))


std.vjp(input=_std_gradient)


@std.examples
def _(make):
    yield case(make(5))
    yield case(make(2, 3, 4), dim=(0, 2))
    yield case(make(2, 3, 4), dim=-1, keepdim=True, correction=0)
    yield case(make(4, 3, layout="transposed"), dim=0)


def _pairs(op, inputs, params):
    left, right = (operand.shape for operand in inputs)
    return (*broadcast_shapes(op, [left[:-2], right[:-2]]), left[-2], right[-2])


@composite(dtype=only_floating, shape=_pairs, amp="float32")
def distances(x1, x2):
    """The distance between every row of one and every row of the other, by one matrix product.

    Shapes: x1 (*B, N, D), x2 (*B, M, D) -> (*B, N, M)
    Source: |a - b|^2 = a a + b b - 2 a b, which is off by some units in the last place of the lengths; the
    gradient of equal rows is 0.
    """
    squares = sum(x1 * x1, -1, True) + transposed(sum(x2 * x2, -1, True))
    return sqrt(maximum(squares - matmul(x1, transposed(x2)) * 2, 0))


def _from_pairs(g: Any, x1: Any, x2: Any, out: Any) -> Any:
    """Along the lines to all rows of the other; to those that are equal there is none."""
    share = where(eq(out, 0), 0.0, g / out)
    return sum_to(x1 * sum(share, -1, True) - matmul(share, x2), tuple(x1.array.shape))


distances.vjp(
    x1=_from_pairs,
    x2=lambda g, x1, x2, out: _from_pairs(transposed(g), x2, x1, transposed(out)),
)


@distances.examples
def _(make):
    yield case(make(3, 2, distinct=True), make(4, 2, distinct=True, low=3, high=9))
    yield case(make(2, 1, 3, 4), make(5, 2, 4, low=3, high=9))
    yield case(make(0, 3), make(2, 3))
    yield fails(make(2, 3, 4), make(3, 3, 4), error="broadcast")
