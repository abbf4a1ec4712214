"""Running sums, products and extremes."""

from __future__ import annotations

from typing import Any

from devtensor.core.dtype import int64
from devtensor.core.op import HOLOMORPHIC, Dim, Plain, composite, primitive
from devtensor.core.rules import accumulated, index64, same_shape
from devtensor.ops.compare import eq, ge, le, logical_or, ne, where
from devtensor.ops.create import arange, full
from devtensor.ops.examples import along_a_dim, case
from devtensor.ops.join import cat
from devtensor.ops.shape import as_shape, expand, flip, getitem


@primitive(dtype=accumulated, shape=same_shape, amp="float32", complex=HOLOMORPHIC)
def cumsum(input, dim: Dim):
    """Running sum along `dim`.

    Shapes: input (*S) -> (*S)
    """


cumsum.vjp(input=lambda g, dim: flip(cumsum(flip(g, (dim,)), dim), (dim,)) if g.array.ndim else g)
cumsum.examples(along_a_dim())


def _cumprod_gradient(g: Any, input: Any, out: Any, dim: int) -> Any:
    """The product of what stands before, times what later products owe to this factor.

    With o[i] = g[i] + input[i+1] * o[i+1] nothing is divided, so that factors of 0 are no matter.
    Source: the recurrence in doubling steps (Hillis and Steele, 1986).
    """
    if not g.array.ndim or not g.array.shape[dim]:
        return g
    size = g.array.shape[dim]

    def part(values: Any, start: int, stop: int) -> Any:
        return getitem(values, (*(slice(None),) * dim, slice(start, stop)))

    first = part(input, 0, 1)
    before = cat(first * 0 + 1, part(out, 0, size - 1), dim=dim)
    factors, owed, step = cat(part(input, 1, size), first, dim=dim), g, 1
    while step < size:
        stop = size - step
        head = part(factors, 0, stop)
        owed = cat(part(owed, 0, stop) + head * part(owed, step, size), part(owed, stop, size), dim=dim)
        factors = cat(head * part(factors, step, size), part(factors, stop, size), dim=dim)
        step *= 2
    # PyTorch's formula divides products by the factor, which leaves NaN of an infinite one.
    return before * owed + where(eq(before, 0), 0.0, input * 0)


@primitive(dtype=accumulated, shape=same_shape, amp="float32", complex=HOLOMORPHIC)
def cumprod(input, dim: Dim):
    """Running product along `dim`.

    Shapes: input (*S) -> (*S)
    """


cumprod.vjp(input=_cumprod_gradient)
cumprod.examples(along_a_dim(apart=0.3))


@composite(dtype=index64, shape=same_shape)
def extreme_places(input, dim: Dim, largest: Plain):
    """Where along `dim` the largest so far stands, or the smallest; of equal ones the last, NaN beyond all.

    Shapes: input (*S) -> (*S)
    Source: stretches of doubled length (Hillis and Steele, 1986).
    """
    shape = tuple(input.array.shape)
    if not shape:
        return full((), 0, int64, input.kind.device)
    size = shape[dim]
    line = as_shape(arange(0, 1, size, int64, input.kind.device), (size, *(1,) * (len(shape) - dim - 1)))
    values, places, step = input, expand(line, shape), 1

    def part(whole: Any, start: int, stop: int) -> Any:
        return getitem(whole, (*(slice(None),) * dim, slice(start, stop)))

    while step < shape[dim]:
        stop = shape[dim] - step
        early, late = part(values, 0, stop), part(values, step, shape[dim])
        kept = logical_or(ge(late, early) if largest else le(late, early), ne(late, late))
        values, places = (
            cat(
                part(whole, 0, step),
                where(kept, part(whole, step, shape[dim]), part(whole, 0, stop)),
                dim=dim,
            )
            for whole in (values, places)
        )
        step *= 2
    return places


extreme_places.vjp(None)


@extreme_places.examples
def _(make):
    for largest in (True, False):
        yield case(make(3, 7), dim=1, largest=largest)
        yield case(make(5, 2, layout="transposed", low=0, high=3, dtype="int64"), dim=0, largest=largest)
    yield case(make(), dim=0, largest=True)
    yield case(make(0, 3), dim=0, largest=True)
    yield case(make(1, 0), dim=0, largest=False)
