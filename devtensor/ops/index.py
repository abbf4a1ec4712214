"""Reading and writing at places that tensors name."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import IndexingError, ShapeError
from devtensor.core.layout import Strides, elementwise_strides
from devtensor.core.op import HOLOMORPHIC, MOVED, OWN, Dim, Index, Plain, composite, primitive
from devtensor.core.placement import IN_COLUMNS, IN_ROWS, Placement
from devtensor.core.rules import index64, same
from devtensor.core.spec import broadcast_shapes
from devtensor.ops.create import full, zeros_like_spec
from devtensor.ops.examples import case, fails, index
from devtensor.ops.reduce import sum_to
from devtensor.ops.shape import as_shape


def selected_shape(op, inputs, params):
    (source, places), dim = inputs, params[0]
    if len(places.shape) > 1:
        raise IndexingError(
            f"[{op}] index has shape {places.shape}; it needs one dimension; use indexing with x[...]"
        )
    count = places.shape[0] if places.shape else 1
    if not source.shape and count != 1:
        raise ShapeError(f"[{op}] index {places.shape} for a 0-d tensor; it needs one index")
    if len(source.shape) > 1 and count and not source.shape[dim]:
        raise ShapeError(f"[{op}] input {source.shape} has nothing along dim {dim} for an index to choose")
    return (*source.shape[:dim], count, *source.shape[dim + 1 :]) if source.shape else ()


def with_a_dim(input: Any) -> Any:
    """A number as a tensor of one element, all else as it is."""
    return input if input.array.ndim else as_shape(input, (1,))


@composite(dtype=same, shape=selected_shape, eager=True, complex=MOVED, placement=IN_ROWS, rounding=4)
def index_select(input, index: Index, dim: Dim):
    """The slices of `input` along `dim` that `index` names, in its order.

    Shapes: input (*A, S, *B), index (K,) -> (*A, K, *B)
    Errors: IndexingError if an index is not in [0, S).
    """
    places = with_a_dim(index)
    if not input.array.ndim:
        return as_shape(index_get(with_a_dim(input), places, places=(0,)), ())
    return index_get(input, places, places=(*(None,) * dim, 0))


def _put_slices(g: Any, index: Any, like: Any, dim: int) -> Any:
    zeros = zeros_like_spec(like.input)
    if not like.input.shape:
        return as_shape(g, ())
    return index_put(zeros, g, index, places=(*(None,) * dim, 0), accumulate=True)


index_select.vjp(input=_put_slices)


@index_select.examples
def _(make):
    yield case(make(4, 3), index(5, size=4), dim=0)
    yield case(make(2, 3, 4), index(2, size=3), dim=-2)
    yield case(make(4, 3, layout="transposed"), index(3, size=3), dim=1)
    yield case(make(4), index(0, size=4), dim=0)
    yield fails(make(4, 3), index(2, 2, size=4), dim=0, error="one dimension")


def indexed_shape(op: str, source: tuple, indices: list, places: tuple) -> tuple[int, ...]:
    """What advanced indexing gives: the indices' common shape where they stand, in front if they stand
    apart."""
    if len(places) > len(source):
        raise IndexingError(f"[{op}] too many indices: {len(places)} for a tensor of shape {source}")
    try:
        common = broadcast_shapes(op, [spec.shape for spec in indices])
    except ShapeError as error:
        shapes = ", ".join(str(spec.shape) for spec in indices)
        raise IndexingError(
            f"[{op}] shape mismatch: indexing tensors could not be broadcast together with shapes {shapes}"
        ) from error
    named = [d for d, place in enumerate(places) if place is not None]
    if 0 not in common and any(source[d] == 0 for d in named):
        raise IndexingError(
            f"[{op}] index is out of bounds for dimension with size 0; the tensor is {source}"
        )
    rest = [size for d, size in enumerate(source) if d not in named]
    together = named == list(range(named[0], named[0] + len(named)))
    at = named[0] if together else 0
    return (*rest[:at], *common, *rest[at:])


def _got(op, inputs, params):
    return indexed_shape(op, inputs[0].shape, list(inputs[1:]), params[0])


def _in_place(shapes: Any, operands: Any, params: tuple) -> list[Strides]:
    """As an elementwise op of the input, which stands still where it is indexed, and of the indices."""
    (source, strides), *indices = operands
    named = [d for d, place in enumerate(params[0]) if place is not None]
    rest = [d for d in range(len(source)) if d not in named]
    at = named[0] if named == list(range(named[0], named[0] + len(named))) else 0
    inner = len(shapes[0]) - len(rest)
    kept = (*[strides[d] for d in rest[:at]], *(0,) * inner, *[strides[d] for d in rest[at:]])
    after = len(rest) - at
    places = [((*own, *(1,) * after), (*steps, *(0,) * after)) for own, steps in indices]
    return [elementwise_strides(shapes[0], [(shapes[0], kept), *places])]


@primitive(dtype=same, shape=_got, complex=MOVED, placement=Placement(_in_place))
def index_get(input, *indices: Index, places: Plain):
    """Elements of `input` at places named by index tensors: entry k of `places` says which stands in dim k,
    or None.

    Shapes: input (*S), indices that broadcast to (*I) -> (*I) in place of the dims named, or in front if
    these stand apart
    Errors: IndexingError if an index is out of bounds; negative ones count from the end.
    """


index_get.vjp(
    input=lambda g, like, indices, places: index_put(
        zeros_like_spec(like.input), g, *indices, places=places, accumulate=True
    )
)


@index_get.examples
def _(make):
    yield case(make(4, 3), index(5, size=4), places=(0,))
    yield case(make(4, 3), index(2, 2, size=4), index(2, size=3), places=(0, 1))
    yield case(make(2, 3, 4), index(5, size=4), places=(None, None, 0))
    yield case(make(2, 3, 4), index(5, size=2), index(5, size=4), places=(0, None, 1))
    yield case(make(4, 3, layout="transposed"), index(size=4), places=(0,))
    yield case(make(4, 3), index(0, size=4), places=(0,))
    yield fails(make(4), index(2, size=4), index(2, size=4), places=(0, 1), error="too many indices")
    yield fails(make(4, 3), index(2, size=4), index(3, size=3), places=(0, 1), error="shape mismatch")


def _written(op, inputs, params):
    source, value, *indices = inputs
    shape = indexed_shape(op, source.shape, indices, params[0])
    if value.shape != shape and broadcast_shapes(op, [shape, value.shape]) != shape:
        raise ShapeError(f"[{op}] value {value.shape} does not broadcast to the indexed shape {shape}")
    return source.shape


@primitive(dtype=same, shape=_written, amp="widest", complex=MOVED)
def index_put(input, value, *indices: Index, places: Plain, accumulate: Plain = False):
    """A copy of `input` with `value` written, or added, at places named by index tensors as in `index_get`.

    Shapes: input (*S), value (*V), which broadcasts to what `index_get` gives, indices (*I) -> (*S)
    Errors: IndexingError if an index is out of bounds; negative ones count from the end.
    """


index_put.vjp(
    input=lambda g, like, indices, places, accumulate: (
        g
        if accumulate
        else index_put(g, zeros_like_spec(like.value), *indices, places=places, accumulate=False)
    ),
    value=lambda g, like, indices, places: sum_to(index_get(g, *indices, places=places), like.value.shape),
)


@index_put.examples
def _(make):
    yield case(make(4, 3), make(5, 3), index(5, size=4), places=(0,), accumulate=True)
    yield case(make(4, 3), make(3), index(1, size=4), places=(0,), accumulate=False)
    yield case(make(4, 3), make(), index(2, 2, size=4), index(2, size=3), places=(0, 1), accumulate=True)
    yield case(
        make(2, 3, 4), make(5, 3), index(5, size=2), index(5, size=4), places=(0, None, 1), accumulate=True
    )
    yield case(make(4, 3, layout="transposed"), make(1), index(size=4), places=(0,), accumulate=False)
    yield fails(make(4, 3), make(2, 3), index(5, size=4), places=(0,), error="broadcast")


def by_values(op, inputs, params):
    """The shape rule of ops whose result's shape only a kernel can tell."""
    raise ShapeError(f"[{op}] the result's shape depends on values, which are not known here")


@primitive(dtype=index64, shape=by_values, data_dependent=True, complex=OWN, placement=IN_COLUMNS)
def nonzero(input):
    """The places of all elements that are not 0, one a row, in C order.

    Shapes: input (*S) -> (count, ndim)
    """


nonzero.vjp(None)


@nonzero.examples
def _(make):
    yield case(make(3, 4, low=0, high=2, dtype="int64"))
    yield case(make(5))
    yield case(make())
    yield case(make(0, 3))
    yield case(make(4, 3, layout="transposed"))


def _looked_up(op, inputs, params):
    weight, places = inputs
    if len(weight.shape) != 2:
        raise ShapeError(f"[{op}] weight {weight.shape}: 'weight' must be 2-D, one row per index")
    return (*places.shape, weight.shape[1])


@composite(dtype=same, shape=_looked_up, eager=True, complex=MOVED, placement=IN_ROWS, rounding=4)
def embedding(weight, index: Index):
    """The rows of a table that indices name.

    Shapes: weight (V, D), index (*I) -> (*I, D)
    Errors: IndexingError if an index is not in [0, V).
    """
    return index_get(weight, index, places=(0,))


def _summed_rows(op, inputs, params):
    return (params[0], *inputs[0].shape[len(inputs[1].shape) :])


@composite(dtype=same, shape=_summed_rows, complex=HOLOMORPHIC, rounding=8)
def embedding_grad(g_rows, index: Index, rows: Plain):
    """Rows added up by the place in the table that they came from: the derivative of `embedding`.

    Shapes: g_rows (*I, D), index (*I) -> (rows, D)
    """
    table = full((rows, *g_rows.array.shape[index.array.ndim :]), 0, g_rows.kind.dtype, g_rows.kind.device)
    return index_put(table, g_rows, index, places=(0,), accumulate=True)


embedding.vjp(weight=lambda g, index, like: embedding_grad(g, index, like.weight.shape[0]))
embedding_grad.vjp(g_rows=lambda g, index: embedding(g, index))


@embedding.examples
def _(make):
    yield case(make(5, 3), index(4, size=5))
    yield case(make(5, 3), index(2, 4, size=5))
    yield case(make(5, 3), index(size=5))
    yield case(make(5, 3), index(0, size=5))
    yield fails(make(5), index(2, size=5), error="must be 2-D")


@embedding_grad.examples
def _(make):
    yield case(make(4, 3), index(4, size=5), rows=5)
    yield case(make(2, 4, 3), index(2, 4, size=5), rows=6)
    yield case(make(0, 3), index(0, size=5), rows=5)
