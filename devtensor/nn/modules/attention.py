"""Attention of several heads as a layer."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import ArgumentError, ContractError
from devtensor.core.tensor import Tensor
from devtensor.nn import init
from devtensor.nn.functional.heads import Extras, Projections, attend
from devtensor.nn.modules.circumstances import announce
from devtensor.nn.modules.fresh import parameter
from devtensor.nn.modules.linear import NonDynamicallyQuantizableLinear
from devtensor.nn.modules.module import Module
from devtensor.nn.parameter import Parameter


class MultiheadAttention(Module):
    """Attention of `num_heads` heads, each over its part of the projected queries, keys and values.

    Keys have `kdim` and values `vdim` features, `embed_dim` unless given. `add_bias_kv` adds a learned place
    to keys and values, `add_zero_attn` one of zeros. Bool masks say where not to look, masks of numbers are
    added to the scores.

    Shapes: query (L, N, E), key (S, N, kdim), value (S, N, vdim), or (N, L, E), (N, S, kdim), (N, S, vdim) if
    `batch_first`; key_padding_mask (N, S), attn_mask (L, S) or (N*num_heads, L, S) -> as query, and weights
    (N, L, S), or (N, num_heads, L, S) unless averaged, or None unless `need_weights`; all may lack N
    Source: Vaswani et al. 2017. Projections start as Xavier's uniform, biases as 0, the learned places as
    Xavier's normal, as in PyTorch. Queries that may look nowhere give NaN with weights, else 0.
    Errors: ContractError (AssertionError) or ShapeError for what does not go together.
    """

    __constants__ = ("batch_first",)
    in_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None
    _qkv_same_embed_dim: bool

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if embed_dim <= 0 or num_heads <= 0:
            raise ArgumentError(
                "[MultiheadAttention] embed_dim and num_heads must be greater than 0, got "
                f"embed_dim={embed_dim} and num_heads={num_heads} instead"
            )
        if embed_dim % num_heads:
            raise ContractError(
                f"[MultiheadAttention] got embed_dim={embed_dim} and num_heads={num_heads}; embed_dim must "
                "be divisible by num_heads"
            )
        super().__init__()
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == embed_dim == self.vdim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        self._add_projections(bias, device, dtype)
        for name in ("bias_k", "bias_v"):
            place = parameter(1, 1, embed_dim, device=device, dtype=dtype) if add_bias_kv else None
            setattr(self, name, place)
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _add_projections(self, bias: bool, device: Any, dtype: Any) -> None:
        """One weight for queries, keys and values, or three if their sizes differ."""
        width = self.embed_dim
        sizes = {"in_proj_weight": (3 * width, width)}
        if not self._qkv_same_embed_dim:
            sizes = {"q_proj_weight": (width, width), "k_proj_weight": (width, self.kdim)}
            sizes["v_proj_weight"] = (width, self.vdim)
        names = ["q_proj_weight", "k_proj_weight", "v_proj_weight"]
        names.insert(0 if self._qkv_same_embed_dim else 3, "in_proj_weight")
        for name in names:
            weight = parameter(*sizes[name], device=device, dtype=dtype) if name in sizes else None
            self.register_parameter(name, weight)
        biases = parameter(3 * width, device=device, dtype=dtype) if bias else None
        self.register_parameter("in_proj_bias", biases)
        self.out_proj = NonDynamicallyQuantizableLinear(width, width, bias=bias, device=device, dtype=dtype)

    def _reset_parameters(self) -> None:
        weights = (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        for weight in weights:
            if weight is not None:
                init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.constant_(bias, 0.0)
        for place in (self.bias_k, self.bias_v):
            if place is not None:
                init.xavier_normal_(place)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({"_qkv_same_embed_dim": True, **state})

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        announce(self)
        separate = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        weights = self.in_proj_weight if self._qkv_same_embed_dim else separate
        return attend(
            (query, key, value),
            self.num_heads,
            Projections(weights, self.in_proj_bias),
            (self.out_proj.weight, self.out_proj.bias),
            Extras(self.bias_k, self.bias_v, self.add_zero_attn),
            (attn_mask, key_padding_mask, is_causal),
            (need_weights, average_attn_weights),
            self.dropout if self.training else 0.0,
            self.embed_dim,
            self.batch_first,
        )

    def merge_masks(
        self, attn_mask: Tensor | None, key_padding_mask: Tensor | None, query: Tensor
    ) -> tuple[Tensor | None, int | None]:
        """Both masks as one of numbers to add, and its kind: 1 for padding alone, 2 if there is attn_mask.

        Shapes: attn_mask (L, L) or (N*num_heads, L, L), key_padding_mask (N, L), query (N, L, E) -> (N, L) or
        (N, num_heads, L, L)
        """
        if attn_mask is None:
            return key_padding_mask, None if key_padding_mask is None else 1
        batch, length, _ = query.shape
        merged = attn_mask.view(batch if attn_mask.dim() == 3 else 1, -1, length, length)
        merged = merged.expand(batch, self.num_heads, length, length)
        if key_padding_mask is not None:
            merged = merged + key_padding_mask.view(batch, 1, 1, length)
        return merged, 2
