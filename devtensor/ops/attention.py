"""Scaled dot-product attention."""

from __future__ import annotations

import math
from typing import Any

from devtensor.core.dtype import bool_
from devtensor.core.errors import ShapeError
from devtensor.core.layout import Strides, strides_like
from devtensor.core.op import Dim, Plain, Raw, composite
from devtensor.core.placement import Placement
from devtensor.core.rules import only_floating, same_shape
from devtensor.core.spec import broadcast_shapes, contiguous_strides
from devtensor.ops.compare import eq, where
from devtensor.ops.create import full
from devtensor.ops.examples import along_a_dim, case, fails, mask
from devtensor.ops.functions import exp
from devtensor.ops.linalg import matmul, transposed
from devtensor.ops.norm import in_dtype
from devtensor.ops.reduce import amax, sum_to, widened
from devtensor.ops.reduce import sum as _sum
from devtensor.ops.softmax import one_floating, softmax, softmax_gradient
from devtensor.ops.triangles import tril


def _attended(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    query, key, value = (i.shape for i in inputs[:3])
    if min(map(len, (query, key, value))) < 2 or query[-1] != key[-1] or key[-2] != value[-2]:
        raise ShapeError(
            f"[{op}] query {query}, key {key}, value {value}; it needs (*B, L, E), (*B, S, E), (*B, S, V)"
        )
    lead = broadcast_shapes(op, [query[:-2], key[:-2], value[:-2]])
    scores = (*lead, query[-2], key[-2])
    if inputs[3] is not None and broadcast_shapes(op, [scores, inputs[3].shape]) != scores:
        raise ShapeError(f"[{op}] mask {inputs[3].shape} does not broadcast to {scores}")
    return (*lead, query[-2], value[-1])


@composite(dtype=only_floating, shape=same_shape, amp="widest")
def safe_softmax(scores, dim: Dim = -1):
    """`softmax`, and zeros where all along `dim` is minus infinity.

    Shapes: scores (*S) -> (*S)
    """
    if 0 in scores.array.shape:
        return scores
    dims = (dim,) if scores.array.ndim else ()
    top = amax(scores, dims, True)
    powers = exp(scores - where(eq(top, -math.inf), 0.0, top))
    total = _sum(powers, dims, True)
    return powers / where(eq(total, 0.0), 1.0, total)


safe_softmax.vjp(scores=lambda g, out, dim: softmax_gradient(g, out, dim))
safe_softmax.examples(along_a_dim())


def _masked(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    scores, mask = (spec and spec.shape for spec in inputs)
    if len(scores) < 2:
        raise ShapeError(f"[{op}] scores {scores}; it needs (*B, L, S)")
    if mask is not None and broadcast_shapes(op, [scores, mask]) != scores:
        raise ShapeError(f"[{op}] mask {mask} does not broadcast to {scores}")
    return scores


@composite(dtype=only_floating, shape=_masked, amp="widest", eager=True)
def masked_softmax(scores, mask: Raw, is_causal: Plain = False, scale: Plain = 1.0):
    """Softmax over the keys of scores * scale plus the mask; `is_causal` hides keys later than the query.

    A bool mask says what is seen, one of numbers is added; None is none. Beside a mask a row that sees
    nothing is zeros.

    Shapes: scores (*B, L, S), mask broadcasts to (*B, L, S) -> (*B, L, S)
    Errors: ShapeError if sizes do not fit.
    """
    scores = scores if scale == 1.0 else scores * scale
    dtype, device = scores.kind.dtype, scores.kind.device
    if is_causal:
        past = tril(full(tuple(scores.array.shape[-2:]), True, bool_, device))
        scores = where(past, scores, -math.inf)
    if mask is None:
        return softmax(scores, -1)
    if not mask.kind.dtype.is_floating_point:
        mask = where(mask, full((), 0, dtype, device), -math.inf)
    return safe_softmax(scores + in_dtype(mask, dtype), -1)


def _mask_gradient(g: Any, out: Any, like: Any) -> Any:
    return in_dtype(sum_to(softmax_gradient(g, out, -1), like.mask.shape), like.mask.dtype)


masked_softmax.vjp(scores=lambda g, out, scale: softmax_gradient(g, out, -1, scale), mask=_mask_gradient)


@masked_softmax.examples
def _(make):
    yield case(make(3, 5), None)
    yield case(make(2, 3, 5), None, is_causal=True, scale=0.25)
    yield case(make(2, 5, 3), make(5, 3), is_causal=True, scale=2.0)
    yield case(make(2, 3, 4, 5), mask(2, 1, 1, 5), scale=-1.5)
    yield case(make(2, 3, 4, 5), make(3, 1, 5), is_causal=True)
    yield case(make(2, 2, 1, 4, 5), mask(2, 1, 4, 1))
    yield case(make(4, 3, layout="transposed"), make(4, 3, layout="sliced"), is_causal=True)
    yield case(make(3, 0), make(3, 0))
    yield case(make(0, 3), None, is_causal=True)
    yield fails(make(3, 4), mask(4, 4), error="broadcast")
    yield fails(make(4), None, error="it needs")


def attention_weights(query: Any, key: Any, mask: Any, is_causal: bool, scale: float | None) -> Any:
    """Softmax of query @ key.T * scale plus the mask; rows that may look nowhere are 0."""
    scale = 1.0 / math.sqrt(query.array.shape[-1] or 1) if scale is None else scale
    return masked_softmax(matmul(query, transposed(key)), mask, is_causal, scale)


def _like_query(shapes: Any, operands: Any, params: tuple) -> list[Strides]:
    """As the queries, where the numbers of each stand side by side."""
    own, strides = operands[0]
    alike = shapes[0] == own and len(own) == 4 and strides[-1] == 1
    return [strides_like(own, strides) if alike else contiguous_strides(shapes[0])]


@composite(dtype=one_floating, shape=_attended, amp="lower", eager=True, placement=Placement(_like_query))
def attention(query, key, value, mask: Raw, is_causal: Plain = False, scale: Plain = None):
    """Means of `value` weighted by softmax(query @ key.T * scale + mask); scale is 1/sqrt(E) unless given.

    A bool mask says where to look, one of numbers is added; None is none. Half types are computed in float32.

    Shapes: query (*B, L, E), key (*B, S, E), value (*B, S, V), mask broadcasts to (*B, L, S) -> (*B, L, V)
    Source: Vaswani et al. 2017. A row that may look nowhere gives zeros, as in PyTorch.
    Errors: ShapeError if sizes do not fit.
    """
    weights = attention_weights(widened(query), widened(key), mask, is_causal, scale)
    return in_dtype(matmul(weights, widened(value)), query.kind.dtype)


@attention.examples
def _(make):
    yield case(make(3, 4), make(5, 4), make(5, 2), None)
    yield case(make(2, 3, 4), make(2, 3, 4), make(2, 3, 4), None, is_causal=True)
    yield case(make(2, 3, 4), make(2, 5, 4), make(2, 5, 4), mask(3, 5), scale=0.3)
    yield case(make(2, 1, 3, 4), make(2, 5, 4), make(2, 5, 4), make(3, 5, dtype="float32"))
    yield case(make(3, 4), make(0, 4), make(0, 2), None)
    yield case(make(3, 0), make(5, 0), make(5, 2), None)
    yield fails(make(3, 4), make(5, 3), make(5, 2), None, error="it needs")
    yield fails(make(3, 4), make(5, 4), make(5, 2), mask(4, 5), error="broadcast")
