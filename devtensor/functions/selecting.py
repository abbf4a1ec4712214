"""Choosing and placing elements by index tensors and masks, in PyTorch's spellings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import int64
from devtensor.core.errors import ArgumentError, ShapeError
from devtensor.core.inplace import apply_inplace, copy_into
from devtensor.core.spec import broadcast_shapes, normalize_dim
from devtensor.core.tensor import Tensor
from devtensor.functions.indexing import get, set
from devtensor.ops import index as ops
from devtensor.ops.create import arange, cast, copy, full
from devtensor.ops.shape import as_shape, expand, getitem

__all__ = [
    "argwhere",
    "gather",
    "index_add",
    "index_copy",
    "index_fill",
    "index_put",
    "index_select",
    "nonzero",
    "put",
    "scatter",
    "scatter_add",
    "take",
    "take_along_dim",
    "tril",
    "triu",
]


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices of `input` along `dim` that `index` names.

    Shapes: input (*A, S, *B), index (K,) -> (*A, K, *B)
    """
    return ops.index_select(input, index, dim)


def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """For each element of `index`, that of `input` at its place with `dim` replaced by the index.

    Shapes: input (*S), index (*T) -> (*T)
    """
    return ops.gather(input, index, dim)


def _source(input: Tensor, index: Tensor, src: Any) -> Tensor:
    """A number as what fills every place that `index` names."""
    if isinstance(src, Tensor):
        return src
    return expand(full((), src, input.dtype, input.device), tuple(index.array.shape))


def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """A copy of `input` with `src`, a tensor or a number, at the places that `index` names along `dim`."""
    filled = _source(input, index, value if src is None else src)
    if reduce is None:
        return ops.scatter(input, index, filled, dim)
    if reduce == "add":
        return ops.scatter_add(input, index, filled, dim)
    raise ArgumentError(f"[scatter] reduce is {reduce!r}; it needs None or 'add'")


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """A copy of `input` with `src` added at the places that `index` names along `dim`."""
    return ops.scatter_add(input, index, src, dim)


def scatter_(
    self: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """In-place form of `scatter`."""
    filled = _source(self, index, value if src is None else src)
    if reduce not in (None, "add"):
        raise ArgumentError(f"[scatter_] reduce is {reduce!r}; it needs None or 'add'")
    op = ops.scatter.op if reduce is None else ops.scatter_add.op
    return apply_inplace(op, self, (index, filled), (normalize_dim("scatter_", dim, self.array.ndim),))


def scatter_add_(self: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """In-place form of `scatter_add`."""
    params = (normalize_dim("scatter_add_", dim, self.array.ndim),)
    return apply_inplace(ops.scatter_add.op, self, (index, src), params)


def _along(op: str, input: Tensor, dim: int) -> tuple:
    return (*(None,) * normalize_dim(op, dim, input.array.ndim), 0)


def _added(input: Tensor, dim: int, index: Tensor, source: Tensor, alpha: Any) -> tuple[tuple, tuple]:
    source = source if alpha == 1 else source * alpha
    return (source, index), (_along("index_add", input, dim), True)


def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """A copy of `input` with the slices of `source` added at the places along `dim` that `index` names.

    Shapes: input (*A, S, *B), index (K,), source (*A, K, *B) -> (*A, S, *B)
    """
    (source, index), (places, accumulate) = _added(input, dim, index, source, alpha)
    return ops.index_put(input, source, index, places=places, accumulate=accumulate)


def index_add_(self: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """In-place form of `index_add`."""
    return apply_inplace(ops.index_put.op, self, *_added(self, dim, index, source, alpha))


def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """A copy of `input` with the slices of `source` at the places along `dim` that `index` names."""
    return ops.index_put(input, source, index, places=_along("index_copy", input, dim), accumulate=False)


def index_copy_(self: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """In-place form of `index_copy`."""
    return apply_inplace(ops.index_put.op, self, (source, index), (_along("index_copy_", self, dim), False))


def _filling(input: Tensor, value: Any) -> Tensor:
    return (
        cast(value, input.dtype) if isinstance(value, Tensor) else full((), value, input.dtype, input.device)
    )


def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """A copy of `input` with one number in the slices along `dim` that `index` names."""
    places = _along("index_fill", input, dim)
    return ops.index_put(input, _filling(input, value), index, places=places, accumulate=False)


def index_fill_(self: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """In-place form of `index_fill`."""
    others = (_filling(self, value), index)
    return apply_inplace(ops.index_put.op, self, others, (_along("index_fill_", self, dim), False))


def index_put(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """A copy of `input` with `values` written, or added, where `input[indices]` reads."""
    return index_put_(copy(input), indices, values, accumulate)


def index_put_(self: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """In-place form of `index_put`."""
    entries = tuple(slice(None) if entry is None else entry for entry in indices)
    if not accumulate:
        set(self, entries, values)
        return self
    flat = get(as_shape(_numbers(self), tuple(self.array.shape)), entries)
    added = expand(values.to(self.dtype), tuple(flat.array.shape))
    places = as_shape(flat, (flat.shape.numel(),))
    total = ops.index_put(
        as_shape(self, (self.shape.numel(),)),
        as_shape(added, (flat.shape.numel(),)),
        places,
        places=(0,),
        accumulate=True,
    )
    return copy_into(self, as_shape(total, tuple(self.array.shape)))


def _numbers(input: Tensor) -> Tensor:
    """For each element its number in C order."""
    return as_shape(arange(0, 1, input.shape.numel(), int64, input.device), tuple(input.array.shape))


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The places of all elements that are not 0: one a row, or one index tensor per dim if `as_tuple`.

    Shapes: input (*S) -> (count, ndim)
    """
    if not as_tuple:
        return ops.nonzero(input)
    found = ops.nonzero(input if input.array.ndim else as_shape(input, (1,)))
    return tuple(getitem(found, (slice(None), d)) for d in range(max(1, input.array.ndim)))


def argwhere(input: Tensor) -> Tensor:
    """The places of all elements that are not 0, one a row."""
    return ops.nonzero(input)


def take(input: Tensor, index: Tensor) -> Tensor:
    """Elements of `input`, seen in one dim, that `index` names.

    Shapes: input (*S), index (*I) -> (*I)
    """
    flat = as_shape(input, (input.shape.numel(),))
    return ops.index_get(flat, index, places=(0,))


def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """A copy of `input`, seen in one dim, with `source` written or added at `index`."""
    flat = as_shape(input, (input.shape.numel(),))
    made = ops.index_put(flat, source, index, places=(0,), accumulate=accumulate)
    return as_shape(made, tuple(input.array.shape))


def put_(self: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """In-place form of `put`."""
    return copy_into(self, put(self, index, source, accumulate))


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """Like `gather`, with the other dims broadcast; without `dim`, of the elements seen in one dim."""
    if dim is None:
        return take(input, as_shape(indices, (indices.shape.numel(),)))
    place = normalize_dim("take_along_dim", dim, input.array.ndim)
    shapes = [list(input.array.shape), list(indices.array.shape)]
    shapes[0][place] = shapes[1][place] = 1
    common = list(broadcast_shapes("take_along_dim", [tuple(s) for s in shapes]))
    sizes = [input.array.shape[place], indices.array.shape[place]]
    whole = [(*common[:place], size, *common[place + 1 :]) for size in sizes]
    return ops.gather(expand(input, whole[0]), expand(indices, whole[1]), place)


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of matrices, zeros above `diagonal`."""
    return ops.tril(_matrix("tril", input), diagonal)


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of matrices, zeros below `diagonal`."""
    return ops.triu(_matrix("triu", input), diagonal)


def _matrix(op: str, input: Tensor) -> Tensor:
    if input.array.ndim < 2:
        raise ShapeError(
            f"[{op}] input {tuple(input.array.shape)}: input tensor must have at least 2 dimensions"
        )
    return input


def tril_(self: Tensor, diagonal: int = 0) -> Tensor:
    """In-place form of `tril`."""
    return apply_inplace(ops.tril.op, _matrix("tril_", self), (), (diagonal,))


def triu_(self: Tensor, diagonal: int = 0) -> Tensor:
    """In-place form of `triu`."""
    return apply_inplace(ops.triu.op, _matrix("triu_", self), (), (diagonal,))


METHODS: dict[str, Callable] = {
    f.__name__: f
    for f in (
        argwhere, gather, index_add, index_add_, index_copy, index_copy_, index_fill, index_fill_, index_put,
        index_put_, index_select, nonzero, put, put_, scatter,
        scatter_, scatter_add, scatter_add_, take, take_along_dim, tril, tril_, triu, triu_,
    )
}  # fmt: skip
