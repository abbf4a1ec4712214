"""Arithmetic and functions of one element: the ops that work number by number."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from devtensor.core.dtype import bool_, float32, int64
from devtensor.core.errors import DTypeError
from devtensor.core.holding import HALVES
from devtensor.core.op import HOLOMORPHIC, composite, primitive
from devtensor.core.rules import Types, broadcast, floating, numeric, promoted
from devtensor.ops.compare import eq, isfinite, logical_and, ne, where
from devtensor.ops.create import cast, copy, full_of
from devtensor.ops.examples import pairs, singles
from devtensor.ops.functions import log

elementwise = partial(primitive, shape=broadcast, inplace=True)
derived = partial(composite, shape=broadcast, inplace=True, rounding=4)


@elementwise(dtype=promoted, operator="+", complex=HOLOMORPHIC)
def add(input, other):
    """Sum of `input` and `other`.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """


add.vjp(input=lambda g: g, other=lambda g: g)
add.examples(pairs())


def _no_bool(op: str, operands: Any, params: tuple) -> Types:
    """Like `promoted`; a bool on either side is refused: the difference of truths has names of its own."""
    if any(operand.dtype is bool_ for operand in operands):
        raise DTypeError(
            f"[{op}] Subtraction, the `-` operator, with a bool is not supported; use `^` or logical_xor() "
            "for the difference of truths, ~ for the opposite"
        )
    return promoted(op, operands, params)


@elementwise(dtype=_no_bool, operator="-", complex=HOLOMORPHIC)
def sub(input, other):
    """Difference of `input` and `other`.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    Errors: DTypeError for bool.
    """


sub.vjp(input=lambda g: g, other=lambda g: -g)
sub.examples(pairs())


@elementwise(dtype=promoted, operator="*", complex=HOLOMORPHIC)
def mul(input, other):
    """Product of `input` and `other`.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """


mul.vjp(input=lambda g, other: g * other, other=lambda g, input: g * input)
mul.examples(pairs())


@elementwise(dtype=floating, operator="/", complex=HOLOMORPHIC)
def div(input, other):
    """Quotient of `input` and `other`; integers are divided as floating point.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """


div.vjp(input=lambda g, other: g / other, other=lambda g, input, other: -g * ((input / other) / other))
div.examples(pairs(right_apart=0.3))


@elementwise(dtype=numeric, operator="//")
def floor_divide(input, other):
    """Quotient of `input` and `other`, rounded down.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    Errors: ArgumentError for an integer divided by zero.
    """


@composite(dtype=numeric, shape=broadcast)
def div_floor(input, other):
    """Quotient of `input` and `other`, rounded down: `floor_divide` with a derivative.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    Errors: ArgumentError for an integer divided by zero.
    """
    return floor_divide(input, other)


@composite(dtype=numeric, shape=broadcast)
def div_trunc(input, other):
    """Quotient of `input` and `other`, rounded towards zero.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    Errors: ArgumentError for an integer divided by zero.
    """
    if hasattr(input, "array") and input.kind.dtype.name in HALVES and not _alike(input, other):
        return cast(trunc(div(cast(input, float32), other)), input.kind.dtype)
    rest = fmod(input, other)
    if rest.kind.dtype.is_floating_point:
        return trunc(div(input, other))
    return floor_divide(input - rest, other)


def _alike(input: Any, other: Any) -> bool:
    """Whether both are tensors of one dtype: a number beside halves is not rounded to theirs."""
    return hasattr(other, "array") and other.kind.dtype is input.kind.dtype


def _zero(g: Any) -> Any:
    """0 wherever the op has a slope, also where what comes in is infinite or NaN."""
    return full_of(g.array.shape, 0, g.kind)


# In PyTorch the derivative is 0 under the names of div(rounding_mode=...), and missing under this one.
floor_divide.vjp()
floor_divide.examples(pairs(low=-9, high=9, right_apart=0.9))
for _op in (div_floor, div_trunc):
    _op.vjp(input=_zero, other=_zero)
    _op.examples(pairs(low=-9, high=9, right_apart=0.9))


@derived(dtype=numeric, operator="%")
def remainder(input, other):
    """Remainder of `input` divided by `other`, with the divisor's sign.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    Errors: ArgumentError for an integer divided by zero.
    """
    rest = fmod(input, other)
    return where(logical_and(rest, ne(rest < 0, other < 0)), rest + other, rest)


remainder.vjp(
    input=lambda g: g,
    other=lambda g, input, other: -g * div_floor(input, other),
)
remainder.examples(pairs(low=-9, high=9, right_apart=0.9))


@elementwise(dtype=numeric)
def fmod(input, other):
    """Remainder of `input` divided by `other`, with the dividend's sign.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    Errors: ArgumentError for an integer divided by zero.
    """


fmod.vjp(input=lambda g: g, other=lambda g, input, other: -g * trunc(input / other))
fmod.examples(pairs(low=-9, high=9, right_apart=0.9))


def _pow_input(g: Any, input: Any, other: Any) -> Any:
    """0 where the exponent is 0, whatever the base."""
    slope = other * pow(input, other - 1)
    return g * (
        where(eq(other, 0), 0.0, slope) if hasattr(other, "array") else (slope if other else slope * 0)
    )


def _pow_other(g: Any, input: Any, out: Any) -> Any:
    """0 where the base is 0 and the exponent is not negative: the power does not change with it there."""
    if not hasattr(input, "array"):
        return g * (out * (math.log(input) if input > 0 else 0.0 if input == 0 else math.nan))
    return g * where(eq(input, 0) & isfinite(out), 0.0, out * log(input))


@primitive(dtype=numeric, shape=broadcast, amp="float32", operator="**", inplace=True, complex=HOLOMORPHIC)
def pow(input, other):
    """`input` to the power `other`.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """


pow.vjp(input=_pow_input, other=_pow_other)
pow.examples(pairs(left_low=0.3, left_high=2.0, right_low=0.5, right_high=3.0))


@elementwise(dtype=numeric, operator="-u", complex=HOLOMORPHIC)
def neg(input):
    """`input` with its sign changed.

    Shapes: input (*S) -> (*S)
    Errors: DTypeError for bool.
    """


neg.vjp(input=lambda g: -g)
neg.examples(singles())


@derived(dtype=promoted)
def sign(input):
    """-1, 0 or 1 by the sign of `input`.

    Shapes: input (*S) -> (*S)
    """
    if input.kind.dtype is bool_:
        return copy(input)
    return cast(input > 0, input.kind.dtype) - cast(input < 0, input.kind.dtype)


@elementwise(dtype=numeric)
def floor(input):
    """`input` rounded down; integers stay.

    Shapes: input (*S) -> (*S)
    """


@derived(dtype=numeric)
def ceil(input):
    """`input` rounded up; integers stay.

    Shapes: input (*S) -> (*S)
    """
    return -floor(-input)


@derived(dtype=numeric)
def trunc(input):
    """`input` rounded towards zero; integers stay.

    Shapes: input (*S) -> (*S)
    """
    return where(input < 0, ceil(input), floor(input))


@elementwise(dtype=numeric)
def round(input):
    """`input` rounded to the nearest integer, halves to the even one; integers stay.

    Shapes: input (*S) -> (*S)
    """


for _op in (sign, floor, ceil, trunc, round):
    _op.vjp(input=_zero)
    _op.examples(singles(apart=0.1))


def _counted(op: str, operands: Any, params: tuple) -> Types:
    """Like `promoted`; bools are counted as int64."""
    types = promoted(op, operands, params)
    return Types(int64, int64) if types.out is bool_ else types


@derived(dtype=_counted, amp="float32", complex=HOLOMORPHIC)
def square(input):
    """`input` times itself.

    Shapes: input (*S) -> (*S)
    """
    return input * input


square.vjp(input=lambda g, input: g * (input * 2))
square.examples(singles())
