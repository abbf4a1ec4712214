"""Views and rearrangements: the same numbers in another shape or order."""

from __future__ import annotations

from functools import partial
from typing import Any

from devtensor.core.errors import IndexingError, ShapeError
from devtensor.core.op import MOVED, Dim, Dims, Plain, primitive
from devtensor.core.placement import LIKE_FIRST
from devtensor.core.rules import same, same_shape
from devtensor.core.spec import view_strides
from devtensor.core.tensor import View, strides_of
from devtensor.ops.create import copy, overwrite, zeros_like_spec
from devtensor.ops.examples import case, fails

view = partial(primitive, dtype=same, view=True, complex=MOVED)


def _reshaped(op, inputs, params):
    (source,), (shape,) = inputs, params
    strides = view_strides(source.shape, source.strides, shape)
    if strides is None:
        raise ShapeError(
            f"[{op}] shape {source.shape} with strides {source.strides} cannot be seen as {shape} without a "
            "copy; use reshape(), or contiguous() first"
        )
    return shape, strides


@view(shape=_reshaped)
def reshape(input, shape: Plain):
    """The same elements in another shape, where no copy is needed.

    Shapes: input (*S) -> shape, with as many elements
    Errors: ShapeError if the memory's layout does not allow it.
    """


reshape.vjp(input=lambda g, like: as_shape(g, like.input.shape))


def as_shape(input: Any, shape: tuple[int, ...]) -> Any:
    """`input` in another shape: itself if it has it, a view where the layout allows it, else a copy."""
    if input.array.shape == shape:
        return input
    if (
        input.array.flags.c_contiguous
        or view_strides(input.array.shape, strides_of(input), shape) is not None
    ):
        return reshape(input, tuple(shape))
    return fresh_shape(input, shape)


def fresh_shape(input: Any, shape: tuple[int, ...]) -> Any:
    """A copy of `input` in another shape, never its memory."""
    made = reshape(copy(input), tuple(shape))
    # Nobody holds the copy: the result is no view of anything.
    made.alias = View(made.alias.storage, made.alias.chain, None, made.alias.counter)
    return made


def per_channel(values: Any, ndim: int) -> Any:
    """One number for each channel, (C,) as (C, 1, ...), to meet (N, C, *S) with `ndim` dims."""
    return as_shape(values, (values.array.shape[0], *(1,) * (ndim - 2)))


@reshape.examples
def _(make):
    yield case(make(2, 6), shape=(3, 4))
    yield case(make(2, 3, 4), shape=(6, 4))
    yield case(make(), shape=(1, 1))
    yield case(make(1), shape=())
    yield case(make(0, 3), shape=(3, 0, 2))
    yield case(make(4, 3, layout="transposed"), shape=(4, 3, 1))
    yield fails(make(4, 3, layout="transposed"), shape=(12,), error="without a copy")


def _permuted(op, inputs, params):
    (source,), (dims,) = inputs, params
    return tuple(source.shape[d] for d in dims), tuple(source.strides[d] for d in dims)


@view(shape=_permuted)
def permute(input, dims: Plain):
    """The dimensions in another order.

    Shapes: input (*S) -> (S[dims[0]], S[dims[1]], ...)
    """


def inverse(dims: tuple[int, ...]) -> tuple[int, ...]:
    """The order that undoes the order `dims`."""
    places = [0] * len(dims)
    for place, dim in enumerate(dims):
        places[dim] = place
    return tuple(places)


permute.vjp(input=lambda g, dims: permute(g, inverse(dims)))


@permute.examples
def _(make):
    yield case(make(2, 3, 4), dims=(2, 0, 1))
    yield case(make(3, 4, layout="sliced"), dims=(1, 0))
    yield case(make(), dims=())


def _expanded(op, inputs, params):
    (source,), (shape,) = inputs, params
    extra = len(shape) - len(source.shape)
    strides = []
    for size, stride, want in zip(source.shape, source.strides, shape[max(extra, 0) :], strict=False):
        if extra < 0 or (size != want and size != 1):
            raise ShapeError(
                f"[{op}] The expanded size of the tensor must match the existing size at dimensions other "
                f"than 1: shape {source.shape} does not stretch to {shape}; dims are added in front"
            )
        strides.append(stride if size == want else 0)
    for size in reversed(shape[: max(extra, 0)]):
        inner = shape[len(shape) - len(strides)] * strides[0] if strides else 0
        strides.insert(0, inner if size == 1 else 0)
    return shape, tuple(strides)


@view(shape=_expanded)
def expand(input, shape: Plain):
    """Dimensions of size 1 stretched without a copy; new ones are added in front.

    Shapes: input (*S) -> shape
    Errors: ShapeError where a size other than 1 would have to stretch.
    """


def _shrink(g: Any, like: Any) -> Any:
    # Reductions are written with the ops of this module.
    from devtensor.ops.reduce import sum_to

    return sum_to(g, like.input.shape)


expand.vjp(input=_shrink)


@expand.examples
def _(make):
    yield case(make(3, 1), shape=(3, 4))
    yield case(make(1, 3), shape=(2, 5, 3))
    yield case(make(), shape=(2, 2))
    yield case(make(1), shape=(0,))
    yield fails(make(3, 2), shape=(3, 4), error="does not stretch")


def _indexed(op, inputs, params):
    (source,), (index,) = inputs, params
    shape, strides, dim = [], [], 0
    count = sum(1 for entry in index if entry is not None)
    if count > len(source.shape):
        raise IndexingError(f"[{op}] too many indices: {count} for a tensor of shape {source.shape}")
    for entry in index:
        if entry is None:
            shape.append(1)
            strides.append(source.shape[dim] * source.strides[dim] if dim < len(source.shape) else 1)
            continue
        size, stride = source.shape[dim], source.strides[dim]
        if isinstance(entry, slice):
            places = range(*entry.indices(size))
            shape.append(len(places))
            strides.append(stride * places.step)
        elif not -size <= entry < size:
            raise IndexingError(f"[{op}] index {entry} is out of bounds for dim {dim} with size {size}")
        dim += 1
    return tuple(shape) + source.shape[dim:], tuple(strides) + source.strides[dim:]


@view(shape=_indexed)
def getitem(input, index: Plain):
    """The part of `input` that ints, slices and Nones choose.

    Shapes: input (*S) -> one dim per slice and None, then the dims not named
    Errors: IndexingError if an int is out of bounds or there are too many.
    """


getitem.vjp(input=lambda g, like, index: overwrite(zeros_like_spec(like.input), g, (("getitem", (index,)),)))


@getitem.examples
def _(make):
    for index in (
        (1,),
        (-1, 2),
        (slice(1, 3),),
        (slice(None), slice(None, None, 2)),
        (None, 0),
        (0, slice(5, 2)),
        (),
    ):
        yield case(make(3, 4), index=index)
    yield case(make(), index=(None,))
    yield fails(make(3, 4), index=(3,), error="index 3 is out of bounds for dim 0 with size 3")
    yield fails(make(3, 4), index=(0, 0, 0), error="too many indices")


def _diagonal_shape(op, inputs, params):
    (source,), (offset, dim1, dim2) = inputs, params
    rows, columns = source.shape[dim1], source.shape[dim2]
    size = max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
    rest = [d for d in range(len(source.shape)) if d not in (dim1, dim2)]
    shape = tuple(source.shape[d] for d in rest)
    strides = tuple(source.strides[d] for d in rest)
    return (*shape, size), (*strides, source.strides[dim1] + source.strides[dim2])


@view(shape=_diagonal_shape)
def diagonal(input, offset=0, dim1: Dim = 0, dim2: Dim = 1):
    """The diagonal of the matrices in two dims, as the last dim.

    Shapes: input (*S) -> S without dim1 and dim2, then the diagonal's length
    """


diagonal.vjp(
    input=lambda g, like, offset, dim1, dim2: overwrite(
        zeros_like_spec(like.input), g, (("diagonal", (offset, dim1, dim2)),)
    )
)


@diagonal.examples
def _(make):
    yield case(make(3, 4))
    yield case(make(3, 4), offset=1)
    yield case(make(2, 3, 4), offset=-1, dim1=-1, dim2=0)
    yield case(make(2, 2), offset=5)


@primitive(dtype=same, shape=same_shape, complex=MOVED, placement=LIKE_FIRST)
def flip(input, dims: Dims):
    """The order of elements reversed along `dims`.

    Shapes: input (*S) -> (*S)
    """


flip.vjp(input=lambda g, dims: flip(g, dims))


@flip.examples
def _(make):
    yield case(make(2, 3), dims=(0,))
    yield case(make(2, 3, 4), dims=(-1, 0))
    yield case(make(0, 3), dims=(0,))


@primitive(dtype=same, shape=same_shape, complex=MOVED)
def roll(input, shifts: Plain, dims: Plain):
    """Elements moved along `dims`, those that fall off coming in at the other end.

    Shapes: input (*S) -> (*S)
    """


roll.vjp(input=lambda g, shifts, dims: roll(g, tuple(-s for s in shifts), dims))


@roll.examples
def _(make):
    yield case(make(5), shifts=(2,), dims=(0,))
    yield case(make(2, 3), shifts=(1, -1), dims=(0, 1))
