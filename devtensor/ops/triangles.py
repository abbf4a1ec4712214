"""The triangles of matrices."""

from __future__ import annotations

from typing import Any

from devtensor.core.dtype import int64
from devtensor.core.op import MOVED, Plain, composite
from devtensor.core.placement import IN_ROWS
from devtensor.core.rules import same, same_shape
from devtensor.ops.compare import ge, le, where
from devtensor.ops.create import arange, full
from devtensor.ops.examples import case
from devtensor.ops.shape import as_shape


def _across(input: Any) -> Any:
    """How far to the right of the diagonal each element of a matrix stands."""
    down, across = (arange(0, 1, size, int64, input.kind.device) for size in input.array.shape[-2:])
    return across - as_shape(down, (*down.array.shape, 1))


def _kept(input: Any, mask: Any) -> Any:
    """`input` where the mask holds, zeros elsewhere."""
    return where(mask, input, full((), 0, input.kind.dtype, input.kind.device))


@composite(dtype=same, shape=same_shape, complex=MOVED, placement=IN_ROWS, rounding=4)
def tril(input, diagonal: Plain = 0):
    """The lower triangle of matrices, zeros above `diagonal`.

    Shapes: input (*B, N, M) -> (*B, N, M)
    """
    return _kept(input, le(_across(input), diagonal))


@composite(dtype=same, shape=same_shape, complex=MOVED, placement=IN_ROWS, rounding=4)
def triu(input, diagonal: Plain = 0):
    """The upper triangle of matrices, zeros below `diagonal`.

    Shapes: input (*B, N, M) -> (*B, N, M)
    """
    return _kept(input, ge(_across(input), diagonal))


tril.vjp(input=lambda g, diagonal: tril(g, diagonal))
triu.vjp(input=lambda g, diagonal: triu(g, diagonal))


def _triangles(make):
    yield case(make(3, 4))
    yield case(make(2, 4, 3), diagonal=1)
    yield case(make(4, 3, layout="transposed"), diagonal=-1)
    yield case(make(0, 3))


tril.examples(_triangles)
triu.examples(_triangles)
