"""Nested lists of numbers as flat bytes, without any array library."""

from __future__ import annotations

import struct
from typing import Any

from devtensor.core.dtype import BOOL, DTYPES, FLOAT, DType, default_dtype, int64, promote
from devtensor.core.errors import ArgumentError, ArgumentTypeError
from devtensor.core.host import FORMATS


class Leaves:
    """The numbers of nested lists in C order, their shape, and the dtypes that arrays among them have."""

    def __init__(self, data: Any) -> None:
        self.shape = self._shape_of(data)
        self.numbers: list[Any] = []
        self.dtypes: set[DType] = set()
        self._gather(data, 0)

    def _shape_of(self, data: Any) -> tuple[int, ...]:
        sizes: list[int] = []
        while isinstance(data, (list, tuple)) or _is_sequence(data):
            sizes.append(len(data))
            if not len(data):
                break
            data = data[0]
        if getattr(data, "shape", None) is not None and not isinstance(data, (list, tuple)):
            sizes += data.shape
        return tuple(sizes)

    def _gather(self, data: Any, depth: int) -> None:
        if hasattr(data, "shape") and hasattr(data, "tolist"):
            self._check_size(tuple(data.shape), depth)
            self._note(data)
            data = data.tolist()
            if depth == len(self.shape):
                self.numbers.append(data)
                return
        if isinstance(data, (list, tuple)) or _is_sequence(data):
            if depth == len(self.shape) or len(data) != self.shape[depth]:
                expected = self.shape[depth] if depth < len(self.shape) else "a number"
                raise ArgumentError(
                    f"[tensor] expected sequence of length {expected} at dim {depth} (got {len(data)}); "
                    "give lists of equal length"
                )
            for item in data:
                self._gather(item, depth + 1)
        elif depth == len(self.shape) and isinstance(data, (bool, int, float)):
            self.numbers.append(data)
        elif isinstance(data, (bool, int, float)):
            raise ArgumentError(
                f"[tensor] expected a sequence at dim {depth}, got {data!r}; give lists of equal length"
            )
        elif hasattr(data, "__float__"):
            self.numbers.append(float(data))
        else:
            raise ArgumentTypeError(
                f"[tensor] data holds {type(data).__name__}; it needs bools, ints, floats, tensors or "
                "arrays of them"
            )

    def _check_size(self, shape: tuple[int, ...], depth: int) -> None:
        if shape != self.shape[depth:]:
            raise ArgumentError(
                f"[tensor] expected a part of shape {self.shape[depth:]} at dim {depth} (got {shape}); "
                "give parts of equal shape"
            )

    def _note(self, data: Any) -> None:
        name = data.dtype.name if hasattr(data.dtype, "name") else str(data.dtype)
        if name in DTYPES:
            self.dtypes.add(DTYPES[name])

    def inferred(self) -> DType:
        """What PyTorch makes of these numbers: arrays keep their dtype, floats become the default."""
        found = list(self.dtypes)
        kinds = set(map(type, self.numbers))
        if float in kinds:
            found = [d for d in found if d.category == FLOAT] or [default_dtype()]
        if not found:
            return default_dtype() if not self.numbers else DTYPES["bool"] if kinds == {bool} else int64
        result = found[0]
        for dtype in found[1:]:
            result = promote(result, dtype)
        return result


def _is_sequence(data: Any) -> bool:
    return (
        hasattr(data, "__getitem__")
        and hasattr(data, "__len__")
        and not isinstance(data, (str, bytes, dict))
        and (not hasattr(data, "shape"))
    )


def packed(numbers: list[Any], dtype: DType, wanted: DType) -> bytes:
    """Numbers as little-endian bytes of `dtype`, on their way to `wanted`.

    Errors: ArgumentError for a number that the dtype cannot hold.
    """
    form = f"<{len(numbers)}{FORMATS[dtype.name]}"
    if dtype.category == BOOL:
        return struct.pack(form, *map(bool, numbers))
    if dtype.category == FLOAT:
        try:
            return struct.pack(form, *numbers)
        except OverflowError:
            return struct.pack(form, *(_as_float32(float(number)) for number in numbers))
    try:
        return struct.pack(form, *(number if number.__class__ is int else int(number) for number in numbers))
    except (struct.error, OverflowError, ValueError):
        limits = (
            f"[{-(2 ** (wanted.bits - 1)) if wanted.signed else 0}, {2 ** (wanted.bits - wanted.signed) - 1}]"
        )
        raise ArgumentError(
            f"[tensor] value cannot be converted to type {wanted.name} without overflow; it holds integers "
            f"in {limits}"
        ) from None


def _as_float32(number: float) -> float:
    """What a conversion to float32 gives: beyond the largest, infinity."""
    try:
        struct.pack("<f", number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")
    return number
