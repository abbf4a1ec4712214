"""Attention of several heads, with its projections."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from devtensor.core.errors import ShapeError
from devtensor.core.precision import one_op
from devtensor.core.tensor import Tensor
from devtensor.nn.functional.activation import softmax
from devtensor.nn.functional.attention import scaled_dot_product_attention
from devtensor.nn.functional.dropout import dropout
from devtensor.nn.functional.linear import linear
from devtensor.nn.functional.masks import (
    OP,
    canonical_mask,
    check_mask_size,
    expect,
    is_batched,
    merged,
    none_or_dtype,
    one_wider,
)
from devtensor.ops.create import full
from devtensor.ops.join import cat

__all__ = ["multi_head_attention_forward"]


class Projections(NamedTuple):
    """Weights and biases in front of the heads: one weight for all three, or three; the biases in one."""

    weights: Any
    bias: Any


class Extras(NamedTuple):
    """What the heads see beside the projected keys and values."""

    bias_k: Any = None
    bias_v: Any = None
    zeros: bool = False
    static_k: Any = None
    static_v: Any = None


class Layout(NamedTuple):
    """The sizes of a call, and where the dimension of samples stands."""

    length: int
    batch: int
    width: int
    heads: int
    batch_first: bool

    def to_heads(self, projected: Any, parts: int) -> Any:
        """(.., .., parts * E) as (parts, N, heads, sequence, E / heads)."""
        first, second = projected.shape[:2]
        split = projected.reshape(first, second, parts, self.heads, self.width // self.heads)
        return split.permute(2, 0, 3, 1, 4) if self.batch_first else split.permute(2, 1, 3, 0, 4)

    def from_heads(self, output: Any) -> Any:
        """(N, heads, L, E / heads) with the heads side by side."""
        if self.batch_first:
            return output.permute(0, 2, 1, 3).reshape(self.batch, self.length, self.width)
        return output.permute(2, 0, 1, 3).reshape(self.length, self.batch, self.width)


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
    Errors: ContractError (AssertionError) or ShapeError for what does not go together.
    """
    separate = (q_proj_weight, k_proj_weight, v_proj_weight)
    return attend(
        (query, key, value),
        num_heads,
        Projections(separate if use_separate_proj_weight else in_proj_weight, in_proj_bias),
        (out_proj_weight, out_proj_bias),
        Extras(bias_k, bias_v, add_zero_attn, static_k, static_v),
        (attn_mask, key_padding_mask, is_causal),
        (need_weights, average_attn_weights),
        dropout_p if training else 0.0,
        embed_dim_to_check,
    )


def attend(
    inputs: tuple[Any, Any, Any],
    num_heads: int,
    projections: Projections,
    out_projection: tuple[Tensor, Tensor | None],
    extras: Extras,
    masks: tuple[Any, Any, bool],
    wanted: tuple[bool, bool],
    p: float,
    width_to_check: int,
    batch_first: bool = False,
) -> tuple[Any, Any]:
    """The same; `masks` are attn_mask, key_padding_mask and the hint, `wanted`: weights, and their mean."""
    mask, padding, causal = masks
    batched = is_batched(*inputs, padding, mask, num_heads)
    if not batched:
        batch_first = False
        inputs = _each_once(inputs, lambda t: t.unsqueeze(1))
        padding = None if padding is None else padding.unsqueeze(0)
    layout = _layout(inputs, num_heads, width_to_check, batch_first)
    dtype = inputs[0].dtype
    padding = canonical_mask(padding, "key_padding_mask", none_or_dtype(mask), "attn_mask", dtype)
    if causal and mask is None:
        raise ShapeError(f"[{OP}] Need attn_mask if specifying the is_causal hint.")
    causal = causal and padding is None and not wanted[0]
    mask = None if causal else canonical_mask(mask, "attn_mask", None, "", dtype, check_other=False)
    q, k, v = _projected(inputs, projections, layout)
    if mask is not None:
        check_mask_size(mask, layout.length, k.shape[2], layout.batch * num_heads)
    k, v, added = _extended(k, v, extras, layout)
    for _ in range(added):
        mask, padding = one_wider(mask), one_wider(padding)
    mask = merged(mask, padding, (layout.batch, num_heads, k.shape[2]))
    output, weights = _through_heads(q, k, v, mask, p, causal, wanted[0])
    result: Any = linear(layout.from_heads(output), *out_projection)
    if weights is not None and wanted[1]:
        weights = weights.mean(1)
    if batched:
        return result, weights
    return result.squeeze(1), None if weights is None else weights.squeeze(0)


def _each_once(inputs: tuple, change: Any) -> tuple:
    """The inputs changed; what was one tensor stays one."""
    query, key, value = inputs
    changed = change(query)
    changed_key = changed if key is query else change(key)
    return changed, changed_key, changed_key if value is key else change(value)


def _layout(inputs: tuple, heads: int, width_to_check: int, batch_first: bool) -> Layout:
    first, second, width = inputs[0].shape
    expect(width == width_to_check, f"was expecting embedding dimension of {width_to_check}, but got {width}")
    expect(width // heads * heads == width, f"embed_dim {width} not divisible by num_heads {heads}")
    length, batch = (second, first) if batch_first else (first, second)
    return Layout(length, batch, width, heads, batch_first)


def _projected(inputs: tuple, projections: Projections, layout: Layout) -> Any:
    """Queries, keys and values (N, heads, sequence, E / heads); as few products as the inputs allow."""
    query, key, value = inputs
    weights, bias = projections
    if isinstance(weights, tuple):
        expect(all(w is not None for w in weights), "use_separate_proj_weight is True but a weight is None")
        expect(
            key.shape[:2] == value.shape[:2],
            f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}",
        )
        biases = (None, None, None) if bias is None else bias.chunk(3)
        return [
            layout.to_heads(linear(x, w, b), 1)[0] for x, w, b in zip(inputs, weights, biases, strict=True)
        ]
    expect(weights is not None, "use_separate_proj_weight is False but in_proj_weight is None")
    expect(key.shape == value.shape, f"key shape {key.shape} does not match value shape {value.shape}")
    if query is key and key is value:
        return layout.to_heads(linear(query, weights, bias), 3).unbind(0)
    counts = [1, 2] if key is value else [1, 1, 1]
    sizes = [count * layout.width for count in counts]
    biases = [None] * len(counts) if bias is None else bias.split(sizes)
    parts = zip(inputs, weights.split(sizes), biases, counts, strict=False)
    return [heads for x, w, b, count in parts for heads in layout.to_heads(linear(x, w, b), count).unbind(0)]


def _extended(k: Any, v: Any, extras: Extras, layout: Layout) -> tuple[Any, Any, int]:
    """Keys and values with the extra places, and how many were added; fixed ones in their stead."""
    added = 0
    if extras.bias_k is not None or extras.bias_v is not None:
        expect(extras.bias_k is not None, "bias_v is set but bias_k is None")
        expect(extras.bias_v is not None, "bias_k is set but bias_v is None")
        expect(extras.static_k is None, "bias cannot be added to static key.")
        expect(extras.static_v is None, "bias cannot be added to static value.")
        k, v = _one_longer(k, extras.bias_k), _one_longer(v, extras.bias_v)
        added += 1
    k = _fixed("static_k", extras.static_k, k, layout)
    v = _fixed("static_v", extras.static_v, v, layout)
    if extras.zeros:
        zeros = full((*k.shape[:2], 1, k.shape[3]), 0, k.kind.dtype, k.kind.device)
        k, v = cat(k, zeros, dim=2), cat(v, zeros, dim=2)
        added += 1
    return k, v, added


def _one_longer(t: Any, bias: Any) -> Any:
    """One more place at the end of the sequence, the same for all samples."""
    batch, heads, _, head = t.shape
    return cat(t, bias.reshape(1, heads, 1, head).expand(batch, heads, 1, head), dim=2)


def _fixed(name: str, fixed: Any, projected: Any, layout: Layout) -> Any:
    if fixed is None:
        return projected
    rows, head = layout.batch * layout.heads, layout.width // layout.heads
    expect(
        fixed.array.ndim == 3 and fixed.shape[0] == rows and fixed.shape[2] == head,
        f"{name} has shape {tuple(fixed.shape)}; expecting ({rows}, S, {head})",
    )
    return fixed.reshape(layout.batch, layout.heads, fixed.shape[1], head)


@one_op("lower", name="baddbmm")
def _scores(q: Any, k: Any, mask: Any) -> Any:
    """How well queries (*B, L, E) and keys (*B, S, E) fit, plus the mask: (*B, L, S)."""
    scores = q @ k.transpose(-2, -1)
    return scores if mask is None else scores + mask


def _through_heads(
    q: Any, k: Any, v: Any, mask: Any, p: float, causal: bool, weighted: bool
) -> tuple[Any, Any]:
    """The heads' outputs (N, heads, L, E / heads), and the weights (N, heads, L, S) where they are wanted."""
    if not weighted:
        return scaled_dot_product_attention(q, k, v, mask, p, causal), None
    weights: Any = softmax(_scores(q * math.sqrt(1.0 / q.shape[-1]), k, mask), -1)
    if p > 0.0:
        weights = dropout(weights, p)
    return weights @ v, weights
