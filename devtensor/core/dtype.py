"""Dtypes and PyTorch's promotion lattice, without any array library."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from devtensor.core.errors import ArgumentTypeError, DTypeError
from devtensor.core.naming import spoken

# Categories in promotion order: a higher one always wins over a lower one.
BOOL, INTEGER, FLOAT, COMPLEX = range(4)


class DType:
    """What one element of a tensor is: interned, compared by identity."""

    __slots__ = (
        "bits", "category", "differentiable", "is_complex", "is_floating_point", "is_signed", "itemsize",
        "name", "short",
    )  # fmt: skip

    def __init__(self, name: str, category: int, bits: int, short: str, signed: bool = True) -> None:
        self.name = name
        self.category = category
        self.bits = bits
        self.itemsize = max(1, bits // 8)
        self.short = short
        self.is_signed = signed
        self.is_floating_point = category == FLOAT
        self.is_complex = category == COMPLEX
        self.differentiable = category >= FLOAT

    @property
    def storage_only(self) -> bool:
        """Whether numbers of it can be kept, moved and converted, but not computed with."""
        return self.bits == 8 and self.category == FLOAT

    def to_real(self) -> DType:
        """The dtype of the real and the imaginary part: a complex dtype's own half, else itself."""
        return {complex64: float32, complex128: float64}.get(self, self)

    def to_complex(self) -> DType:
        """The complex dtype whose parts hold this dtype's values.

        Source: PyTorch has complex32 for float16; here complex64 takes its place.
        """
        return complex128 if self in (float64, complex128) else complex64

    def __repr__(self) -> str:
        return spoken(self.name)

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
uint16 = DType("uint16", INTEGER, 16, "u16", signed=False)
uint32 = DType("uint32", INTEGER, 32, "u32", signed=False)
uint64 = DType("uint64", INTEGER, 64, "u64", signed=False)
complex64 = DType("complex64", COMPLEX, 64, "c64")
complex128 = DType("complex128", COMPLEX, 128, "c128")
float8_e4m3fn = DType("float8_e4m3fn", FLOAT, 8, "f8e4m3")
float8_e5m2 = DType("float8_e5m2", FLOAT, 8, "f8e5m2")

COMMON = (bool_, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64)
RARE = (uint16, uint32, uint64, complex64, complex128, float8_e4m3fn, float8_e5m2)
DTYPES = {d.name: d for d in COMMON + RARE}
ALIASES = {
    "half": float16,
    "float": float32,
    "double": float64,
    "short": int16,
    "int": int32,
    "long": int64,
    "cfloat": complex64,
    "cdouble": complex128,
}
PYTHON_TYPES = {bool: bool_, int: int64, float: float64, complex: complex128}

_default = [float32]

# Called when the default dtype changes: what was computed from it must be computed anew.
default_listeners: list[Callable[[], None]] = []


def as_dtype(value: DType | type | str) -> DType:
    """The DType that a DType, a name or a Python type stands for: of `float`, float64, as in PyTorch.

    Errors: ArgumentTypeError if it stands for none.
    """
    if isinstance(value, DType):
        return value
    found = PYTHON_TYPES.get(value) if isinstance(value, type) else DTYPES.get(value) or ALIASES.get(value)
    if found is None:
        raise ArgumentTypeError(f"[dtype] {value!r} is no dtype; use one of {', '.join(DTYPES)}")
    return found


def default_dtype() -> DType:
    """The dtype of tensors made from Python floats."""
    return _default[0]


def set_default_dtype(d: DType) -> None:
    """Make `d` the dtype that Python floats become.

    Errors: ArgumentTypeError unless it is a floating-point dtype.
    """
    dtype = as_dtype(d)
    if dtype.category != FLOAT:
        raise ArgumentTypeError(
            f"[set_default_dtype] {dtype} is no floating-point dtype; use float32 or float64"
        )
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
        higher, lower = (a, b) if a.category > b.category else (b, a)
        return complex128 if higher.category == COMPLEX and lower is float64 else higher
    if a.storage_only or b.storage_only:
        raise DTypeError(
            f"[promote] Promotion for Float8 Types is not supported, attempted to promote {a} and {b}; "
            "convert one with .to(devtensor.float32)"
        )
    if a.category == COMPLEX:
        return complex128
    if a.category == FLOAT:
        if a.bits == b.bits:
            return float32
        return a if a.bits > b.bits else b
    if a.is_signed == b.is_signed:
        return a if a.bits > b.bits else b
    unsigned, signed = (b, a) if a.is_signed else (a, b)
    if signed.bits > unsigned.bits:
        return signed
    wider = {8: int16, 16: int32, 32: int64}.get(unsigned.bits)
    if wider is None:
        raise DTypeError(
            f"[promote] no integer dtype holds both {a} and {b}; convert one with .to(devtensor.int64)"
        )
    return wider


def scalar_dtype(category: int) -> DType:
    """The dtype that a lone Python scalar of this category becomes."""
    return (bool_, int64, _default[0], _default[0].to_complex())[category]


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
        dtype = dtype.to_real()
        if dtype.category != FLOAT:
            raise DTypeError(f"[finfo] {dtype} is no floating-point dtype; use iinfo for integers")
        fraction, exponent = {
            "float16": (10, 15),
            "bfloat16": (7, 127),
            "float32": (23, 127),
            "float64": (52, 1023),
            "float8_e4m3fn": (3, 8),
            "float8_e5m2": (2, 15),
        }[dtype.name]
        largest = (2.0 - 2.0**-fraction) * 2.0**exponent
        tiny = 2.0 ** (1 - exponent)
        digits = int(fraction * 0.30103)
        if dtype is float8_e4m3fn:
            # Without infinities: exponents reach one further down, and only the largest pattern is NaN.
            largest, tiny = 448.0, 2.0**-6
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
        low = -(1 << (dtype.bits - 1)) if dtype.is_signed else 0
        return cls(dtype.bits, low + (1 << dtype.bits) - 1, low, dtype.name)
