"""Dtypes and PyTorch's promotion lattice, without any array library."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from devtensor.core.errors import DTypeError

# Categories in promotion order: a higher one always wins over a lower one.
BOOL, INTEGER, FLOAT = range(3)


class DType:
    """What one element of a tensor is: interned, compared by identity."""

    __slots__ = ("bits", "category", "itemsize", "name", "short", "signed")

    def __init__(self, name: str, category: int, bits: int, short: str, signed: bool = True) -> None:
        self.name = name
        self.category = category
        self.bits = bits
        self.itemsize = max(1, bits // 8)
        self.short = short
        self.signed = signed

    @property
    def is_floating_point(self) -> bool:
        return self.category == FLOAT

    @property
    def is_complex(self) -> bool:
        return False

    @property
    def is_signed(self) -> bool:
        return self.signed

    def __repr__(self) -> str:
        return f"devtensor.{self.name}"

    def __reduce__(self) -> tuple:
        return as_dtype, (self.name,)

    def __copy__(self) -> DType:
        return self

    def __deepcopy__(self, memo: dict) -> DType:
        return self


bool_ = DType("bool", BOOL, 1, "b8", signed=False)
uint8 = DType("uint8", INTEGER, 8, "u8", signed=False)
int8 = DType("int8", INTEGER, 8, "i8")
int16 = DType("int16", INTEGER, 16, "i16")
int32 = DType("int32", INTEGER, 32, "i32")
int64 = DType("int64", INTEGER, 64, "i64")
float16 = DType("float16", FLOAT, 16, "f16")
bfloat16 = DType("bfloat16", FLOAT, 16, "bf16")
float32 = DType("float32", FLOAT, 32, "f32")
float64 = DType("float64", FLOAT, 64, "f64")

DTYPES = {d.name: d for d in (bool_, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64)}
ALIASES = {"half": float16, "float": float32, "double": float64, "short": int16, "int": int32, "long": int64}
PYTHON_TYPES = {bool: bool_, int: int64, float: float32}

_default = [float32]

# Called when the default dtype changes: what was computed from it must be computed anew.
default_listeners: list[Callable[[], None]] = []


def as_dtype(value: DType | type | str) -> DType:
    """The DType that a DType, a name or a Python type stands for.

    Errors: DTypeError if it stands for none.
    """
    if isinstance(value, DType):
        return value
    if value is float:
        return _default[0]
    found = PYTHON_TYPES.get(value) if isinstance(value, type) else DTYPES.get(value) or ALIASES.get(value)
    if found is None:
        raise DTypeError(f"[dtype] {value!r} is no dtype; use one of {', '.join(DTYPES)}")
    return found


def default_dtype() -> DType:
    """The dtype of tensors made from Python floats."""
    return _default[0]


def set_default_dtype(dtype: DType) -> None:
    """Make `dtype` the one that Python floats become.

    Errors: DTypeError unless it is a floating-point dtype.
    """
    dtype = as_dtype(dtype)
    if dtype.category != FLOAT:
        raise DTypeError(f"[set_default_dtype] {dtype} is no floating-point dtype; use float32 or float64")
    _default[0] = dtype
    for listener in default_listeners:
        listener()


def promote(a: DType, b: DType) -> DType:
    """The dtype that holds values of both, by PyTorch's lattice.

    Source: PyTorch's documented type promotion; uint8 with a signed integer takes the next wider signed one,
    float16 with bfloat16 gives float32.
    """
    if a is b:
        return a
    if a.category != b.category:
        return a if a.category > b.category else b
    if a.category == FLOAT:
        if a.bits == b.bits:
            return float32
        return a if a.bits > b.bits else b
    if a.signed == b.signed:
        return a if a.bits > b.bits else b
    unsigned, signed = (b, a) if a.signed else (a, b)
    return signed if signed.bits > unsigned.bits else int16


def scalar_dtype(category: int) -> DType:
    """The dtype that a lone Python scalar of this category becomes."""
    return (bool_, int64, _default[0])[category]


class finfo(NamedTuple):
    """Limits of a floating-point dtype."""

    bits: int
    eps: float
    max: float
    min: float
    tiny: float
    smallest_normal: float
    resolution: float
    dtype: str

    @classmethod
    def of(cls, dtype: DType) -> finfo:
        """Compute the limits from the widths of exponent and fraction."""
        if dtype.category != FLOAT:
            raise DTypeError(f"[finfo] {dtype} is no floating-point dtype; use iinfo for integers")
        fraction, exponent = {
            "float16": (10, 15),
            "bfloat16": (7, 127),
            "float32": (23, 127),
            "float64": (52, 1023),
        }[dtype.name]
        largest = (2.0 - 2.0**-fraction) * 2.0**exponent
        tiny = 2.0 ** (1 - exponent)
        digits = int(fraction * 0.30103)
        return cls(dtype.bits, 2.0**-fraction, largest, -largest, tiny, tiny, 10.0**-digits, dtype.name)


class iinfo(NamedTuple):
    """Limits of an integer dtype."""

    bits: int
    max: int
    min: int
    dtype: str

    @classmethod
    def of(cls, dtype: DType) -> iinfo:
        """Compute the limits from the width and the sign."""
        if dtype.category != INTEGER:
            raise DTypeError(f"[iinfo] {dtype} is no integer dtype; use finfo for floating point")
        low = -(1 << (dtype.bits - 1)) if dtype.signed else 0
        return cls(dtype.bits, low + (1 << dtype.bits) - 1, low, dtype.name)
