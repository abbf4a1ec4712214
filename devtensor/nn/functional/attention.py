"""Scaled dot-product attention."""

from __future__ import annotations

import math
from typing import Any

from devtensor.core.errors import ArgumentError
from devtensor.core.tensor import Tensor
from devtensor.nn.functional.dropout import dropout
from devtensor.ops.activation import softmax
from devtensor.ops.compare import where
from devtensor.ops.create import full
from devtensor.ops.index import tril

__all__ = ["scaled_dot_product_attention"]


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
    share one
    of `key` and `value`. A row that may look nowhere gives zeros.

    Shapes: query (*B, L, E), key (*B, S, E), value (*B, S, V), attn_mask broadcasts to (*B, L, S) -> (*B, L,
    V)
    Source: Vaswani et al. 2017; `scale` is 1/sqrt(E) unless given.
    Errors: ArgumentError if a mask is given beside is_causal.
    """
    if is_causal and attn_mask is not None:
        raise ArgumentError(
            "[scaled_dot_product_attention] got attn_mask and is_causal=True; give one of them"
        )
    if enable_gqa:
        heads = query.shape[-3]
        key, value = (t.repeat_interleave(heads // t.shape[-3], dim=-3) for t in (key, value))
    scale = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = (query * scale) @ key.transpose(-2, -1)
    if is_causal:
        rows, columns = scores.shape[-2:]
        attn_mask = tril(full((rows, columns), 1, "uint8", query.device)) > 0
    weights = _weights(scores, attn_mask)
    if dropout_p:
        weights = dropout(weights, dropout_p, True)
    return weights @ value


def _weights(scores: Any, mask: Any) -> Any:
    if mask is None:
        return softmax(scores, -1)
    if mask.dtype.is_floating_point:
        return softmax(scores + mask.to(scores.dtype), -1)
    lowest = float("-inf")
    blind = mask.any(-1, True).logical_not()
    weights = softmax(where(mask | blind, scores, lowest), -1)
    return where(blind, 0.0, weights)
