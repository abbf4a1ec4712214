"""Views that speak of memory itself: strides given by hand, and bits read as another dtype."""

from __future__ import annotations

from math import prod
from typing import Any

from devtensor.core.dtype import int64
from devtensor.core.op import MOVED, Plain, Type, primitive
from devtensor.core.rules import given, same
from devtensor.ops.create import arange, full, overwrite
from devtensor.ops.examples import case
from devtensor.ops.index import index_put
from devtensor.ops.shape import as_shape


def _strided_shape(op, inputs, params):
    return tuple(params[0]), tuple(params[1])


@primitive(dtype=same, shape=_strided_shape, view=True, complex=MOVED)
def as_strided(input, size: Plain, stride: Plain, offset: Plain, layout: Plain):
    """The memory around `input` seen in any size and stride, both in elements.

    `offset` counts from the first element of `input`; `layout` are the strides that `input` has.

    Shapes: input (*S) -> size
    """


def _strided_gradient(g: Any, like: Any, size: tuple, stride: tuple, offset: int, layout: tuple) -> Any:
    """What flows back: every element of memory gets the sum of what was read from it.

    Source: the derivative of a linear map that copies elements; an element that stands in several places of
    the input shares its gradient among them, as in PyTorch.
    """
    shape = like.input.shape
    if not prod(size) or not prod(shape):
        return full(shape, 0, g.dtype, g.device)
    low = min(0, offset)
    count = max(reach(shape, layout), offset + reach(size, stride)) - low
    memory = full((count,), 0, g.dtype, g.device)
    if overlaps(size, stride):
        memory = index_put(
            memory, _flat(g), positions(size, stride, offset - low, g.device), places=(0,), accumulate=True
        )
    else:
        memory = overwrite(memory, g, (("as_strided", (size, stride, offset - low, (1,))),))
    if overlaps(shape, layout):
        places = positions(shape, layout, -low, g.device)
        ones = full((prod(shape),), 1, g.dtype, g.device)
        times = index_put(full((count,), 0, g.dtype, g.device), ones, places, places=(0,), accumulate=True)
        memory = memory / (times + (times == 0))
    return as_strided(memory, shape, layout, -low, (1,))


def _flat(g: Any) -> Any:
    return as_shape(g, (g.shape.numel(),))


def reach(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """How many elements of memory lie between a view's first element and its last, both counted."""
    return sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) + 1 if prod(shape) else 0


def overlaps(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether some element of memory stands in several places."""
    last = 0
    for stride, size in sorted((s, n) for s, n in zip(strides, shape, strict=True) if n > 1):
        if stride <= last:
            return True
        last += stride * (size - 1)
    return False


def positions(shape: tuple[int, ...], strides: tuple[int, ...], offset: int, device: Any) -> Any:
    """Where in memory each element lies, in C order."""
    found = full((1,), offset, int64, device)
    for size, stride in zip(shape, strides, strict=True):
        steps = arange(0, stride, size, int64, device) if stride else full((size,), 0, int64, device)
        found = as_shape(found, (found.shape.numel(), 1)) + steps
    return as_shape(found, (prod(shape),))


as_strided.vjp(input=_strided_gradient)


@as_strided.examples
def _(make):
    yield case(make(6), size=(2, 3), stride=(3, 1), offset=0, layout=(1,))
    yield case(make(6), size=(4, 3), stride=(1, 1), offset=0, layout=(1,))
    yield case(make(3, 4), size=(2, 2), stride=(5, 2), offset=1, layout=(4, 1))
    yield case(make(5), size=(2, 2), stride=(0, 1), offset=3, layout=(1,))
    yield case(make(4), size=(), stride=(), offset=2, layout=(1,))
    yield case(make(4), size=(0, 2), stride=(2, 1), offset=0, layout=(1,))


@primitive(dtype=given, shape=_strided_shape, view=True, complex=MOVED)
def bits_as(source, size: Plain, stride: Plain, dtype: Type):
    """The same memory, its bits read as numbers of another dtype; `size` and `stride` count those.

    Shapes: source (..., S) -> size
    """


bits_as.vjp(None)


@bits_as.examples
def _(make):
    yield case(make(3, 4, dtype="float32"), size=(3, 4), stride=(4, 1), dtype="int32")
    yield case(make(3, 4, dtype="float32"), size=(3, 16), stride=(16, 1), dtype="uint8")
    yield case(make(2, 8, dtype="float32"), size=(2, 4), stride=(4, 1), dtype="int64")
