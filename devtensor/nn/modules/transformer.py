"""The Transformer: its encoder, its decoder, their layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.errors import ShapeError
from devtensor.core.tensor import Tensor
from devtensor.nn import functional, init
from devtensor.nn.functional.masks import canonical_mask, none_or_dtype
from devtensor.nn.modules.module import Module
from devtensor.nn.modules.normalization import LayerNorm
from devtensor.nn.modules.stacks import (
    _detect_is_causal_mask,
    _generate_square_subsequent_mask,
    _get_clones,
    _get_seq_len,
    padded_places,
    warn_unless_packable,
    zero_at,
)
from devtensor.nn.modules.transformer_layers import (
    TransformerDecoderLayer,
    TransformerEncoderLayer,
    _get_activation_fn,  # noqa: F401 - scripts import it from here
)

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]


class Transformer(Module):
    """An encoder, whose output a decoder attends to.

    Shapes: src (S, N, E), tgt (T, N, E), or (N, S, E), (N, T, E) if `batch_first`; src_mask (S, S) or
    (N*nhead, S, S), tgt_mask (T, T) or (N*nhead, T, T), memory_mask (T, S), src_key_padding_mask and
    memory_key_padding_mask (N, S), tgt_key_padding_mask (N, T) -> as tgt; all may lack N
    Source: Vaswani et al. 2017. All matrices start as Xavier's uniform, as in PyTorch.
    Errors: ShapeError if src and tgt differ in N, or if E is not d_model.
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = functional.relu,
        custom_encoder: Any | None = None,
        custom_decoder: Any | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        sizes = (d_model, nhead, dim_feedforward, dropout, activation)
        options = (layer_norm_eps, batch_first, norm_first, bias, device, dtype)

        def norm() -> LayerNorm:
            return LayerNorm(d_model, eps=layer_norm_eps, bias=bias, device=device, dtype=dtype)

        if custom_encoder is None:
            layer = TransformerEncoderLayer(*sizes, *options)
            custom_encoder = TransformerEncoder(layer, num_encoder_layers, norm())
        self.encoder = custom_encoder
        if custom_decoder is None:
            layer = TransformerDecoderLayer(*sizes, *options)
            custom_decoder = TransformerDecoder(layer, num_decoder_layers, norm())
        self.decoder = custom_decoder
        self._reset_parameters()
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def _reset_parameters(self) -> None:
        for param in self.parameters():
            if param.dim() > 1:
                init.xavier_uniform_(param)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        self._check(src.shape, tgt.shape)
        memory = self.encoder(
            src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal
        )
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    def _check(self, src: Any, tgt: Any) -> None:
        samples = 0 if self.batch_first else 1
        if len(src) == 3 and src[samples] != tgt[samples]:
            raise ShapeError(
                f"[Transformer] the batch number of src and tgt must be equal; got {tuple(src)} and "
                f"{tuple(tgt)}"
            )
        if src[-1] != self.d_model or tgt[-1] != self.d_model:
            raise ShapeError(
                "[Transformer] the feature number of src and tgt must be equal to d_model; got "
                f"{src[-1]} and {tgt[-1]}, d_model is {self.d_model}"
            )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """A mask to be added by which each place sees itself and those before: 0 there, else minus infinity.

        Shapes: -> (sz, sz)
        """
        return _generate_square_subsequent_mask(sz, dtype=dtype, device=device)


class TransformerEncoder(Module):
    """Layers of an encoder, copies of one, one after the other.

    In evaluation without gradients the output is 0 where `src_key_padding_mask` hides a place, under
    PyTorch's conditions: `enable_nested_tensor`, a layer with `batch_first` and without `norm_first`, no
    `mask`, and padding at the ends alone, which is taken for granted without `mask_check`.

    Shapes: src (S, N, E) or (N, S, E), mask (S, S) or (N*heads, S, S), src_key_padding_mask (N, S) -> as src
    Source: Vaswani et al. 2017.
    """

    __constants__ = ("norm",)

    def __init__(
        self,
        encoder_layer: TransformerEncoderLayer,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _get_clones(encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm
        self.enable_nested_tensor = enable_nested_tensor
        self.use_nested_tensor = enable_nested_tensor and warn_unless_packable(encoder_layer)
        self.mask_check = mask_check

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        padding = canonical_mask(
            src_key_padding_mask, "src_key_padding_mask", none_or_dtype(mask), "mask", src.dtype
        )
        mask = canonical_mask(mask, "mask", None, "", src.dtype, check_other=False)
        length = _get_seq_len(src, self.layers[0].self_attn.batch_first)
        is_causal = _detect_is_causal_mask(mask, is_causal, length)
        output = src
        for layer in self.layers:
            output = layer(output, src_mask=mask, is_causal=is_causal, src_key_padding_mask=padding)
        output = zero_at(padded_places(self, src, mask, padding), output)
        return output if self.norm is None else self.norm(output)


class TransformerDecoder(Module):
    """Layers of a decoder, copies of one, one after the other.

    Shapes: tgt (T, N, E), memory (S, N, E), or (N, T, E), (N, S, E); tgt_mask (T, T), memory_mask (T, S),
    tgt_key_padding_mask (N, T), memory_key_padding_mask (N, S) -> as tgt
    Source: Vaswani et al. 2017.
    """

    __constants__ = ("norm",)

    def __init__(
        self, decoder_layer: TransformerDecoderLayer, num_layers: int, norm: Module | None = None
    ) -> None:
        super().__init__()
        self.layers = _get_clones(decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        length = _get_seq_len(tgt, self.layers[0].self_attn.batch_first)
        tgt_is_causal = _detect_is_causal_mask(tgt_mask, tgt_is_causal, length)
        output = tgt
        for layer in self.layers:
            output = layer(
                output,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=tgt_is_causal,
                memory_is_causal=memory_is_causal,
            )
        return output if self.norm is None else self.norm(output)
