"""Values combined at the places that indices name: products, means and extremes."""

from __future__ import annotations

from typing import Any

from devtensor.core.op import HOLOMORPHIC, Dim, Index, Plain, primitive
from devtensor.core.rules import same
from devtensor.ops.compare import eq, logical_and, where
from devtensor.ops.create import cast
from devtensor.ops.elementwise import div, mul
from devtensor.ops.examples import case, fails, index
from devtensor.ops.gathering import gather, scatter, scatter_add, scatter_shape, within_src
from devtensor.ops.shape import getitem


@primitive(dtype=same, shape=scatter_shape, eager=True, complex=HOLOMORPHIC)
def scatter_reduce(input, index: Index, src, dim: Dim, reduce: Plain, include_self: Plain = True):
    """A copy of `input` whose elements, where `index` names them along `dim`, are combined with those of
    `src`: `reduce` is "sum", "prod", "mean", "amax" or "amin". Without `include_self` what stood there does
    not count. Complex numbers have no largest.

    Shapes: input (*S), index (*T), src at least (*T) -> (*S)
    Errors: ShapeError if an index is not in [0, S[dim]).
    """


def _used(src: Any, index: Any) -> Any:
    """The corner of `src` that `index` speaks of."""
    shape = tuple(index.array.shape)
    return src if tuple(src.array.shape) == shape else getitem(src, tuple(slice(0, n) for n in shape))


def _ones_at(input: Any, index: Any, dim: int, include_self: bool) -> Any:
    """How many values meet at each place, at least 1."""
    start = input * 0 + (1 if include_self else 0)
    count = scatter_add(start, index, _used(gather(input, index, dim) * 0 + 1, index), dim)
    return where(eq(count, 0), 1.0, count)


def _without_self(g: Any, index: Any, dim: int, include_self: bool) -> Any:
    return g if include_self else scatter(g, index, gather(g, index, dim) * 0, dim)


def _self_gradient(
    g: Any, input: Any, index: Any, src: Any, out: Any, dim: int, reduce: str, include_self: bool
) -> Any:
    """The share of what stood there; extremes share evenly with all that equal them."""
    if reduce == "mean":
        g = g / _ones_at(input.detach(), index, dim, include_self)
    elif reduce == "prod":
        whole = where(eq(input, 0), 1.0, input)
        g = g * (scatter_reduce(whole, index, src, dim, "prod", include_self) / whole)
    elif reduce != "sum":
        mine, _, shared = _winners(g, input, index, src, out, dim)
        g = mine * shared
    return _without_self(g, index, dim, include_self)


def _src_gradient(
    g: Any, input: Any, index: Any, src: Any, out: Any, like: Any, dim: int, reduce: str, include_self: bool
) -> Any:
    """The share of what was brought; extremes share evenly with all that equal them."""
    if reduce == "sum":
        part = gather(g, index, dim)
    elif reduce == "mean":
        part = gather(g / _ones_at(input.detach(), index, dim, include_self), index, dim)
    elif reduce == "prod":
        part = _product_gradient(g, input, index, _used(src, index), out, dim, include_self)
    else:
        _, theirs, shared = _winners(g, input, index, src, out, dim)
        part = theirs * gather(shared, index, dim)
    return within_src(part, like.src.shape)


def _winners(g: Any, input: Any, index: Any, src: Any, out: Any, dim: int) -> tuple[Any, Any, Any]:
    """Where what stood there is the extreme, where what was brought is, and the gradient for each of them."""
    mine = cast(eq(input, out), g.kind.dtype)
    theirs = cast(eq(_used(src, index), gather(out, index, dim)), g.kind.dtype)
    return mine, theirs, g / scatter_add(mine, index, theirs, dim)


def _product_gradient(
    g: Any, input: Any, index: Any, src: Any, out: Any, dim: int, include_self: bool
) -> Any:
    """The product of all others; where a factor is the only 0, of all but it."""
    zero = eq(src, 0)
    count = gather(scatter_add(input * 0, index, cast(zero, g.kind.dtype), dim), index, dim)
    alone = logical_and(zero, eq(count, 1))
    others = scatter_reduce(input, index, where(alone, 1.0, src), dim, "prod", include_self)
    rest = div(gather(mul(g, out), index, dim), where(zero, 1.0, src))
    return where(alone, gather(mul(g, others), index, dim), rest)


scatter_reduce.vjp(input=_self_gradient, src=_src_gradient)


@scatter_reduce.examples
def _(make):
    for reduce in ("sum", "prod", "mean", "amax", "amin"):
        facts: Any = {"distinct": True, "dtype": "float64" if reduce[0] == "a" else None}
        yield case(
            make(4, 3, apart=0.3, **facts),
            index(2, 3, size=4),
            make(2, 3, low=0.4, **facts),
            dim=0,
            reduce=reduce,
        )
        yield case(
            make(2, 3, 4, apart=0.3, **facts),
            index(2, 3, 6, size=4),
            make(2, 3, 7, low=-3.0, high=-0.5, **facts),
            dim=-1,
            reduce=reduce,
            include_self=False,
        )
    yield case(make(4, 3, layout="transposed"), index(0, 2, size=3), make(4, 2), dim=1, reduce="prod")
    yield fails(make(4, 3), index(2, 3, size=4), make(1, 3), dim=0, reduce="prod", error="smaller than index")
