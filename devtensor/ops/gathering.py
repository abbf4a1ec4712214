"""Elements read and written where an index names their places along one dim."""

from __future__ import annotations

from typing import Any

from devtensor.core.dtype import int64
from devtensor.core.errors import ShapeError
from devtensor.core.op import HOLOMORPHIC, MOVED, Dim, Index, composite
from devtensor.core.placement import IN_ROWS
from devtensor.core.rules import same
from devtensor.ops.create import arange, copy, full, zeros_like_spec
from devtensor.ops.examples import case, fails, index
from devtensor.ops.index import index_get, index_put, with_a_dim
from devtensor.ops.shape import as_shape, getitem
from devtensor.ops.windows import pad


def _check_gather(op: str, source: Any, places: Any, dim: int) -> None:
    _check_ranks(op, "input", source.shape, places.shape)
    for d, (size, wanted) in enumerate(zip(source.shape or (1,), places.shape or (1,), strict=True)):
        if d != dim and wanted > size:
            raise ShapeError(
                f"[{op}] index {places.shape} reaches past input {source.shape} at dim {d}; only dim {dim} "
                "may be larger"
            )


def _check_ranks(op: str, name: str, shape: tuple, places: tuple) -> None:
    """Both need as many dims; a 0-d tensor counts as one of one element."""
    if max(len(shape), 1) != max(len(places), 1):
        raise ShapeError(
            f"[{op}] {name} {shape} and index {places}: Index tensor must have the same number of dimensions "
            f"as {name} tensor"
        )


def _gathered(op, inputs, params):
    source, places = inputs
    if 0 not in places.shape:
        _check_gather(op, source, places, params[0])
    return places.shape


def _positions(index: Any, dim: int) -> list:
    """For each dim the places that the elements of `index` speak of: their own, in `dim` what they say."""
    index = with_a_dim(index)
    shape = index.array.shape
    found = []
    for d, size in enumerate(shape):
        line = arange(0, 1, size, int64, index.kind.device)
        found.append(index if d == dim else as_shape(line, (size, *(1,) * (len(shape) - d - 1))))
    return found


@composite(dtype=same, shape=_gathered, eager=True, complex=MOVED, placement=IN_ROWS, rounding=4)
def gather(input, index: Index, dim: Dim):
    """For each element of `index`, that of `input` at its place with `dim` replaced by the index.

    Shapes: input (*S), index (*T) with T[d] <= S[d] except at dim -> (*T)
    Errors: ShapeError if an index is not in [0, S[dim]).
    """
    if 0 in index.array.shape:
        return full(index.array.shape, 0, input.kind.dtype, input.kind.device)
    positions = _positions(index, dim)
    found = index_get(with_a_dim(input), *positions, places=tuple(range(len(positions))))
    return as_shape(found, index.array.shape)


gather.vjp(input=lambda g, index, like, dim: scatter_add(zeros_like_spec(like.input), index, g, dim))


@gather.examples
def _(make):
    yield case(make(4, 3), index(2, 3, size=4), dim=0)
    yield case(make(2, 3, 4), index(2, 3, 6, size=4), dim=-1)
    yield case(make(4, 3, layout="transposed"), index(4, 2, size=3), dim=1)
    yield case(make(3, 2), index(0, 2, size=3), dim=0)
    yield fails(make(4, 3), index(2, size=3), dim=0, error="same number of dimensions")


def scatter_shape(op, inputs, params):
    """The shape rule of scatter and its kin: like the input, if index and src fit."""
    source, places, src = inputs[:3]
    dim = params[0]
    if 0 not in places.shape:
        _check_gather(op, source, places, dim)
        _check_ranks(op, "src", src.shape, places.shape)
        if any(have < want for have, want in zip(src.shape, places.shape, strict=False)):
            raise ShapeError(
                f"[{op}] src {src.shape} is smaller than index {places.shape}; it needs a value for each "
                "index"
            )
    return source.shape


def _scattered(input: Any, index: Any, src: Any, dim: int, accumulate: bool) -> Any:
    """The corner of `src` that `index` speaks of, written or added."""
    if 0 in index.array.shape:
        return copy(input)
    positions = _positions(index, dim)
    part = getitem(with_a_dim(src), tuple(slice(0, size) for size in index.array.shape))
    target, places = with_a_dim(input), tuple(range(len(positions)))
    found = index_put(target, part, *positions, places=places, accumulate=accumulate)
    return as_shape(found, input.array.shape)


@composite(dtype=same, shape=scatter_shape, eager=True, complex=MOVED, rounding=4)
def scatter(input, index: Index, src, dim: Dim):
    """A copy of `input` with the elements of `src` at the places `index` names along `dim`.

    Shapes: input (*S), index (*T), src at least (*T) -> (*S)
    Errors: ShapeError if an index is not in [0, S[dim]). Where indices repeat, one of their values stays.
    """
    return _scattered(input, index, src, dim, False)


@composite(dtype=same, shape=scatter_shape, eager=True, amp="widest", complex=HOLOMORPHIC, rounding=8)
def scatter_add(input, index: Index, src, dim: Dim):
    """A copy of `input` with the elements of `src` added at the places `index` names along `dim`.

    Shapes: input (*S), index (*T), src at least (*T) -> (*S)
    Errors: ShapeError if an index is not in [0, S[dim]).
    """
    return _scattered(input, index, src, dim, True)


def _src_gradient(g: Any, index: Any, like: Any, dim: int) -> Any:
    return within_src(gather(g, index, dim), like.src.shape)


def within_src(part: Any, shape: tuple[int, ...]) -> Any:
    """The gradient of the corner of `src` that was used, with none for the rest."""
    if shape == part.array.shape:
        return part
    if len(shape) != part.array.ndim:
        return as_shape(part, shape)
    return pad(part, tuple((0, size - used) for size, used in zip(shape, part.array.shape, strict=True)))


scatter.vjp(
    input=lambda g, index, like, dim: scatter(g, index, zeros_like_spec(like.src), dim),
    src=_src_gradient,
)
scatter_add.vjp(input=lambda g: g, src=_src_gradient)


@scatter_add.examples
def _(make):
    yield case(make(4, 3), index(2, 3, size=4), make(2, 3), dim=0)
    yield case(make(2, 3, 4), index(2, 3, 6, size=4), make(2, 3, 7), dim=-1)
    yield case(make(4, 3, layout="transposed"), index(4, 2, size=3), make(4, 2), dim=1)
    yield case(make(4, 3), index(0, 3, size=4), make(0, 3), dim=0)
    yield fails(make(4, 3), index(2, 3, size=4), make(1, 3), dim=0, error="smaller than index")


@scatter.examples
def _(make):
    yield case(make(4, 3), index(1, 3, size=4), make(1, 3), dim=0)
    yield case(make(2, 3, 4), index(2, 3, 1, size=4), make(2, 3, 2), dim=-1)
    yield case(make(4, 3, layout="transposed"), index(4, 1, size=3), make(4, 1), dim=1)
    yield fails(make(4, 3), index(5, size=4), make(5), dim=0, error="same number of dimensions")
