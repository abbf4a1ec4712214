"""Number by number, in PyTorch's spellings: `alpha`, `rounding_mode`, `decimals`, limits and other names."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import FLOAT, complex128, finfo, float64
from devtensor.core.errors import ArgumentError
from devtensor.core.inplace import apply_inplace, copy_into
from devtensor.core.tensor import Tensor
from devtensor.functions.out import into
from devtensor.ops import combine, compare, elementwise, parts
from devtensor.ops import functions as real
from devtensor.ops.create import cast, copy

__all__ = [
    "add",
    "addcdiv",
    "addcmul",
    "clamp",
    "clamp_max",
    "clamp_min",
    "clip",
    "deg2rad",
    "div",
    "divide",
    "float_power",
    "frac",
    "heaviside",
    "isneginf",
    "isposinf",
    "logit",
    "mul",
    "nan_to_num",
    "pow",
    "rad2deg",
    "round",
    "rsub",
    "signbit",
    "sub",
    "subtract",
    "true_divide",
]


def add(input: Any, other: Any, *, alpha: Any = 1, out: Tensor | None = None) -> Tensor:
    """`input` plus `alpha` times `other`."""
    return into(out, elementwise.add(input, _times(other, alpha)), (input, other))


def sub(input: Any, other: Any, *, alpha: Any = 1, out: Tensor | None = None) -> Tensor:
    """`input` less `alpha` times `other`."""
    return into(out, elementwise.sub(input, _times(other, alpha)), (input, other))


def _times(other: Any, alpha: Any) -> Any:
    return other if alpha.__class__ is int and alpha == 1 else other * alpha


def add_(self: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """In-place form of `add`."""
    return apply_inplace(elementwise.add.op, self, (_times(number(other), alpha),), ())


def sub_(self: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """In-place form of `sub`."""
    return apply_inplace(elementwise.sub.op, self, (_times(number(other), alpha),), ())


def number(value: Any) -> Any:
    """NumPy's scalars as the Python numbers they stand for; tensors and numbers as they are."""
    if isinstance(value, Tensor) or getattr(value, "ndim", None) != 0:
        return value
    return value.item()


def mul(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """Product of `input` and `other`."""
    return into(out, elementwise.mul(input, other), (input, other))


def pow(input: Any, exponent: Any, *, out: Tensor | None = None) -> Tensor:
    """`input` to the power `exponent`.

    Errors: ArgumentError for integers to a negative integer power.
    """
    if (
        isinstance(exponent, int)
        and exponent < 0
        and isinstance(input, Tensor)
        and input.dtype.category != FLOAT
    ):
        raise ArgumentError(
            "[pow] Integers to negative integer powers are not allowed; convert with .float() first"
        )
    return into(out, elementwise.pow(input, exponent), (input, exponent))


def pow_(self: Tensor, exponent: Any) -> Tensor:
    """In-place form of `pow`."""
    return apply_inplace(elementwise.pow.op, self, (number(exponent),), ())


def div(input: Any, other: Any, *, rounding_mode: str | None = None, out: Tensor | None = None) -> Tensor:
    """Quotient of `input` and `other`, rounded as asked: None, "trunc" (towards zero) or "floor" (down)."""
    if rounding_mode is None:
        return into(out, elementwise.div(input, other), (input, other))
    if rounding_mode == "floor":
        return into(out, elementwise.floor_divide(input, other), (input, other))
    if rounding_mode != "trunc":
        raise ArgumentError(
            f"[div] rounding_mode is {rounding_mode!r}; div expected rounding_mode to be one of None, "
            "'trunc', or 'floor'"
        )
    if any(_is_float(value) for value in (input, other)):
        return into(out, elementwise.trunc(elementwise.div(input, other)))
    rest = elementwise.fmod(input, other)
    return into(out, elementwise.floor_divide(elementwise.sub(input, rest), other))


def _is_float(value: Any) -> bool:
    return value.dtype.category == FLOAT if isinstance(value, Tensor) else isinstance(value, float)


def div_(self: Tensor, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """In-place form of `div`."""
    if rounding_mode is None:
        return apply_inplace(elementwise.div.op, self, (number(other),), ())
    return copy_into(self, div(self, other, rounding_mode=rounding_mode))


def addcmul(
    input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1, out: Tensor | None = None
) -> Tensor:
    """`input` plus `value` times the product of `tensor1` and `tensor2`."""
    return into(out, combine.addcmul(input, tensor1, tensor2, value))


def addcdiv(
    input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1, out: Tensor | None = None
) -> Tensor:
    """`input` plus `value` times the quotient of `tensor1` and `tensor2`."""
    return into(out, combine.addcdiv(input, tensor1, tensor2, value))


def addcmul_(self: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    """In-place form of `addcmul`."""
    return apply_inplace(combine.addcmul.op, self, (tensor1, tensor2, value), ())


def addcdiv_(self: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    """In-place form of `addcdiv`."""
    return apply_inplace(combine.addcdiv.op, self, (tensor1, tensor2, value), ())


def clamp(input: Tensor, min: Any = None, max: Any = None, *, out: Tensor | None = None) -> Tensor:
    """`input` held between `min` and `max`, numbers or tensors.

    Errors: ArgumentError if neither is given.
    """
    _some_limit(min, max)
    return into(out, combine.clamp(input, number(min), number(max)))


def clamp_(self: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """In-place form of `clamp`."""
    _some_limit(min, max)
    return apply_inplace(combine.clamp.op, self, (number(min), number(max)), ())


def _some_limit(min: Any, max: Any) -> None:
    if min is None and max is None:
        raise ArgumentError("[clamp] At least one of 'min' or 'max' must not be None")


def clamp_min(input: Tensor, min: Any) -> Tensor:
    """`input`, but at least `min`."""
    return clamp(input, min)


def clamp_max(input: Tensor, max: Any) -> Tensor:
    """`input`, but at most `max`."""
    return clamp(input, None, max)


def round(input: Tensor, *, decimals: int = 0, out: Tensor | None = None) -> Tensor:
    """`input` rounded to `decimals` places, halves to the even digit."""
    if not decimals:
        return into(out, elementwise.round(input))
    scale = 10.0 ** abs(decimals)
    made = (
        elementwise.round(input * scale) / scale if decimals > 0 else elementwise.round(input / scale) * scale
    )
    return into(out, made)


def nan_to_num(
    input: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """NaN and infinities replaced by numbers; without one, infinities become the dtype's limits."""
    if input.dtype.is_complex:
        return parts.complex(*[nan_to_num(p, nan, posinf, neginf) for p in (input.real, input.imag)])
    if input.dtype.category != FLOAT:
        return copy(input)
    limits = finfo.of(input.dtype)
    made = compare.where(compare.isnan(input), 0.0 if nan is None else float(nan), input)
    made = compare.where(isposinf(made), limits.max if posinf is None else float(posinf), made)
    return compare.where(isneginf(made), limits.min if neginf is None else float(neginf), made)


def isposinf(input: Tensor) -> Tensor:
    """Whether `input` is positive infinity."""
    return compare.eq(input, float("inf"))  # type: ignore[return-value]


def isneginf(input: Tensor) -> Tensor:
    """Whether `input` is negative infinity."""
    return compare.eq(input, float("-inf"))  # type: ignore[return-value]


def signbit(input: Tensor) -> Tensor:
    """Whether the sign is negative, that of a zero too."""
    if input.dtype.category != FLOAT:
        return compare.lt(input, 0)  # type: ignore[return-value]
    negative_zero = compare.logical_and(compare.eq(input, 0), compare.lt(real.reciprocal(input), 0))
    return compare.logical_or(compare.lt(input, 0), negative_zero)


def frac(input: Tensor) -> Tensor:
    """What remains of `input` without its whole part."""
    return input - elementwise.trunc(input)


def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 below zero, 1 above, `values` at zero."""
    return compare.where(compare.eq(input, 0), values, compare.gt(input, 0))


def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(input / (1 - input)), with `input` first held in [eps, 1 - eps] if eps is given."""
    held = input if eps is None else clamp(input, eps, 1 - eps)
    return real.log(held / (1 - held))


def float_power(input: Any, exponent: Any) -> Tensor:
    """`input` to the power `exponent`, computed in float64."""
    double = [_doubled(value) for value in (input, exponent)]
    return elementwise.pow(*double)


def _doubled(value: Any) -> Any:
    """A tensor or number in double precision."""
    if not isinstance(value, Tensor):
        return value if isinstance(value, complex) else float(value)
    return cast(value, complex128 if value.dtype.is_complex else float64)


def deg2rad(input: Tensor) -> Tensor:
    """Degrees as radians."""
    return input * (math.pi / 180)


def rad2deg(input: Tensor) -> Tensor:
    """Radians as degrees."""
    return input * (180 / math.pi)


def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """`other` less `alpha` times `input`."""
    return elementwise.sub(other, _times(input, alpha))


def inplace_form(function: Callable) -> Callable:
    """The form with `_` of a function whose result has the input's shape and dtype."""

    def inplace(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return copy_into(self, function(self, *args, **kwargs))

    inplace.__name__ = inplace.__qualname__ = f"{function.__name__}_"
    inplace.__doc__ = f"In-place form of `{function.__name__}`."
    return inplace


clip, divide, true_divide, subtract = clamp, div, elementwise.div, sub
METHODS: dict[str, Callable] = {
    f.__name__: f
    for f in (
        add, add_, addcdiv, addcdiv_, addcmul, addcmul_, clamp, clamp_, clamp_max, clamp_min, deg2rad, div,
        div_, float_power, frac, heaviside, isneginf, isposinf, logit, mul, nan_to_num, pow, pow_,
        rad2deg, round, signbit, sub, sub_,
    )
} | {
    f"{f.__name__}_": inplace_form(f)
    for f in (clamp_max, clamp_min, deg2rad, float_power, frac, heaviside, logit, nan_to_num, rad2deg, round)
} | {
    "clip": clamp, "clip_": clamp_, "divide": div, "divide_": div_,
    "true_divide": elementwise.div, "true_divide_": div_, "subtract": sub, "subtract_": sub_,
}  # fmt: skip
