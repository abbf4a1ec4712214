"""Causal masks that say which way they are causal, instead of holding numbers."""

from __future__ import annotations

import enum
import warnings
from typing import Any

from devtensor.core.device import resolve
from devtensor.core.errors import ArgumentError, ArgumentTypeError
from devtensor.core.tensor import Tensor
from devtensor.nn import functional
from devtensor.nn.parameter import handle
from devtensor.ops.create import cast, full
from devtensor.ops.triangles import tril

__all__ = ["CausalBias", "CausalVariant", "causal_lower_right", "causal_upper_left"]


class VariantError(ArgumentTypeError, AssertionError):
    """What is no CausalVariant, or sizes that are not two."""


class CausalVariant(enum.IntEnum):
    """Which corner the triangle of places that are seen is aligned with."""

    UPPER_LEFT = 1
    LOWER_RIGHT = 2


class CausalBias(Tensor):
    """A causal mask for `scaled_dot_product_attention`, known by its variant and sizes; it holds no numbers.

    Shapes: stands for (seq_len_q, seq_len_kv)
    Errors: VariantError for what is no CausalVariant.
    """

    variant: CausalVariant
    seq_len_q: int
    seq_len_kv: int

    def __new__(cls, variant: CausalVariant, seq_len_q: int, seq_len_kv: int) -> CausalBias:
        if not isinstance(variant, CausalVariant):
            raise VariantError(f"[CausalBias] variant must be a CausalVariant, got {type(variant).__name__}")
        made = handle(cls, None)
        made.variant, made.seq_len_q, made.seq_len_kv = variant, seq_len_q, seq_len_kv
        if seq_len_q > seq_len_kv and variant is CausalVariant.LOWER_RIGHT:
            warnings.warn(
                f"Lower right causal bias with seq_len_q={seq_len_q} > seq_len_kv={seq_len_kv}: the first "
                "queries see nothing",
                stacklevel=2,
            )
        return made

    def _materialize(self, device: Any = None) -> Tensor:
        """The mask as bools, True where a place is seen.

        Shapes: -> (seq_len_q, seq_len_kv)
        """
        offset = self.seq_len_kv - self.seq_len_q if self.variant is CausalVariant.LOWER_RIGHT else 0
        place = resolve("cpu" if device is None else device)
        ones = full((self.seq_len_q, self.seq_len_kv), 1, "uint8", place)
        return cast(tril(ones, offset), "bool")

    @staticmethod
    def _dispatch(
        query: Any,
        key: Any,
        value: Any,
        attn_mask: CausalBias,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        """Attention under the bias.

        Errors: ArgumentError beside is_causal.
        """
        if is_causal:
            raise ArgumentError("[CausalBias] a CausalBias should not be used with is_causal=True")
        upper = attn_mask.variant is CausalVariant.UPPER_LEFT or attn_mask.seq_len_q == attn_mask.seq_len_kv
        mask = None if upper else attn_mask._materialize(query.device)
        return functional.scaled_dot_product_attention(
            query, key, value, mask, dropout_p, upper, scale=scale, enable_gqa=enable_gqa
        )

    def __repr__(self, *args: Any, **kwargs: Any) -> str:
        return repr(self._materialize())


def _sized(name: str, variant: CausalVariant, size: tuple[int, ...]) -> CausalBias:
    if len(size) != 2:
        raise VariantError(f"[{name}] got {len(size)} sizes; it only supports 2D tensors")
    return CausalBias(variant, *size)


def causal_upper_left(*size: int) -> CausalBias:
    """Query i sees keys 0 to i.

    Shapes: stands for size
    Errors: VariantError unless there are two sizes.
    """
    return _sized("causal_upper_left", CausalVariant.UPPER_LEFT, size)


def causal_lower_right(*size: int) -> CausalBias:
    """The last query sees all keys, the one before it all but the last, and so on.

    Shapes: stands for size
    Errors: VariantError unless there are two sizes.
    """
    return _sized("causal_lower_right", CausalVariant.LOWER_RIGHT, size)
