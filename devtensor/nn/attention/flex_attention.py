"""Attention whose scores any function may change, and any mask function hide."""

from __future__ import annotations

import math
import warnings
from typing import Any, NamedTuple, TypedDict

from devtensor.core.errors import ArgumentError, DeviceError, Unsupported
from devtensor.core.tensor import Tensor
from devtensor.nn.attention.block_masks import (
    LARGE_SIZE,
    BlockMask,
    _sliced_mask_mod_error,
    create_block_mask,
)
from devtensor.nn.attention.mask_mods import (
    ModFunction,
    and_masks,
    create_mask,
    everywhere,
    noop_mask,
    or_masks,
)
from devtensor.ops.compare import where
from devtensor.ops.softmax import softmax

__all__ = [
    "AuxOutput",
    "AuxRequest",
    "BlockMask",
    "FlexKernelOptions",
    "and_masks",
    "create_block_mask",
    "create_mask",
    "flex_attention",
    "noop_mask",
    "or_masks",
]

# Kept for scripts that set it: the function always runs eagerly.
_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG = False


class FlexKernelOptions(TypedDict, total=False):
    """Options of a GPU's kernels, taken without effect."""

    num_warps: int
    num_stages: int
    BLOCK_M: int
    BLOCK_N: int
    PRESCALE_QK: bool
    ROWS_GUARANTEED_SAFE: bool
    BLOCKS_ARE_CONTIGUOUS: bool
    WRITE_DQ: bool
    USE_TMA: bool
    FORCE_USE_FLEX_ATTENTION: bool
    BACKEND: str


class AuxRequest(NamedTuple):
    """What else is wanted: the logarithm of each query's summed exponentials, its largest score."""

    lse: bool = False
    max_scores: bool = False


class AuxOutput(NamedTuple):
    """What else was wanted; None for what was not."""

    lse: Tensor | None = None
    max_scores: Tensor | None = None


def flex_attention(
    query: Any,
    key: Any,
    value: Any,
    score_mod: ModFunction | None = None,
    block_mask: BlockMask | None = None,
    scale: float | None = None,
    enable_gqa: bool = False,
    return_lse: bool = False,
    kernel_options: FlexKernelOptions | None = None,
    *,
    return_aux: AuxRequest | None = None,
) -> Any:
    """Means of `value` weighted by the softmax of what `score_mod` makes of scores, where `block_mask` looks.

    `score_mod(score, batch, head, q_idx, kv_idx)` and the mask function are called with tensors that
    broadcast over all places. Scores are float32, or float64 for such queries. A row that may look nowhere
    gives zeros.

    Shapes: query (B, Hq, L, E), key (B or 1, Hkv, S, E), value (B or 1, Hkv, S, V) -> (B, Hq, L, V), and lse
    and max_scores (B, Hq, L)
    Source: Dong et al. 2024, computed densely.
    Errors: ArgumentError (ValueError) if sizes do not go together, Unsupported for other numbers of dims.
    """
    _check(query, key, value, enable_gqa)
    _check_mask(query, key, block_mask)
    _check_returned(return_lse, return_aux)
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = (t.repeat_interleave(groups, dim=1) for t in (key, value))
    scores = _scores(query, key, score_mod, block_mask, scale)
    largest = scores.detach().amax(-1, keepdim=True)
    blind = largest == -math.inf
    weights = where(blind, 0.0, softmax(where(blind, 0.0, scores), -1))
    output = weights.to(query.dtype) @ value.to(query.dtype)
    if return_aux is None and not return_lse:
        return output
    return output, _beside(scores, blind, return_aux)


def _beside(scores: Any, blind: Any, wanted: AuxRequest | None) -> Any:
    """The logarithms of summed exponentials, minus infinity where nothing is seen, or all that is wanted."""
    lse = where(blind.squeeze(-1), -math.inf, where(blind, 0.0, scores).logsumexp(-1))
    if wanted is None:
        return lse
    return AuxOutput(lse if wanted.lse else None, scores.amax(-1) if wanted.max_scores else None)


def _scores(query: Any, key: Any, score_mod: Any, block_mask: BlockMask | None, scale: float | None) -> Any:
    """The changed scores, minus infinity where nothing is to be seen.

    Shapes: -> (B, H, L, S)
    """
    precise = "float64" if query.dtype.name == "float64" else "float32"
    scale = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    wide_query, wide_key = (t.to(dtype=precise) for t in (query, key))
    scores = (wide_query @ wide_key.transpose(-2, -1)) * scale
    sizes, device = tuple(scores.shape), query.kind.device
    if score_mod is not None:
        scores = everywhere(score_mod, sizes, device, scores)
    if block_mask is None or block_mask.mask_mod is noop_mask:
        return scores
    return where(everywhere(block_mask.mask_mod, sizes, device), scores, -math.inf)


def _check(query: Any, key: Any, value: Any, enable_gqa: bool) -> None:
    ndims = [t.dim() for t in (query, key, value)]
    if ndims != [4, 4, 4]:
        raise Unsupported(f"[flex_attention] query, key, and value must be 4D tensors, got {ndims}")
    if len({t.device for t in (query, key, value)}) > 1:
        raise ArgumentError(
            "[flex_attention] Expected query, key, and value to have the same device type, but got "
            f"{query.device}, {key.device} and {value.device}"
        )
    if query.shape[-1] != key.shape[-1]:
        raise ArgumentError(
            "[flex_attention] Expect query and key/value to have the same embedding dimension but got "
            f"E={query.shape[-1]} and E={key.shape[-1]}."
        )
    heads, given = query.shape[1], key.shape[1]
    if heads != given and not enable_gqa:
        raise ArgumentError(
            "[flex_attention] Expect query and key/value to have the same number of heads but got "
            f"Hq={heads} and Hkv={given}. Try setting enable_gqa=True for GQA."
        )
    if heads % given:
        raise ArgumentError(
            "[flex_attention] Expect number of query heads to be a multiple of kv heads for GQA but got "
            f"Hq={heads} and Hkv={given}."
        )


def _check_returned(return_lse: bool, return_aux: AuxRequest | None) -> None:
    if not return_lse:
        return
    if return_aux is not None:
        raise ArgumentError("[flex_attention] Cannot specify both return_lse and return_aux; give return_aux")
    warnings.warn(
        "return_lse is deprecated; use return_aux=AuxRequest(lse=True)", FutureWarning, stacklevel=3
    )


def _check_mask(query: Any, key: Any, block_mask: BlockMask | None) -> None:
    batches = query.shape[0], key.shape[0]
    own = batches[0] if block_mask is None else block_mask.kv_num_blocks.shape[0]
    if batches[0] != batches[1] and (block_mask is None or own != batches[0] or batches[1] != 1):
        raise ArgumentError(
            "[flex_attention] Expect query and key/value to have the same batch size, or keys of one and a "
            f"block_mask of query's, but got Bq={batches[0]}, Bkv={batches[1]}, B_block_mask={own}."
        )
    if block_mask is None:
        return
    if block_mask.mask_mod is _sliced_mask_mod_error:
        block_mask.mask_mod(None, None, None, None)
    if query.device != block_mask.kv_num_blocks.device:
        raise DeviceError(
            "[flex_attention] Expect q/k/v and block_mask to be on the same device but got "
            f"{query.device} and {block_mask.kv_num_blocks.device}."
        )
    lengths = (query.shape[-2], key.shape[-2])
    if block_mask.BLOCK_SIZE != (LARGE_SIZE, LARGE_SIZE) and lengths != tuple(block_mask.seq_lengths):
        raise ArgumentError(
            f"[flex_attention] block_mask was created for block_mask.shape={block_mask.shape} but got "
            f"q_len={lengths[0]} and kv_len={lengths[1]}. Create a new block mask; for shorter sequences "
            "block_mask._adjust(q_len, kv_len) gives its upper left corner"
        )
