"""Attention of several heads, with its projections."""

from __future__ import annotations

import math
from typing import Any

from devtensor.core.errors import DevtensorError, ShapeError
from devtensor.core.tensor import Tensor
from devtensor.nn.functional.activation import softmax
from devtensor.nn.functional.attention import scaled_dot_product_attention
from devtensor.nn.functional.dropout import dropout
from devtensor.nn.functional.linear import linear
from devtensor.nn.functional.padding import pad
from devtensor.ops.compare import where
from devtensor.ops.create import full
from devtensor.ops.join import cat

__all__ = ["multi_head_attention_forward"]


class AttentionError(DevtensorError, AssertionError):
    """Queries, keys, values or masks that do not go together."""


def _expect(condition: Any, text: str) -> None:
    if not condition:
        raise AttentionError(f"[multi_head_attention_forward] {text}")


def multi_head_attention_forward(
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Any = None,
    static_v: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Any, Any]:
    """Attention of `num_heads` heads over projections of query, key and value, projected back.

    Gives the output and, with `need_weights`, the weights. Bool masks say where not to look; masks of numbers
    are added. `is_causal` is a hint beside `attn_mask`, which it may stand for where no weights are needed.

    Shapes: query (L, N, E), key, value (S, N, E), attn_mask (L, S) or (N*heads, L, S), key_padding_mask (N,
    S) -> (L, N, E) and (N, L, S), or (N, heads, L, S) unless averaged; all may lack N
    Source: Vaswani et al. 2017.
    Errors: AttentionError (AssertionError) or ShapeError for what does not go together.
    """
    batched = _is_batched(query, key, value, key_padding_mask, attn_mask)
    if not batched:
        query, key, value = (t.unsqueeze(1) for t in (query, key, value))
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    length, batch, width = query.shape
    _expect(
        width == embed_dim_to_check,
        f"was expecting embedding dimension of {embed_dim_to_check}, but got {width}",
    )
    head = width // num_heads
    _expect(head * num_heads == width, f"embed_dim {width} not divisible by num_heads {num_heads}")
    if is_causal and attn_mask is None:
        raise ShapeError("[multi_head_attention_forward] Need attn_mask if specifying the is_causal hint.")
    padding = _added("key_padding_mask", key_padding_mask, query.dtype)
    hinted = is_causal and padding is None and not need_weights
    mask = None if hinted else _added("attn_mask", attn_mask, query.dtype)
    mask = _three_dims(mask, length, key.shape[0], batch * num_heads)
    weights = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else in_proj_weight
    q, k, v = _projected(query, key, value, weights, in_proj_bias)
    if bias_k is not None or bias_v is not None:
        _expect(static_k is None and static_v is None, "bias cannot be added to static key or value.")
        k, v = _with_biases(k, v, bias_k, bias_v)
        mask, padding = _widened_masks(mask, padding)
    q, k, v = (
        t.reshape(t.shape[0], batch * num_heads, head).transpose(0, 1) if fixed is None else fixed
        for t, fixed in ((q, None), (k, static_k), (v, static_v))
    )
    if add_zero_attn:
        zeros = full((batch * num_heads, 1, head), 0, k.kind.dtype, k.kind.device)
        k, v = cat(k, zeros, dim=1), cat(v, zeros, dim=1)
        mask, padding = _widened_masks(mask, padding)
    mask = _merged(mask, padding, batch, num_heads, k.shape[1])
    p = dropout_p if training else 0.0
    output, seen = _attended(q, k, v, mask, p, hinted, need_weights, (batch, num_heads))
    output = _put_together(output, (length, batch, width), out_proj_weight, out_proj_bias)
    if seen is not None and average_attn_weights:
        seen = seen.mean(1)
    if batched:
        return output, seen
    return output.squeeze(1), None if seen is None else seen.squeeze(0)


def _is_batched(query: Any, key: Any, value: Any, padding: Any, mask: Any) -> bool:
    ndim = query.array.ndim
    _expect(
        ndim in (2, 3),
        f"query should be unbatched 2D or batched 3D tensor but received {ndim}-D query tensor",
    )
    _expect(
        key.array.ndim == value.array.ndim == ndim,
        f"For {ndim}-D query, expected key and value to be {ndim}-D but found {key.array.ndim}-D and "
        f"{value.array.ndim}-D tensors respectively",
    )
    _expect(
        padding is None or padding.array.ndim == ndim - 1,
        f"For {ndim}-D query, expected key_padding_mask to be None or {ndim - 1}-D",
    )
    _expect(
        mask is None or mask.array.ndim in (2, 3),
        f"For {ndim}-D query, expected attn_mask to be None, 2-D or 3-D",
    )
    return ndim == 3


def _added(name: str, mask: Any, dtype: Any) -> Any:
    """A mask as numbers to add: minus infinity where a bool one says not to look."""
    if mask is None or mask.dtype.is_floating_point:
        return mask
    _expect(mask.dtype.name == "bool", f"only bool and floating types of {name} are supported")
    zeros = full(tuple(mask.array.shape), 0, dtype, mask.kind.device)
    return where(mask, float("-inf"), zeros)


def _three_dims(mask: Any, length: int, source: int, heads: int) -> Any:
    if mask is None:
        return None
    shape = tuple(mask.array.shape)
    wanted = (length, source) if len(shape) == 2 else (heads, length, source)
    if shape != wanted:
        raise ShapeError(
            f"[multi_head_attention_forward] The shape of the {len(shape)}D attn_mask is {shape}, but should "
            f"be {wanted}."
        )
    return mask.unsqueeze(0) if len(shape) == 2 else mask


def _projected(query: Any, key: Any, value: Any, weights: Any, bias: Any) -> list[Any]:
    if isinstance(weights, tuple):
        _expect(all(w is not None for w in weights), "use_separate_proj_weight is True but a weight is None")
        _expect(
            key.shape[:2] == value.shape[:2],
            f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}",
        )
    else:
        _expect(weights is not None, "use_separate_proj_weight is False but in_proj_weight is None")
        _expect(key.shape == value.shape, f"key shape {key.shape} does not match value shape {value.shape}")
        weights = weights.chunk(3)
    biases = (None, None, None) if bias is None else bias.chunk(3)
    return [linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True)]


def _with_biases(k: Any, v: Any, bias_k: Any, bias_v: Any) -> tuple[Any, Any]:
    """Keys and values with one more place at the end of the sequence, the same for all samples."""
    _expect(bias_k is not None and bias_v is not None, "bias_k and bias_v must be given together")
    return _one_longer(k, bias_k), _one_longer(v, bias_v)


def _one_longer(t: Any, bias: Any) -> Any:
    return cat(t, bias.expand(1, t.shape[1], bias.shape[-1]), dim=0)


def _widened_masks(*masks: Any) -> tuple[Any, ...]:
    """Masks with one more place to look at, the last."""
    return tuple(None if mask is None else pad(mask, (0, 1)) for mask in masks)


def _merged(mask: Any, padding: Any, batch: int, heads: int, source: int) -> Any:
    if padding is None:
        return mask
    _expect(
        tuple(padding.array.shape) == (batch, source),
        f"key_padding_mask shape {tuple(padding.array.shape)}; expected {(batch, source)}",
    )
    spread = padding.view(batch, 1, 1, source).expand(batch, heads, 1, source)
    spread = spread.reshape(batch * heads, 1, source)
    return spread if mask is None else mask + spread


def _put_together(output: Any, sizes: tuple[int, int, int], weight: Any, bias: Any) -> Any:
    """The heads' outputs side by side, projected: (L, N, E)."""
    length, batch, width = sizes
    made: Any = linear(output.transpose(0, 1).reshape(length * batch, width), weight, bias)
    return made.view(length, batch, made.shape[1])


def _attended(
    q: Any, k: Any, v: Any, mask: Any, p: float, causal: bool, wanted: bool, sizes: tuple[int, int]
) -> tuple[Any, Any]:
    """The heads' outputs (N*heads, L, E/heads), and the weights (N, heads, L, S) where they are wanted."""
    if not wanted:
        return scaled_dot_product_attention(q, k, v, mask, p, causal), None
    scores = (q * math.sqrt(1.0 / q.shape[-1])) @ k.transpose(-2, -1)
    weights: Any = softmax(scores if mask is None else scores + mask, -1)
    if p > 0.0:
        weights = dropout(weights, p)
    return weights @ v, weights.view(*sizes, *weights.shape[1:])
