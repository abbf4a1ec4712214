"""Nested sequences of numbers as flat bytes, without any array library."""

from __future__ import annotations

import operator
import struct
from collections.abc import Callable, Iterable
from typing import Any

from devtensor.core.arguments import is_scalar
from devtensor.core.dtype import (
    BOOL,
    COMPLEX,
    DTYPES,
    FLOAT,
    INTEGER,
    DType,
    default_dtype,
    promote,
    scalar_dtype,
)
from devtensor.core.errors import ArgumentError, ArgumentTypeError, DTypeError
from devtensor.core.host import FORMATS
from devtensor.core.tensor import Tensor

# Deeper nesting than this is a list that holds itself.
MOST_DIMS = 128
CATEGORIES = {bool: BOOL, int: INTEGER, float: FLOAT, complex: COMPLEX}


class Leaves:
    """Nested sequences of numbers and their shape: that of the first element, all the way down."""

    def __init__(self, data: Any) -> None:
        if isinstance(data, (str, bytes)):
            raise ArgumentTypeError(f"[tensor] invalid data type {type(data).__name__!r}; give numbers")
        self.data = data
        self.shape = shape_of(data)

    def numbers(self) -> list[Any]:
        """The numbers in C order.

        Errors: ArgumentError for rows of unequal length, ArgumentTypeError for a number in a row's place.
        """
        found: list[Any] = []
        if 0 not in self.shape:
            self._gather(self.data, 0, found)
        return found

    def _gather(self, data: Any, depth: int, found: list[Any]) -> None:
        if depth == len(self.shape):
            found.append(data)
            return
        row = row_of(data)
        if len(row) != self.shape[depth]:
            raise ArgumentError(
                f"[tensor] expected sequence of length {self.shape[depth]} at dim {depth} (got {len(row)}); "
                "give sequences of equal length"
            )
        if depth + 1 == len(self.shape):
            found.extend(row)
            return
        for item in row:
            self._gather(item, depth + 1, found)

    def inferred(self) -> DType:
        """The common dtype of all numbers: tensors and arrays keep theirs, floats become the default."""
        found = sorted(dtypes_in(self.data), key=lambda dtype: list(DTYPES).index(dtype.name))
        result = found[0]
        for dtype in found[1:]:
            result = promote(result, dtype)
        return result


def is_sequence(data: Any) -> bool:
    """Whether `data` is looked into: whatever has places by number, but no tensor: that is a number."""
    if isinstance(data, (list, tuple)):
        return True
    return hasattr(type(data), "__getitem__") and not isinstance(data, (dict, Tensor)) and not is_scalar(data)


def shape_of(data: Any) -> tuple[int, ...]:
    """The lengths of `data`, of its first element, of that one's first element, and so on."""
    sizes: list[int] = []
    while is_sequence(data):
        if isinstance(data, str):
            raise ArgumentError(f"[tensor] too many dimensions 'str': {data!r} is text; give numbers")
        if len(sizes) == MOST_DIMS:
            raise ArgumentError(
                f"[tensor] too many dimensions {type(data).__name__!r}; give at most {MOST_DIMS} of them"
            )
        sizes.append(len(data))
        if not sizes[-1]:
            break
        data = data[0]
    return tuple(sizes)


def row_of(data: Any) -> list | tuple:
    """A sequence's items; those of an array as Python numbers."""
    if isinstance(data, (list, tuple)):
        return data
    if hasattr(data, "__array_interface__"):
        return data.tolist()
    if isinstance(data, Tensor) or not isinstance(data, Iterable):
        raise ArgumentTypeError(
            f"[tensor] got {type(data).__name__} where a row should be: not a sequence; give lists of equal "
            "length"
        )
    return list(data)


def dtypes_in(data: Any) -> set[DType]:
    """The dtypes that the numbers within `data` ask for.

    Errors: DTypeError for objects that are no numbers, ArgumentTypeError for text.
    """
    category = CATEGORIES.get(type(data))
    if category is not None:
        return {scalar_dtype(category)}
    if isinstance(data, Tensor):
        return {data.dtype}
    if hasattr(data, "__array_interface__"):
        return {dtype_of_array(data)}
    for kind in (float, int, complex):
        if isinstance(data, kind):
            return {scalar_dtype(CATEGORIES[kind])}
    if isinstance(data, (str, bytes)):
        raise ArgumentTypeError(f"[tensor] invalid data type {type(data).__name__!r}; give numbers")
    if is_sequence(data):
        return _dtypes_of_items(data)
    raise DTypeError(f"[tensor] Could not infer dtype of {type(data).__name__}; give numbers, or sequences")


def _dtypes_of_items(data: Any) -> set[DType]:
    types = set(map(type, data))
    if not types:
        return {default_dtype()}
    if types <= CATEGORIES.keys():
        return {scalar_dtype(CATEGORIES[kind]) for kind in types}
    return set().union(*map(dtypes_in, data))


def dtype_of_array(array: Any) -> DType:
    """The DType of a NumPy array or scalar.

    Errors: ArgumentTypeError for one that devtensor does not have.
    """
    found = DTYPES.get(array.dtype.name)
    if found is None:
        raise ArgumentTypeError(
            f"[tensor] can't convert an array of type {array.dtype}; the supported types are "
            f"{', '.join(DTYPES)}"
        )
    return found


def packed(numbers: list[Any], dtype: DType, wanted: DType) -> bytes:
    """Numbers as little-endian bytes of `dtype`, on their way to `wanted`.

    Errors: DTypeError for a number that the dtype cannot hold, ArgumentTypeError for what is no number.
    """
    try:
        return PACKERS[dtype.category](numbers, dtype, wanted)
    except (TypeError, ValueError) as error:
        if isinstance(error, (ArgumentTypeError, ArgumentError)):
            raise
        kind = ArgumentTypeError if isinstance(error, TypeError) else ArgumentError
        raise kind(f"[tensor] {error}; give numbers that can become {wanted.name}") from None


def _packed_bools(numbers: list[Any], dtype: DType, wanted: DType) -> bytes:
    if not set(map(type, numbers)) <= CATEGORIES.keys():
        numbers = [
            n if isinstance(n, (float, complex)) or is_scalar(n) else operator.index(n) for n in numbers
        ]
    return bytes(map(bool, numbers))


def _packed_integers(numbers: list[Any], dtype: DType, wanted: DType) -> bytes:
    form = f"<{len(numbers)}{FORMATS[dtype.name]}"
    try:
        return struct.pack(form, *numbers)
    except (struct.error, TypeError, ValueError):
        return struct.pack(form, *(_as_integer(number, wanted) for number in numbers))


def _as_integer(number: Any, dtype: DType) -> int:
    """The integer that a number is cut to; negative ones wrap around in unsigned dtypes of up to 32 bits."""
    if dtype.bits == 64 and not dtype.is_signed:
        whole = operator.index(number)
        if not 0 <= whole < 2**64:
            raise OverflowError(f"[tensor] {whole} does not fit in uint64; it holds [0, 2**64 - 1]")
        return whole
    try:
        whole = int(number) if isinstance(number, float) else operator.index(number)
    except (OverflowError, ValueError):
        whole = None
    if whole is not None and isinstance(number, int) and not -(2**63) <= whole < 2**63:
        raise ArgumentError(f"[tensor] Overflow when unpacking long long: {whole}; give less than 64 bits")
    most = 2 ** (dtype.bits - dtype.is_signed) - 1
    least = -most - 1 if dtype.is_signed else -most
    if whole is None or not least <= whole <= most:
        raise DTypeError(
            f"[tensor] value cannot be converted to type {dtype.name} without overflow; it holds integers in "
            f"[{least if dtype.is_signed else 0}, {most}]"
        )
    return whole if dtype.is_signed else whole % (most + 1)


def _packed_floats(numbers: list[Any], dtype: DType, wanted: DType) -> bytes:
    form = f"<{len(numbers)}{FORMATS[dtype.name]}"
    try:
        return struct.pack(form, *numbers)
    except (struct.error, OverflowError, TypeError, ValueError):
        return struct.pack(form, *(_as_float(number, dtype) for number in numbers))


def _as_float(number: Any, dtype: DType) -> float:
    """A number as a float, beyond the largest float32 infinity, as a conversion gives it."""
    if isinstance(number, (str, bytes, complex)) or not (
        hasattr(number, "__float__") or hasattr(number, "__index__")
    ):
        raise ArgumentTypeError(
            f"[tensor] must be real number, not {type(number).__name__}; give numbers that can become "
            f"{dtype.name}"
        )
    value = float(number)
    if dtype.bits == 32:
        try:
            struct.pack("<f", value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    return value


def _packed_complex(numbers: list[Any], dtype: DType, wanted: DType) -> bytes:
    parts: list[Any] = []
    for number in numbers:
        number = number if isinstance(number, complex) else _as_complex(number, dtype)
        parts += (number.real, number.imag)
    return _packed_floats(parts, dtype.to_real(), wanted)


def _as_complex(number: Any, dtype: DType) -> complex:
    if hasattr(number, "__complex__"):
        return complex(number)
    return complex(_as_float(number, dtype))


PACKERS: dict[int, Callable[[list[Any], DType, DType], bytes]] = {
    BOOL: _packed_bools,
    INTEGER: _packed_integers,
    FLOAT: _packed_floats,
    COMPLEX: _packed_complex,
}
