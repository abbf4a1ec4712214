"""Padded sequences packed, step after step without the padding, and padded again."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from devtensor.core.errors import IndexingError, ShapeError
from devtensor.core.tensor import Tensor
from devtensor.functions.slices import index_copy
from devtensor.interop import tensor
from devtensor.ops.create import full_of
from devtensor.ops.index import index_select
from devtensor.ops.shape import as_shape, permute

__all__ = ["_pack_padded_sequence", "_pad_packed_sequence"]


def _pack_padded_sequence(input: Any, lengths: Tensor, batch_first: bool) -> tuple[Tensor, Tensor]:
    """The steps of all sequences that reach so far, one step after the other, and how many those are.

    Shapes: input (T, B, *S), or (B, T, *S) with `batch_first`, lengths (B,) -> (sum of lengths, *S), (T,)
    Errors: ShapeError for lengths that do not fit, are not above 0 or not in decreasing order.
    """
    if input.ndim < 2:
        raise IndexingError(f"[pack_padded_sequence] input has shape {tuple(input.shape)}; it needs 2 dims")
    batch, length = input.shape[:2] if batch_first else (input.shape[1], input.shape[0])
    counts = _counts(lengths, batch)
    if len(counts) > length:
        raise ShapeError(
            f"[pack_padded_sequence] got a sequence of "
            f"{len(counts)} steps for input {tuple(input.shape)}; no sequence is longer than that"
        )
    apart, beside = (1, length) if batch_first else (batch, 1)
    places = [step * apart + i * beside for step, count in enumerate(counts) for i in range(count)]
    rows = as_shape(input, (batch * length, *input.shape[2:]))
    chosen = tensor(places, dtype="int64", device=input.kind.device)
    return index_select(rows, chosen, 0), tensor(counts, dtype="int64", device="cpu")


def _counts(lengths: Tensor, batch: int) -> list[int]:
    """How many sequences reach each step."""
    if lengths.ndim != 1 or lengths.kind.device.type != "cpu":
        raise ShapeError(
            f"[pack_padded_sequence] 'lengths' argument should be a 1D CPU int64 tensor, but got "
            f"{lengths.ndim}D {lengths.kind.device} {lengths.kind.dtype.name} tensor"
        )
    known = lengths.tolist()
    if len(known) != batch:
        raise ShapeError(
            f"[pack_padded_sequence] Expected `len(lengths)` to be equal to batch_size, but got {len(known)} "
            f"(batch_size={batch})"
        )
    if not known:
        raise ShapeError("[pack_padded_sequence] Cannot pack empty tensors.")
    if min(known) <= 0:
        raise ShapeError(
            "[pack_padded_sequence] Length of all samples has to be greater than 0, but found an element in "
            f"'lengths' that is <= 0: {known}"
        )
    if any(first < second for first, second in pairwise(known)):
        raise ShapeError(
            "[pack_padded_sequence] `lengths` array must be sorted in decreasing order when `enforce_sorted` "
            f"is True, got {known}; pass enforce_sorted=False"
        )
    return [sum(length > step for length in known) for step in range(known[0])]


def _pad_packed_sequence(
    data: Any, batch_sizes: Tensor, batch_first: bool, padding_value: float, total_length: int
) -> tuple[Tensor, Tensor]:
    """The sequences of packed `data` beside each other, filled up to `total_length`, and their lengths.

    Shapes: data (S, *R), batch_sizes (T,) -> (total_length, B, *R), or (B, total_length, *R), (B,)
    Errors: ShapeError if there is no step.
    """
    counts = batch_sizes.tolist()
    if not counts:
        raise ShapeError("[pad_packed_sequence] batch_sizes can not be empty")
    batch = counts[0]
    lengths = [sum(count > i for count in counts) for i in range(batch)]
    rest = tuple(data.array.shape[1:])
    places = [step * batch + i for step, count in enumerate(counts) for i in range(count)]
    padding = full_of((total_length * batch, *rest), padding_value, data.kind)
    filled = index_copy(padding, 0, tensor(places, dtype="int64", device=data.kind.device), data)
    whole = as_shape(filled, (total_length, batch, *rest))
    if batch_first:
        whole = permute(whole, (1, 0, *range(2, 2 + len(rest))))
    return whole, tensor(lengths, dtype="int64", device="cpu")
