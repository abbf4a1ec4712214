"""Rules for ops that pick elements by indices: indices of an example go with its number."""

from __future__ import annotations

from typing import Any

from devtensor.batching.rules import Flags, Rule, Values, count_of, one_by_one, run, spread, with_dims
from devtensor.core.dispatch import call
from devtensor.core.dtype import int64
from devtensor.core.op import Op
from devtensor.core.tensor import Tensor
from devtensor.ops.shape import as_shape


def numbers(count: int, like: Tensor, ndim: int) -> Tensor:
    """0, 1, ... for the examples, with `ndim` dims of 1 behind."""
    made = run("arange", start=0, step=1, count=count, dtype=int64, device=like.kind.device)
    return run("getitem", made, index=(slice(None), *(None,) * ndim))


def index_select(op: Op, values: Values, batched: Flags, params: tuple) -> Any:
    (source, index), (dim,) = values, params
    if not batched[1]:
        return call(op, values, (dim + 1,))
    source, index = spread(values, batched)
    count, *shape = source.array.shape
    ndim = len(shape)
    places = run(
        "getitem", index, index=(slice(None), *(None,) * dim, slice(None), *(None,) * (ndim - dim - 1))
    )
    shape[dim] = index.array.shape[1]
    return run("gather", source, run("expand", places, shape=(count, *shape)), dim=dim + 1)


def embedding(op: Op, values: Values, batched: Flags, params: tuple) -> Any:
    if not batched[0]:
        return call(op, values, params)
    weight, index = spread(values, batched)
    count, rows, *rest = weight.array.shape
    first = run("mul", numbers(count, index, index.array.ndim - 1), rows)
    return call(op, (as_shape(weight, (count * rows, *rest)), run("add", index, first)), params)


def embedding_grad(op: Op, values: Values, batched: Flags, params: tuple) -> Any:
    (rows,) = params
    grads, index = spread(values, batched)
    count = index.array.shape[0]
    first = run("mul", numbers(count, index, index.array.ndim - 1), rows)
    made = call(op, (grads, run("add", index, first)), (rows * count,))
    return as_shape(made, (count, rows, *made.array.shape[1:]))


def index_get(op: Op, values: Values, batched: Flags, params: tuple) -> Any:
    places = params[0]
    named = [d for d, place in enumerate(places) if place is not None]
    together = named == list(range(named[0], named[-1] + 1))
    if together and batched == [True, *(False,) * (len(values) - 1)]:
        return call(op, values, ((None, *places),))
    if together and named[0] != 0:
        # Beside the index that counts examples these would no longer stand together.
        return one_by_one(op, values, batched, params)
    count = count_of(values, batched)
    source = values[0] if batched[0] else run("expand", values[0], shape=(count, *values[0].array.shape))
    ndim = max(v.array.ndim - flag for v, flag in zip(values[1:], batched[1:], strict=True))
    indices = [with_dims(v, ndim) if flag else v for v, flag in zip(values[1:], batched[1:], strict=True)]
    shift = tuple([None if place is None else place + 1 for place in places])
    return call(op, (source, numbers(count, source, ndim), *indices), ((0, *shift),))


INDEXING: dict[str, Rule] = {
    "index_select": index_select,
    "index_get": index_get,
    "embedding": embedding,
    "embedding_grad": embedding_grad,
}
