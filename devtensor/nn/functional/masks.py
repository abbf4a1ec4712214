"""Masks of attention with several heads: brought to numbers that are added, checked, put together."""

from __future__ import annotations

from typing import Any

from devtensor.core.callers import warn
from devtensor.core.errors import ArgumentError, ContractError, NotATensor, ShapeError
from devtensor.core.tensor import Tensor
from devtensor.nn.functional.padding import pad
from devtensor.ops.compare import where
from devtensor.ops.create import full

OP = "multi_head_attention_forward"


def expect(condition: Any, text: str) -> None:
    """Raise ContractError with `text` unless the condition holds."""
    if not condition:
        raise ContractError(f"[{OP}] {text}")


def none_or_dtype(input: Any) -> Any:
    """A mask's dtype; None if there is no mask.

    Errors: ArgumentError for anything but a tensor or None.
    """
    if input is None:
        return None
    if isinstance(input, Tensor):
        return input.dtype
    raise ArgumentError(f"[{OP}] a mask is a {type(input).__name__}; it needs a Tensor or None")


def canonical_mask(
    mask: Any, mask_name: str, other_type: Any, other_name: str, target_type: Any, check_other: bool = True
) -> Any:
    """A mask as numbers to add: minus infinity where a bool one says not to look; one of numbers is kept.

    `other_type` is the dtype of the mask that it is used beside; a mask of another dtype is deprecated.
    """
    if mask is None:
        return None
    if not isinstance(mask, Tensor):
        raise NotATensor(f"[{OP}] {mask_name} is a {type(mask).__name__}; it must be a Tensor or None")
    numbers = mask.dtype.is_floating_point
    expect(
        numbers or mask.dtype.name == "bool",
        f"{mask_name} is {mask.dtype.name}; only bool and floating types of {mask_name} are supported",
    )
    if check_other and other_type is not None and mask.dtype is not other_type:
        warn(
            f"Support for mismatched {mask_name} and {other_name} is deprecated: got {mask.dtype} and "
            f"{other_type}; give both the same dtype"
        )
    if numbers:
        return mask
    return where(mask, float("-inf"), full(tuple(mask.array.shape), 0, target_type, mask.kind.device))


def is_batched(query: Any, key: Any, value: Any, padding: Any, mask: Any, num_heads: int) -> bool:
    """Whether there is a dimension of samples; the numbers of dimensions must go together.

    Errors: ContractError if they do not.
    """
    ndim = query.array.ndim
    expect(
        ndim in (2, 3),
        f"query should be unbatched 2D or batched 3D tensor but received {ndim}-D query tensor",
    )
    kind = "batched (3-D)" if ndim == 3 else "unbatched (2-D)"
    expect(
        key.array.ndim == value.array.ndim == ndim,
        f"For {kind} `query`, expected `key` and `value` to be {ndim}-D but found {key.array.ndim}-D and "
        f"{value.array.ndim}-D tensors respectively",
    )
    expect(
        padding is None or padding.array.ndim == ndim - 1,
        f"For {kind} `query`, expected `key_padding_mask` to be `None` or {ndim - 1}-D but found "
        f"{0 if padding is None else padding.array.ndim}-D tensor instead",
    )
    expect(
        mask is None or mask.array.ndim in (2, 3),
        f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found "
        f"{0 if mask is None else mask.array.ndim}-D tensor instead",
    )
    if ndim == 2 and mask is not None and mask.array.ndim == 3:
        wanted = (num_heads, query.shape[0], key.shape[0])
        expect(
            tuple(mask.shape) == wanted,
            f"Expected `attn_mask` shape to be {wanted} but got {tuple(mask.shape)}",
        )
    return ndim == 3


def check_mask_size(mask: Any, length: int, source: int, rows: int) -> None:
    """A mask is (L, S) for all alike, or (N*heads, L, S).

    Errors: ShapeError if it is not.
    """
    shape = tuple(mask.array.shape)
    wanted = (length, source) if len(shape) == 2 else (rows, length, source)
    if shape != wanted:
        raise ShapeError(
            f"[{OP}] The shape of the {len(shape)}D attn_mask is {shape}, but should be {wanted}."
        )


def one_wider(mask: Any) -> Any:
    """A mask with one more place to look at, the last."""
    return None if mask is None else pad(mask, (0, 1))


def merged(mask: Any, padding: Any, sizes: tuple[int, int, int]) -> Any:
    """Both masks as one that broadcasts over scores (N, heads, L, S); `sizes` are N, heads, S."""
    batch, heads, source = sizes
    if mask is not None and mask.array.ndim == 3:
        mask = mask.reshape(batch, heads, mask.shape[1], source)
    if padding is None:
        return mask
    shape = tuple(padding.array.shape)
    expect(
        shape == (batch, source), f"key_padding_mask has shape {shape}; expected it to be {(batch, source)}"
    )
    padding = padding.reshape(batch, 1, 1, source)
    return padding if mask is None else mask + padding
