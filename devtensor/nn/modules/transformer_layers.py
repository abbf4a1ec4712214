"""One layer of a Transformer's encoder, and one of its decoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.errors import ArgumentError
from devtensor.core.tensor import Tensor
from devtensor.nn import functional
from devtensor.nn.functional.masks import canonical_mask, none_or_dtype
from devtensor.nn.modules import fast_path
from devtensor.nn.modules.activation import GELU, ReLU
from devtensor.nn.modules.attention import MultiheadAttention
from devtensor.nn.modules.dropout import Dropout
from devtensor.nn.modules.linear import Linear
from devtensor.nn.modules.module import Module
from devtensor.nn.modules.normalization import LayerNorm
from devtensor.ops.norm import in_dtype

Activation = Callable[[Tensor], Tensor]


def _get_activation_fn(activation: str) -> Activation:
    """The activation of that name.

    Errors: ArgumentError for any but "relu" and "gelu".
    """
    known: dict[str, Activation] = {"relu": functional.relu, "gelu": functional.gelu}
    if activation not in known:
        raise ArgumentError(f"[Transformer] activation should be relu/gelu, not {activation}")
    return known[activation]


class _Block(Module):
    """What both layers share: two linear maps with an activation between them, after the attention."""

    __constants__ = ("norm_first",)
    norm_first: bool
    self_attn: MultiheadAttention
    linear1: Linear
    linear2: Linear
    dropout: Dropout
    dropout1: Dropout
    activation: Activation

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if not hasattr(self, "activation"):
            self.activation = functional.relu

    def _attended(self, attention: Module, x: Tensor, memory: Tensor, masks: tuple[Any, Any, bool]) -> Tensor:
        mask, padding, is_causal = masks
        output, _ = attention(
            x,
            memory,
            memory,
            attn_mask=mask,
            key_padding_mask=padding,
            is_causal=is_causal,
            need_weights=False,
        )
        return output

    def _sa_block(self, x: Tensor, attn_mask: Any, key_padding_mask: Any, is_causal: bool = False) -> Tensor:
        return self.dropout1(self._attended(self.self_attn, x, x, (attn_mask, key_padding_mask, is_causal)))

    def _fed_forward(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_Block):
    """Attention of a sequence to itself, then two linear maps, each added to its input and normalised.

    `norm_first` normalises in front of each instead. `activation` is "relu", "gelu" or any function. Where
    PyTorch takes its fast path, which on the CPU it also does within autocast, the result has its dtype: the
    one that products run in.

    Shapes: src (S, N, E) or (N, S, E), src_mask (S, S) or (N*nhead, S, S), src_key_padding_mask (N, S) -> as
    src
    Source: Vaswani et al. 2017; `norm_first`: Xiong et al. 2020, figure 1.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Activation = functional.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        place: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        super().__init__()
        self.self_attn = MultiheadAttention(d_model, nhead, dropout=dropout, batch_first=batch_first, **place)
        self.linear1 = Linear(d_model, dim_feedforward, **place)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, **place)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, **place)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, **place)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        chosen = _get_activation_fn(activation) if isinstance(activation, str) else activation
        # PyTorch's number for the activation: its encoder asks whether it is one of these two.
        self.activation_relu_or_gelu = 0
        if chosen is functional.relu or isinstance(chosen, ReLU):
            self.activation_relu_or_gelu = 1
        elif chosen is functional.gelu or isinstance(chosen, GELU):
            self.activation_relu_or_gelu = 2
        self.activation = chosen

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        padding = canonical_mask(
            src_key_padding_mask, "src_key_padding_mask", none_or_dtype(src_mask), "src_mask", src.dtype
        )
        mask = canonical_mask(src_mask, "src_mask", None, "", src.dtype, check_other=False)
        if self.norm_first:
            x = self._sum(src, self._sa_block(self.norm1(src), mask, padding, is_causal=is_causal))
            return self._sum(x, self._ff_block(self.norm2(x)))
        x = self.norm1(self._sum(src, self._sa_block(src, mask, padding, is_causal=is_causal)))
        return self.norm2(self._sum(x, self._ff_block(x)))

    def _sum(self, x: Tensor, block: Tensor) -> Tensor:
        """What a block was given and what it gave, which PyTorch's fast path adds in place: in its dtype."""
        total = x + block  # type: ignore[operator]
        mixed = x.kind.dtype is not block.kind.dtype
        return in_dtype(total, block.kind.dtype) if mixed and fast_path.taken(self, x) else total

    def _ff_block(self, x: Tensor) -> Tensor:
        return self.dropout2(self._fed_forward(x))


class TransformerDecoderLayer(_Block):
    """Attention of a sequence to itself, then to the encoder's output, then two linear maps.

    Each is added to what it was given and normalised; `norm_first` normalises in front of each instead.
    `activation` is "relu", "gelu" or any function.

    Shapes: tgt (T, N, E), memory (S, N, E), or (N, T, E), (N, S, E); tgt_mask (T, T), memory_mask (T, S),
    tgt_key_padding_mask (N, T), memory_key_padding_mask (N, S) -> as tgt
    Source: Vaswani et al. 2017; `norm_first`: Xiong et al. 2020, figure 1.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Activation = functional.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        place: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        super().__init__()
        self.self_attn = MultiheadAttention(d_model, nhead, dropout=dropout, batch_first=batch_first, **place)
        self.multihead_attn = MultiheadAttention(
            d_model, nhead, dropout=dropout, batch_first=batch_first, **place
        )
        self.linear1 = Linear(d_model, dim_feedforward, **place)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, **place)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, **place)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, **place)
        self.norm3 = LayerNorm(d_model, eps=layer_norm_eps, **place)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.dropout3 = Dropout(dropout)
        self.activation = _get_activation_fn(activation) if isinstance(activation, str) else activation

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        own = (tgt_mask, tgt_key_padding_mask, tgt_is_causal)
        other = (memory_mask, memory_key_padding_mask, memory_is_causal)
        if self.norm_first:
            x = tgt + self._sa_block(self.norm1(tgt), *own)
            x = x + self._mha_block(self.norm2(x), memory, *other)
            return x + self._ff_block(self.norm3(x))
        x = self.norm1(tgt + self._sa_block(tgt, *own))
        x = self.norm2(x + self._mha_block(x, memory, *other))
        return self.norm3(x + self._ff_block(x))

    def _mha_block(
        self, x: Tensor, mem: Tensor, attn_mask: Any, key_padding_mask: Any, is_causal: bool = False
    ) -> Tensor:
        masks = (attn_mask, key_padding_mask, is_causal)
        return self.dropout2(self._attended(self.multihead_attn, x, mem, masks))

    def _ff_block(self, x: Tensor) -> Tensor:
        return self.dropout3(self._fed_forward(x))
