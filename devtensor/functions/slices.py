"""Writing and combining whole slices at places that an index tensor names along a dim."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import BOOL, INTEGER, bool_, int64
from devtensor.core.errors import (
    DimensionError,
    DTypeError,
    IndexingError,
    IndexOutOfRange,
    OptionError,
    ShapeError,
)
from devtensor.core.holding import held
from devtensor.core.inplace import copy_into
from devtensor.core.overlap import refuse_overlap, refuse_shared
from devtensor.core.precision import one_op
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.expanded import fill_where
from devtensor.functions.indexing import write_at
from devtensor.functions.scattering import REDUCTIONS, Step, lifted, made_by, same_dtype, written_by
from devtensor.functions.selecting import refuse_other_indices, refuse_outside
from devtensor.ops import index as ops
from devtensor.ops.compare import where
from devtensor.ops.create import cast, copy, full
from devtensor.ops.scatter import scatter_reduce as reduced
from devtensor.ops.shape import as_shape, expand

__all__ = ["index_add", "index_copy", "index_fill", "index_reduce"]


def _slices(
    op: str, input: Tensor, dim: int, index: Tensor, source: Tensor, error: type[Exception]
) -> Tensor:
    """`source` with as many slices along `dim` as there are indices, each like those of `input`."""
    same_dtype(op, input, source)
    if index.array.ndim > 1:
        raise IndexingError(f"[{op}] Index should have dimension 1 or 0, got {describe(index)}")
    input, count = lifted(input), index.shape.numel()
    if source.array.ndim == 0 and count != 1:
        raise DimensionError(f"[{op}] source has no dimensions, and index {count} elements; it needs one")
    found = as_shape(source, (1,) * input.array.ndim) if source.array.ndim == 0 else source
    shape, wanted = tuple(found.array.shape), tuple(input.array.shape)
    if len(shape) != len(wanted) or any(
        a != b for d, (a, b) in enumerate(zip(shape, wanted, strict=True)) if d != dim
    ):
        raise ShapeError(
            f"[{op}] source tensor shape must match self tensor shape, excluding dimension {dim}; got "
            f"{describe(source)} for {describe(input)}"
        )
    if shape[dim] != count:
        raise error(f"[{op}] Number of indices ({count}) should be equal to source.size(dim) ({shape[dim]})")
    return found


def _put_into(op: str, self: Tensor, step: Step) -> Tensor:
    refuse_overlap(op, self)
    (value, index), (places, accumulate) = step.others, step.params
    write_at(lifted(self), value, places, [index], accumulate)
    return self


def _places(dim: int) -> tuple:
    return (*(None,) * dim, 0)


def _add(op: str, input: Tensor, dim: int, index: Tensor, source: Tensor, alpha: Any) -> Step:
    place = normalize_dim(op, dim, input.array.ndim)
    refuse_other_indices(op, index)
    if index.array.ndim < 2 and source.array.ndim != input.array.ndim:
        raise ShapeError(
            f"[{op}] source tensor shape must match self tensor shape, excluding dimension {place}; got "
            f"{describe(source)} for {describe(input)}"
        )
    source = _slices(op, input, place, index, source, ShapeError)
    if input.shape.numel():
        refuse_outside(op, index, lifted(input).array.shape[place], IndexOutOfRange)
    elif not index.shape.numel() or not input.array.shape[place]:
        index, source = index[:0], source.narrow(place, 0, 0)
    if isinstance(alpha, float) and source.dtype.category == INTEGER:
        if source.array.ndim > 1 and source.shape.numel():
            raise OptionError(f"[{op}] alpha is {alpha}; for integral tensors it must not be floating point")
        alpha = int(alpha)
    source = source if alpha == 1 else cast(source * alpha, input.dtype)
    return Step(ops.index_put.op, (source, lifted(index)), (_places(place), True))


def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """A copy of `input` with `alpha` times the slices of `source` added at the places along `dim` that
    `index` names.

    Shapes: input (*A, S, *B), index (K,), source (*A, K, *B) -> (*A, S, *B)
    """
    return made_by(input, _add("index_add", input, dim, index, source, alpha))


def index_add_(self: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """In-place form of `index_add`."""
    return _put_into("index_add_", self, _add("index_add_", self, dim, index, source, alpha))


def _copy(op: str, input: Tensor, dim: int, index: Tensor, source: Tensor) -> Step:
    place = normalize_dim(op, dim, input.array.ndim)
    if source.array.ndim == 0 and index.shape.numel() != 1:
        raise IndexingError(
            f"[{op}] source is a scalar: index should have one element, got {describe(index)}"
        )
    if source.array.ndim and input.array.ndim and source.array.ndim != input.array.ndim:
        raise IndexingError(
            f"[{op}] When source and destination are not scalars, their dimensionality must match; got "
            f"{describe(source)} for {describe(input)}"
        )
    if index.dtype is not int64 and index.array.ndim < 2:
        raise DTypeError(f"[{op}] Expected a long tensor for index, but got {describe(index)}")
    source = _slices(op, input, place, index, source, IndexingError)
    refuse_outside(op, index, lifted(input).array.shape[place], IndexingError)
    return Step(ops.index_put.op, (source, lifted(index)), (_places(place), False))


@one_op()
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """A copy of `input` with the slices of `source` at the places along `dim` that `index` names.

    Shapes: input (*A, S, *B), index (K,), source (*A, K, *B) -> (*A, S, *B)
    """
    return made_by(input, _copy("index_copy", input, dim, index, source))


def index_copy_(self: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """In-place form of `index_copy`."""
    return _put_into("index_copy_", self, _copy("index_copy_", self, dim, index, source))


def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """A copy of `input` with one number in the slices along `dim` that `index` names.

    Shapes: input (*A, S, *B), index (K,), value () -> (*A, S, *B)
    """
    shape = tuple(lifted(input).array.shape)
    place = _check_filling(input, dim, index, value)
    if not input.shape.numel():
        _refuse_nothing(shape, place, index)
        return copy(input)
    return where(*_filling(input, place, index, value), input)


def _check_filling(input: Tensor, dim: int, index: Tensor, value: Any) -> int:
    """The dim, counted from the front, if the index and the value can be used."""
    place = normalize_dim("index_fill", dim, input.array.ndim)
    if index.dtype is not int64:
        raise IndexingError(f"[index_fill] Expected dtype int64 for index, got {describe(index)}")
    if index.array.ndim > 1:
        raise ShapeError(f"[index_fill] Index has to be a vector/scalar, got {describe(index)}")
    if isinstance(value, Tensor) and value.array.ndim:
        raise ShapeError(
            f"[index_fill] index_fill_ only supports a 0-dimensional value tensor, but got {describe(value)}"
        )
    return place


def _filling(input: Tensor, place: int, index: Tensor, value: Any) -> tuple[Tensor, Tensor]:
    """Where the index leads, as a mask, and the number to be put there."""
    shape = tuple(lifted(input).array.shape)
    chosen = _chosen(index, shape[place])
    line = as_shape(chosen, (shape[place], *(1,) * (len(shape) - place - 1)) if input.array.ndim else ())
    dtype = input.dtype
    if isinstance(value, Tensor):
        return line, cast(value, dtype)
    return line, full((), held("index_fill", value, dtype), dtype, input.device)


def _refuse_nothing(shape: tuple[int, ...], place: int, index: Tensor) -> None:
    """Refuse to fill slices of a dim that has none."""
    if index.shape.numel() and not shape[place] and all(n for d, n in enumerate(shape) if d != place):
        raise ShapeError(f"[index_fill] {shape} has nothing along dim {place} for an index to name")


def _chosen(index: Tensor, size: int) -> Tensor:
    """For each of `size` places whether `index` names it; an index named twice counts once."""
    none, yes = full((size,), False, bool_, index.device), full((), True, bool_, index.device)
    return ops.index_put(none, yes, lifted(index), places=(0,), accumulate=False)


def index_fill_(self: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """In-place form of `index_fill`."""
    refuse_shared("index_fill_", self, index)
    place = _check_filling(self, dim, index, value)
    if not self.shape.numel():
        _refuse_nothing(tuple(self.array.shape), place, index)
        return copy_into(self, copy(self))
    return fill_where("index_fill_", self, *_filling(self, place, index, value))


def _combine(
    op: str, input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, whole: bool
) -> Step:
    place = normalize_dim(op, dim, input.array.ndim)
    if reduce not in REDUCTIONS[1:]:
        raise OptionError(f"[{op}] Expected reduce to be one of prod, mean, amax or amin but got {reduce!r}")
    refuse_other_indices(op, index)
    source = _slices(op, input, place, index, source, ShapeError)
    shape = tuple(source.array.shape)
    if input.dtype.category == BOOL and not (whole and reduce in ("amax", "amin")):
        raise DTypeError(f"[{op}] {reduce} is not implemented for bool; only amax and amin with include_self")
    refuse_outside(op, index, lifted(input).array.shape[place], IndexingError)
    line = as_shape(index, (*(1,) * place, shape[place], *(1,) * (len(shape) - place - 1)))
    return Step(reduced.op, (expand(line, shape), source), (place, reduce, bool(whole)))


def index_reduce(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """A copy of `input` whose slices along `dim` that `index` names are combined with those of `source` by
    `reduce`: "prod", "mean", "amax" or "amin".

    Shapes: input (*A, S, *B), index (K,), source (*A, K, *B) -> (*A, S, *B)
    """
    return made_by(input, _combine("index_reduce", input, dim, index, source, reduce, include_self))


def index_reduce_(
    self: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """In-place form of `index_reduce`."""
    return written_by(self, _combine("index_reduce_", self, dim, index, source, reduce, include_self))


METHODS: dict[str, Callable] = {
    f.__name__: f
    for f in (
        index_add, index_add_, index_copy, index_copy_, index_fill, index_fill_, index_reduce, index_reduce_,
    )
}  # fmt: skip
