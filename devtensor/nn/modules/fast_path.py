"""Where PyTorch takes the fast path of a Transformer's encoder, which decides no more than a dtype here."""

from __future__ import annotations

from typing import Any

from devtensor.amp.layer import is_autocast_enabled
from devtensor.backends import mha
from devtensor.core.state import current
from devtensor.core.tensor import Tensor


def unfit(layer: Any) -> str:
    """What of an encoder's layer keeps PyTorch from its fast path; nothing if all fits."""
    attention = layer.self_attn
    reasons = {
        ".self_attn.batch_first was not True(use batch_first for better inference performance)": (
            not attention.batch_first
        ),
        ".self_attn._qkv_same_embed_dim was not True": not attention._qkv_same_embed_dim,
        ".self_attn was passed bias=False": attention.in_proj_bias is None,
        ".activation_relu_or_gelu was not True": not layer.activation_relu_or_gelu,
        ".norm1.eps was not equal to encoder_layer.norm2.eps": layer.norm1.eps != layer.norm2.eps,
        ".self_attn.num_heads is odd": attention.num_heads % 2 == 1,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def taken(layer: Any, src: Tensor) -> bool:
    """Whether PyTorch takes it for this input: in evaluation, without gradients, hooks or CUDA's autocast."""
    if layer.training or src.dim() != 3 or unfit(layer) or not mha.get_fastpath_enabled():
        return False
    if is_autocast_enabled() or any(m._forward_hooks or m._forward_pre_hooks for m in layer.modules()):
        return False
    return not (current().grad and any(t.requires_grad for t in (src, *layer.parameters())))
