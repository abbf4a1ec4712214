"""Scaled dot-product attention in PyTorch's spelling."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import DTypeError, OptionError, ShapeError
from devtensor.core.precision import one_op
from devtensor.core.tensor import Tensor, strides_of
from devtensor.nn.functional.dropout import dropout
from devtensor.ops.attention import attention, attention_weights
from devtensor.ops.linalg import matmul
from devtensor.ops.norm import in_dtype
from devtensor.ops.reduce import widened

__all__ = ["scaled_dot_product_attention"]


@one_op("lower", name="attention")
def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Means of `value` weighted by softmax(query @ key.T * scale + mask).

    A bool mask says where to look; a mask of numbers is added. With `enable_gqa` several heads of `query`
    share one of `key` and `value`. With `is_causal` a query sees keys up to its own place, and what the mask
    leaves of them. A row that may look nowhere gives zeros. A mask may also be a
    `nn.attention.bias.CausalBias`.

    Shapes: query (*B, L, E), key (*B, S, E), value (*B, S, V), attn_mask broadcasts to (*B, L, S) -> (*B, L,
    V)
    Source: Vaswani et al. 2017; `scale` is 1/sqrt(E) unless given.
    Errors: ShapeError if sizes do not fit; OptionError for a mask beside `is_causal` where PyTorch has no
    fused kernel.
    """
    if hasattr(attn_mask, "_dispatch"):
        return attn_mask._dispatch(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
    _check(query, key, value, attn_mask)
    both = is_causal and attn_mask is not None
    if both and (dropout_p or not _is_fused((query, key, value), attn_mask, enable_gqa)):
        raise OptionError(
            "[scaled_dot_product_attention] Explicit attn_mask should not be set when is_causal=True; fused "
            "kernels alone take both: for 4-d inputs of one batch and head size, no dropout, a mask without "
            "a gradient, and the last dim of all of them in one piece. Put the causal part into the mask"
        )
    if enable_gqa:
        key, value = (_shared(query, t) for t in (key, value))
    if not dropout_p:
        return attention(query, key, value, attn_mask, is_causal, scale)
    return _with_dropout(query, key, value, attn_mask, dropout_p, is_causal, scale)


def _with_dropout(
    query: Tensor, key: Tensor, value: Tensor, mask: Any, p: float, is_causal: bool, scale: float | None
) -> Tensor:
    """Attention whose weights are dropped with probability `p`; half types are computed in float32."""
    dtypes = [t.kind.dtype for t in (query, key, value)]
    if len(set(dtypes)) > 1:
        raise DTypeError(
            "[scaled_dot_product_attention] Expected query, key, and value to have the same dtype, but got "
            f"{dtypes[0]}, {dtypes[1]} and {dtypes[2]}"
        )
    weights = attention_weights(widened(query), widened(key), mask, is_causal, scale)
    return in_dtype(matmul(dropout(weights, p, True), widened(value)), dtypes[0])


def _check(query: Any, key: Any, value: Any, mask: Any) -> None:
    ndims = [t.array.ndim for t in (query, key, value)]
    if min(ndims) < 2:
        raise ShapeError(
            "[scaled_dot_product_attention] Expected query, key, and value to all be at least 2 dimensional, "
            f"but got {ndims[0]}, {ndims[1]} and {ndims[2]}"
        )
    if mask is not None and mask.kind.dtype.name not in ("bool", "float32", query.kind.dtype.name):
        raise DTypeError(
            "[scaled_dot_product_attention] Expected attn_mask dtype to be bool, float or that of query, but "
            f"got {mask.kind.dtype} for {query.kind.dtype}"
        )


def _is_fused(inputs: tuple, mask: Any, enable_gqa: bool) -> bool:
    """Whether PyTorch has a fused kernel on the CPU, which takes a mask beside `is_causal`."""
    if mask.requires_grad or any(t.array.ndim != 4 or t.dtype is not inputs[0].dtype for t in inputs):
        return False
    shapes = [tuple(t.array.shape) for t in inputs]
    (batch, heads, rows, size), keys = shapes[0], shapes[1][2]
    same_heads = shapes[1][1] == shapes[2][1] and (
        heads == shapes[1][1] or (enable_gqa and shapes[1][1] > 0 and heads % shapes[1][1] == 0)
    )
    one = {(shape[0], shape[3]) for shape in shapes} == {(batch, size)}
    fits = mask.array.ndim in (2, 4) and all(
        have in (1, want)
        for have, want in zip(reversed(mask.array.shape), (keys, rows, heads, batch), strict=False)
    )
    in_pieces = all(strides_of(t)[-1] == 1 for t in (*inputs, mask))
    return same_heads and one and fits and in_pieces and rows > 0 and keys > 0


def _shared(query: Any, heads: Any) -> Any:
    """Heads repeated so that each of the query's has one."""
    wanted, given = query.shape[-3], heads.shape[-3]
    if wanted % given:
        raise ShapeError(
            "[scaled_dot_product_attention] the number of heads in key and value must divide the number of "
            f"heads in query: {given} and {wanted}"
        )
    return heads.repeat_interleave(wanted // given, dim=-3)
