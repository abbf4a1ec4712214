"""Sequences of different lengths in one tensor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from devtensor.core.errors import ArgumentTypeError, OptionError, ShapeError
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.joining import stack
from devtensor.nn.functional.padding import pad
from devtensor.ops.create import cast

__all__ = ["pad_sequence", "unpad_sequence"]


def pad_sequence(
    sequences: Tensor | Iterable[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences beside each other, all as long as the longest by `padding_value` at their right or left side.

    Shapes: sequences of (L, *S) -> (T, B, *S), or (B, T, *S) with `batch_first`
    Errors: OptionError for no sequences or another side, ShapeError if they differ in more than length.
    """
    if not isinstance(sequences, Iterable):
        raise OptionError(
            f"[pad_sequence] Expected iterable for input sequences, but got arg of type: {type(sequences)}"
        )
    if padding_side not in ("left", "right"):
        raise OptionError(
            f"[pad_sequence] Expected padding_side to be one of left or right, but got {padding_side}"
        )
    listed = list(sequences)
    _check(listed)
    longest = max(one.array.shape[0] for one in listed)
    padded = [_padded(cast(one, listed[0].dtype), longest, padding_value, padding_side) for one in listed]
    return stack(padded, 0 if batch_first else 1)


def _check(sequences: list[Any]) -> None:
    if not sequences:
        raise OptionError("[pad_sequence] received an empty list of sequences")
    for place, one in enumerate(sequences):
        if not isinstance(one, Tensor):
            raise ArgumentTypeError(
                f"[pad_sequence] expected Tensor as element {place} in argument 0, but got "
                f"{type(one).__name__}"
            )
        if not one.array.ndim or one.array.shape[1:] != sequences[0].array.shape[1:]:
            raise ShapeError(
                f"[pad_sequence] got {describe(sequences[0])} and {describe(one)}; sequences must have a "
                "length first and may differ in nothing else"
            )


def _padded(sequence: Tensor, length: int, value: float, side: str) -> Tensor:
    missing = length - sequence.array.shape[0]
    sides = (missing, 0) if side == "left" else (0, missing)
    return pad(sequence, (*(0, 0) * (sequence.array.ndim - 1), *sides), value=value) if missing else sequence


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """The sequences that `pad_sequence` put together, padded at the right.

    Shapes: padded_sequences (T, B, *S), or (B, T, *S) with `batch_first`; lengths (B,) -> B times (L, *S)
    """
    rows: Any = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [row[: int(length)] for row, length in zip(rows, lengths, strict=True)]
