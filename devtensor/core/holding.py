"""Which Python numbers a dtype holds: what is written or compared in a dtype of its own must fit it."""

from __future__ import annotations

import math
from typing import Any, NoReturn

from devtensor.core.dtype import BOOL, COMPLEX, FLOAT, DType, float32
from devtensor.core.errors import ArgumentError

# The largest finite numbers; float64 holds all that Python has.
LARGEST = {
    "float16": 65504.0,
    "bfloat16": (2 - 2.0**-7) * 2.0**127,
    "float32": (2 - 2.0**-23) * 2.0**127,
    "float8_e4m3fn": 448.0,
    "float8_e5m2": 57344.0,
}
HALVES = frozenset({"float16", "bfloat16"})
# Every signed dtype holds the whole numbers up to here, and what lies between them as well as it can.
ALWAYS = 127
REAL = (int, float)


def refuse_unheld(op: str, dtype: DType, *numbers: Any) -> None:
    """Refuse Python numbers that a dtype does not hold; a tensor in place of a number is left alone.

    Errors: ArgumentError that names the first such number.
    """
    for number in numbers:
        if number.__class__ in REAL and not (dtype.is_signed and -ALWAYS <= number <= ALWAYS):
            held(op, number, dtype)


def computed_in(dtype: DType) -> DType:
    """The dtype in which numbers stand in the arithmetic of a dtype: half types are computed in float32."""
    return float32 if dtype.name in HALVES else dtype


def held(op: str, value: Any, dtype: DType) -> Any:
    """A Python number as the dtype holds it: small negative numbers of an unsigned dtype count from its end.

    Errors: ArgumentError for a number outside its range, and for an imaginary part that it has not.
    """
    if value.__class__ in REAL and dtype.category == FLOAT and -ALWAYS <= value <= ALWAYS:
        return value
    if value.__class__ is bool or dtype.category == BOOL:
        return value
    if dtype.category == COMPLEX:
        return _held_parts(op, value, dtype)
    if isinstance(value, complex):
        if value.imag:
            _refuse(op, value, dtype)
        value = value.real
    if dtype.category == FLOAT:
        if not _fits(value, dtype.name):
            _refuse(op, value, dtype)
        return value
    return _held_whole(op, value, dtype)


def held_or_infinite(op: str, value: Any, dtype: DType) -> Any:
    """`held`, where a number that is too large for a half type is infinite there."""
    return value if dtype.name in HALVES and not isinstance(value, complex) else held(op, value, dtype)


def _held_parts(op: str, value: Any, dtype: DType) -> Any:
    part = dtype.to_real().name
    if not (_fits(value.real, part) and _fits(value.imag, part)):
        _refuse(op, value, dtype)
    return value


def _held_whole(op: str, value: Any, dtype: DType) -> int:
    if not math.isfinite(value):
        _refuse(op, value, dtype)
    whole, most = int(value), 2 ** (dtype.bits - dtype.is_signed) - 1
    least = -most - 1 if dtype.is_signed else -most
    if not dtype.is_signed and value.__class__ is float:
        least = 0
    if not least <= value <= most:
        _refuse(op, value, dtype)
    return whole if dtype.is_signed else whole % (most + 1)


def _fits(value: float, name: str) -> bool:
    """Whether a real number is finite in the dtype if it is finite at all; NaN and infinities always fit."""
    most = LARGEST.get(name)
    return most is None or not most < abs(value) < math.inf


def _refuse(op: str, value: Any, dtype: DType) -> NoReturn:
    raise ArgumentError(
        f"[{op}] value {value} cannot be converted to type {dtype.name} without overflow; give a number that "
        "it holds, or convert the tensor with .to(dtype)"
    )
