"""Data types: promotion by the standard's rules, kinds, limits, conversion."""

from __future__ import annotations

from functools import reduce
from typing import Any, NamedTuple

import devtensor
from devtensor.core.device import resolve
from devtensor.core.dtype import BOOL, COMPLEX, FLOAT, INTEGER, DType, promote, scalar_dtype
from devtensor.core.dtype import finfo as float_limits
from devtensor.core.dtype import iinfo as integer_limits
from devtensor.core.errors import ArgumentError, ArgumentTypeError
from devtensor.core.tensor import Tensor

__all__ = ["astype", "can_cast", "finfo", "iinfo", "isdtype", "result_type"]

KINDS = {
    "bool": lambda d: d.category == BOOL,
    "signed integer": lambda d: d.category == INTEGER and d.is_signed,
    "unsigned integer": lambda d: d.category == INTEGER and not d.is_signed,
    "integral": lambda d: d.category == INTEGER,
    "real floating": lambda d: d.category == FLOAT,
    "complex floating": lambda d: d.category == COMPLEX,
    "numeric": lambda d: d.category != BOOL,
}
CATEGORIES = {bool: BOOL, int: INTEGER, float: FLOAT, complex: COMPLEX}


class FloatLimits(NamedTuple):
    """What `finfo` tells of a floating-point dtype, or of a complex dtype's parts."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType


class IntegerLimits(NamedTuple):
    """What `iinfo` tells of an integer dtype."""

    bits: int
    max: int
    min: int
    dtype: DType


def astype(x: Tensor, dtype: DType, /, *, copy: bool = True, device: Any = None) -> Tensor:
    """`x` converted to `dtype`; itself if nothing changes and no copy is asked for."""
    return x.to(x.device if device is None else resolve(device), dtype, copy=copy)


def can_cast(from_: DType | Tensor, to: DType, /) -> bool:
    """Whether promotion within a kind, or from real to complex numbers, leads from one dtype to the other."""
    source = from_.dtype if isinstance(from_, Tensor) else from_
    if source.category != to.category and (source.category, to.category) != (FLOAT, COMPLEX):
        return False
    unsigned = {source, to} - {source if source.is_signed else None, to if to.is_signed else None}
    mixed = len(unsigned) == 1 and source.category == INTEGER and source is not to
    if mixed and any(dtype.bits == 64 for dtype in unsigned) and source.is_signed != to.is_signed:
        return False
    return promote(source, to) is to


def finfo(type: DType | Tensor, /) -> FloatLimits:
    """Limits of a floating-point dtype, or of a complex dtype's parts.

    Errors: DTypeError for any other.
    """
    dtype = (type.dtype if isinstance(type, Tensor) else type).to_real()
    found = float_limits.of(dtype)
    return FloatLimits(found.bits, found.eps, found.max, found.min, found.smallest_normal, dtype)


def iinfo(type: DType | Tensor, /) -> IntegerLimits:
    """Limits of an integer dtype.

    Errors: DTypeError for any other.
    """
    dtype = type.dtype if isinstance(type, Tensor) else type
    found = integer_limits.of(dtype)
    return IntegerLimits(found.bits, found.max, found.min, dtype)


def isdtype(dtype: DType, kind: DType | str | tuple[DType | str, ...]) -> bool:
    """Whether a dtype is of a kind, is another dtype, or either of any in a tuple.

    Errors: ArgumentError for a kind that does not exist, ArgumentTypeError for what is neither.
    """
    if isinstance(kind, tuple):
        return any([isdtype(dtype, one) for one in kind])
    if isinstance(kind, DType):
        return dtype is kind
    if not isinstance(kind, str):
        raise ArgumentTypeError(f"[isdtype] kind is {kind!r}; it needs a dtype, a str or a tuple of them")
    if kind not in KINDS:
        raise ArgumentError(f"[isdtype] kind is {kind!r}; it needs one of {', '.join(KINDS)}")
    return KINDS[kind](dtype)


def result_type(*arrays_and_dtypes: Any) -> DType:
    """The dtype in which arrays, dtypes and Python numbers meet; dimensions have no say.

    Errors: ArgumentError without any array or dtype.
    """
    dtypes = [a.dtype if isinstance(a, Tensor) else a for a in arrays_and_dtypes]
    strong = [dtype for dtype in dtypes if isinstance(dtype, DType)]
    if not strong:
        raise ArgumentError("[result_type] got no array or dtype; give at least one")
    result = reduce(promote, strong)
    for number in dtypes:
        if not isinstance(number, DType):
            result = with_number(result, number)
    return result


def with_number(dtype: DType, number: Any) -> DType:
    """The dtype that an array's dtype and a Python number give: the array's, unless the number is of a higher
    category.

    Errors: ArgumentTypeError for what is no number.
    """
    category = CATEGORIES.get(type(number))
    if category is None:
        raise ArgumentTypeError(f"[array_api] got a {type(number).__name__}; it needs an array or a number")
    if category <= dtype.category:
        return dtype
    if category == COMPLEX and dtype.category == FLOAT:
        return dtype.to_complex()
    return scalar_dtype(category)


def together(*values: Any) -> list[Tensor]:
    """Arrays and Python numbers as arrays of their common dtype."""
    common = result_type(*values)
    device = next(v.device for v in values if isinstance(v, Tensor))
    return [v.to(common) if isinstance(v, Tensor) else scalar(v, common, device) for v in values]


def scalar(number: Any, dtype: DType, device: Any) -> Tensor:
    """A Python number as a 0-d array."""
    return devtensor.tensor(number, dtype=dtype, device=device)
