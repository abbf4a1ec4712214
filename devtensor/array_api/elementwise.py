"""Functions of one element, or of one from each of two arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import devtensor
from devtensor.array_api.dtypes import together
from devtensor.core.dtype import INTEGER
from devtensor.core.errors import ArgumentTypeError
from devtensor.core.naming import named
from devtensor.core.tensor import Tensor

# The standard's name: devtensor's.
UNARY = {
    name: name
    for name in (
        "abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "conj", "cos", "cosh", "exp",
        "expm1", "floor", "imag", "isfinite", "isinf", "isnan", "log", "log10", "log1p", "log2",
        "logical_not", "positive", "real", "reciprocal", "signbit", "sin", "sinh", "sqrt", "square", "tan",
        "tanh", "trunc",
    )
} | {"bitwise_invert": "bitwise_not", "negative": "neg"}  # fmt: skip
BINARY = {
    name: name
    for name in (
        "add", "atan2", "bitwise_and", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift",
        "bitwise_xor", "copysign", "floor_divide", "greater", "greater_equal", "hypot", "less", "less_equal",
        "logaddexp", "logical_and", "logical_or", "logical_xor", "maximum", "minimum", "multiply",
        "nextafter", "not_equal", "pow", "remainder", "subtract",
    )
} | {"divide": "div", "equal": "eq"}  # fmt: skip


def _unary(name: str, ours: str) -> Callable[[Tensor], Tensor]:
    def function(x: Tensor, /) -> Tensor:
        if not isinstance(x, Tensor):
            raise ArgumentTypeError(f"[{name}] x is a {type(x).__name__}; it needs an array")
        return getattr(devtensor, ours)(x)

    return named(function, name, f"`devtensor.{ours}` of every element.")


def _binary(name: str, ours: str) -> Callable[[Any, Any], Tensor]:
    def function(x1: Tensor | complex, x2: Tensor | complex, /) -> Tensor:
        return getattr(devtensor, ours)(*together(x1, x2))

    return named(function, name, f"`devtensor.{ours}` of every pair of elements, in their common dtype.")


globals().update({name: _unary(name, ours) for name, ours in UNARY.items()})
globals().update({name: _binary(name, ours) for name, ours in BINARY.items()})


def clip(x: Tensor, /, min: Any = None, max: Any = None) -> Tensor:
    """Every element, but no less than `min` and no more than `max`, in the dtype of `x`."""
    result = x.clone() if min is None and max is None else x
    for limit, choose in ((min, devtensor.maximum), (max, devtensor.minimum)):
        if limit is not None:
            result = choose(*together(result, limit)).to(x.dtype)
    return result


def round(x: Tensor, /) -> Tensor:
    """The nearest whole number, the even one of two; of both parts of complex numbers."""
    if x.dtype.is_complex:
        return devtensor.complex(devtensor.round(x.real), devtensor.round(x.imag))
    return x.clone() if x.dtype.category <= INTEGER else devtensor.round(x)


def sign(x: Tensor, /) -> Tensor:
    """-1, 0 or 1, as elements lie below, at or above zero, and NaN for NaN; of complex ones the direction."""
    found = devtensor.sgn(x)
    return devtensor.where(devtensor.isnan(x), x, found) if x.dtype.category > INTEGER else found


__all__ = [*UNARY, *BINARY, "clip", "round", "sign"]
