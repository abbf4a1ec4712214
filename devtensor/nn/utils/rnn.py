"""Sequences of different lengths in one tensor: padded, or packed without padding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Self

from devtensor.core.errors import ArgumentError, ArgumentTypeError, ContractError, OptionError, ShapeError
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.joining import stack
from devtensor.functions.ordering import argsort, sort
from devtensor.functions.selecting import index_select
from devtensor.interop import as_tensor
from devtensor.nn.functional.packing import _pack_padded_sequence, _pad_packed_sequence
from devtensor.nn.functional.padding import pad
from devtensor.ops.create import cast

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence_(NamedTuple):
    """The fields of a PackedSequence."""

    data: Any
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(PackedSequence_):
    """Sequences of different lengths without padding: the first steps of all, then the second ones, and on.

    `data` holds the rows of all steps, `batch_sizes`, on the CPU, how many sequences reach each step. Rows
    are of sequences sorted by length; `sorted_indices` says which is where, `unsorted_indices` how to go
    back; both are None where they were sorted when they came. Recurrent layers take and give these.

    Errors: ArgumentError if batch_sizes is not on the CPU.
    """

    def __new__(
        cls,
        data: Any,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> Self:
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes is None:
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise ContractError("[PackedSequence] data without batch_sizes must be a pair of both")
            data, sizes = data
            return super().__new__(cls, data, sizes, sorted_indices, unsorted_indices)
        if batch_sizes.device.type != "cpu":
            raise ArgumentError(
                f"[PackedSequence] batch_sizes is on {batch_sizes.device}; it must be on the CPU, as "
                "pack_sequence and pack_padded_sequence make it"
            )
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def _with(self, data: Any, convert: Callable[[Tensor], Tensor]) -> Self:
        """The same sequences as `data`; what orders them is converted as well."""
        orders = [None if order is None else convert(order) for order in self[2:]]
        return type(self)(data, self.batch_sizes, *orders)

    def pin_memory(self) -> Self:
        """In page-locked memory, which is copied to a device faster."""
        return self._with(self.data.pin_memory(), lambda order: order.pin_memory())

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Moved or converted as `Tensor.to` does; itself where nothing changes."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        return self._with(data, lambda order: order.to(data.device))

    def cuda(self, *args: Any, **kwargs: Any) -> Self:
        """On a CUDA device: the current one if none is named."""
        return self.to(*args, **kwargs) if _names_device(args, kwargs) else self.to("cuda", *args, **kwargs)

    def cpu(self, *args: Any, **kwargs: Any) -> Self:
        """On the CPU."""
        return self.to(*args, **kwargs) if _names_device(args, kwargs) else self.to("cpu", *args, **kwargs)

    def double(self) -> Self:
        """Converted to float64."""
        return self.to(dtype="float64")

    def float(self) -> Self:
        """Converted to float32."""
        return self.to(dtype="float32")

    def half(self) -> Self:
        """Converted to float16."""
        return self.to(dtype="float16")

    def long(self) -> Self:
        """Converted to int64."""
        return self.to(dtype="int64")

    def int(self) -> Self:
        """Converted to int32."""
        return self.to(dtype="int32")

    def short(self) -> Self:
        """Converted to int16."""
        return self.to(dtype="int16")

    def char(self) -> Self:
        """Converted to int8."""
        return self.to(dtype="int8")

    def byte(self) -> Self:
        """Converted to uint8."""
        return self.to(dtype="uint8")

    @property
    def is_cuda(self) -> bool:
        """Whether `data` is on a CUDA device."""
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """Whether `data` is in page-locked memory."""
        return self.data.is_pinned()


def _names_device(args: tuple, kwargs: dict[str, Any]) -> bool:
    from devtensor.core.device import Device

    named = kwargs.get("device") is not None
    return named or any(isinstance(value, (str, Device, Tensor)) or type(value) is int for value in args)


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes this one; None for None.

    Shapes: (N,) -> (N,)
    """
    return None if permutation is None else argsort(permutation)


def pack_padded_sequence(
    input: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Padded sequences without their padding.

    Unless `enforce_sorted`, they may come in any order; else the longest must be first.

    Shapes: input (T, B, *S), or (B, T, *S) with `batch_first`, lengths (B,) -> data (sum of lengths, *S)
    Errors: ShapeError for lengths that do not fit, are not above 0 or not in decreasing order.
    """
    counts: Any = as_tensor(lengths, dtype="int64", device=None if isinstance(lengths, Tensor) else "cpu")
    order: Any = None
    if not enforce_sorted:
        counts, order = sort(counts, descending=True)
        order = order.to(input.device)
        input = index_select(input, 0 if batch_first else 1, order)
    return PackedSequence(*_pack_padded_sequence(input, counts, batch_first), order)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Packed sequences padded, in their first order, and their lengths.

    Shapes: data (S, *R) -> (T, B, *R), or (B, T, *R) with `batch_first`, lengths (B,); T is the longest
    length, or `total_length`
    Errors: ArgumentError if total_length is too short.
    """
    longest = sequence.batch_sizes.shape[0]
    if total_length is not None and total_length < longest:
        raise ArgumentError(
            "[pad_packed_sequence] Expected total_length to be at least the length of the longest sequence "
            f"in input, but got total_length={total_length} and max sequence length being {longest}"
        )
    padded, lengths = _pad_packed_sequence(
        sequence.data,
        sequence.batch_sizes,
        batch_first,
        padding_value,
        longest if total_length is None else total_length,
    )
    order: Any = sequence.unsorted_indices
    if order is None:
        return padded, lengths
    return index_select(padded, 0 if batch_first else 1, order), index_select(lengths, 0, order.cpu())


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences packed; unless `enforce_sorted` in any order, else the longest must be first.

    Shapes: sequences of (L, *S) -> data (sum of lengths, *S)
    Errors: as for `pad_sequence` and `pack_padded_sequence`
    """
    lengths = [one.shape[0] for one in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences that `pack_sequence` packed.

    Shapes: data (S, *R) -> B times (L, *R)
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)


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
