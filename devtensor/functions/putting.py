"""`index_put` and `put`: writing where an index reads, as functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import int64
from devtensor.core.errors import ArgumentTypeError, DTypeError, IndexingError
from devtensor.core.inplace import copy_into
from devtensor.core.overlap import refuse_shared
from devtensor.core.precision import one_op
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.formats import copied, like
from devtensor.functions.indexing import set, write_at
from devtensor.functions.indices import read
from devtensor.ops.index import index_put as put_at
from devtensor.ops.shape import as_shape

__all__ = ["index_put", "index_put_", "put"]


@one_op("widest")
def index_put(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """A copy of `input` with `values` written, or added, where `input[indices]` reads."""
    return index_put_(copied("index_put", input, "preserve_format"), indices, values, accumulate)


def index_put_(self: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """In-place form of `index_put`."""
    for place, entry in enumerate(indices):
        if not isinstance(entry, Tensor):
            raise ArgumentTypeError(
                f"[index_put_] expected Tensor as element {place} in indices, but got {type(entry).__name__}"
            )
    entries = tuple(indices)
    if not accumulate:
        set(self, entries, values)
        return self
    _same_dtype("index_put_", self, values)
    _, places, chosen, _ = read(self, entries)
    write_at(self, values, places, chosen, True)
    return self


def _same_dtype(op: str, input: Tensor, source: Tensor) -> None:
    if source.kind.dtype is not input.kind.dtype:
        raise DTypeError(
            f"[{op}] self and source expected to have the same dtype, but got {input.dtype.name} "
            f"and {source.dtype.name}; convert the source with .to(dtype)"
        )


def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """A copy of `input`, seen in one dim, with `source` written or added at `index`.

    Errors: IndexingError unless there are as many indices as values.
    """
    if index.kind.dtype is not int64:
        raise DTypeError(f"[put] Expected a long tensor for index, but got {describe(index)}")
    _same_dtype("put", input, source)
    if index.shape.numel() != source.shape.numel():
        raise IndexingError(
            "[put] Expected source and index to have the same number of elements, but got source.numel() = "
            f"{source.shape.numel()}, index.numel() = {index.shape.numel()}"
        )
    flat = as_shape(input, (input.shape.numel(),))
    values, places = (as_shape(t, (t.shape.numel(),)) for t in (source, index))
    made = put_at(flat, values, places, places=(0,), accumulate=bool(accumulate))
    return like(as_shape(made, tuple(input.array.shape)), input, None)


def put_(self: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """In-place form of `put`."""
    made = put(self, index, source, accumulate)
    refuse_shared("put_", self, index, source)
    return copy_into(self, made)


METHODS: dict[str, Callable] = {f.__name__: f for f in (index_put, index_put_, put, put_)}
