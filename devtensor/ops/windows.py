"""Windows along dims, and what lies around a tensor."""

from __future__ import annotations

from devtensor.core.errors import ShapeError
from devtensor.core.op import HOLOMORPHIC, MOVED, Dim, Plain, composite, primitive
from devtensor.core.placement import PLANES
from devtensor.core.rules import same
from devtensor.ops.create import full, overwrite
from devtensor.ops.examples import case, fails
from devtensor.ops.shape import getitem, view


def _windows_shape(op, inputs, params):
    (source,), (dim, size, step, dilation) = inputs, params
    reach = dilation * (size - 1) + 1
    if size < 0 or step < 1 or reach > source.shape[dim]:
        raise ShapeError(
            f"[{op}] windows of {size} elements, {dilation} apart, reach {reach} places; dim {dim} of shape "
            f"{source.shape} has {source.shape[dim]}"
        )
    shape, strides = list(source.shape), list(source.strides)
    shape[dim] = (source.shape[dim] - reach) // step + 1
    strides[dim] = source.strides[dim] * step
    return (*shape, size), (*strides, source.strides[dim] * dilation)


@view(shape=_windows_shape, eager=True)
def unfold(input, dim: Dim, size: Plain, step: Plain, dilation=1):
    """Windows of `size` elements, `dilation` apart, at every `step` along `dim`; the window is the last dim.

    Shapes: input (..., S, ...) -> (..., (S - dilation*(size-1) - 1)//step + 1, ..., size)
    Errors: ShapeError if no window fits.
    """


unfold.vjp(
    input=lambda g, like, dim, step, dilation: fold(g, like.input.shape[dim], dim, step, dilation),
)


@unfold.examples
def _(make):
    yield case(make(7), dim=0, size=3, step=1)
    yield case(make(2, 8, 3), dim=1, size=2, step=2)
    yield case(make(2, 9), dim=-1, size=3, step=2, dilation=2)
    yield fails(make(3), dim=0, size=4, step=1, error="reach 4 places")


def _folded(op, inputs, params):
    size, dim = params[0], params[1]
    shape = list(inputs[0].shape[:-1])
    shape[dim] = size
    return tuple(shape)


@composite(dtype=same, shape=_folded, complex=HOLOMORPHIC, rounding=8)
def fold(input, size: Plain, dim: Plain, step: Plain, dilation: Plain):
    """What `unfold` took apart, put together; elements in several windows are summed.

    Shapes: input (..., L, ..., K) -> (..., size, ...)
    """
    windows = input.array.ndim - 1
    count, reach = input.array.shape[dim], input.array.shape[windows]
    shape = (*input.array.shape[:dim], size, *input.array.shape[dim + 1 : windows])
    total = nothing = full(shape, 0, input.kind.dtype, input.kind.device)
    for k in range(reach if count else 0):
        start = k * dilation
        places = (*(slice(None),) * dim, slice(start, start + (count - 1) * step + 1, step))
        part = getitem(input, (*(slice(None),) * windows, k))
        total = total + overwrite(nothing, part, (("getitem", (places,)),))
    return total


fold.vjp(input=lambda g, like, dim, step, dilation: unfold(g, dim, like.input.shape[-1], step, dilation))


@fold.examples
def _(make):
    yield case(make(5, 3), size=7, dim=0, step=1, dilation=1)
    yield case(make(2, 4, 2), size=8, dim=1, step=2, dilation=1)
    yield case(make(2, 3, 3), size=9, dim=1, step=2, dilation=2)


def _padded(op, inputs, params):
    shape = tuple(s + before + after for s, (before, after) in zip(inputs[0].shape, params[0], strict=True))
    if any(size < 0 for size in shape):
        raise ShapeError(f"[{op}] widths {params[0]} take more than shape {inputs[0].shape} has")
    return shape


@primitive(dtype=same, shape=_padded, complex=MOVED, placement=PLANES)
def pad(input, widths: Plain, value=0):
    """`input` with `value` around it: a pair (before, after) of non-negative widths for each dim.

    Shapes: input (*S) -> S + before + after
    """


pad.vjp(
    input=lambda g, like, widths: getitem(
        g,
        tuple(
            slice(before, before + size) for size, (before, _) in zip(like.input.shape, widths, strict=True)
        ),
    )
)


@pad.examples
def _(make):
    yield case(make(3), widths=((1, 2),))
    yield case(make(2, 3), widths=((0, 0), (1, 1)), value=3)
    yield case(make(0, 2), widths=((1, 1), (0, 1)))
