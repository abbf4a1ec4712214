"""Ops that look at how numbers are made: signs, neighbours, divisors, mantissas; NaN left out."""

from __future__ import annotations

from functools import partial
from math import log, pi
from typing import Any

from devtensor.core.dtype import int32
from devtensor.core.layout import elementwise_strides
from devtensor.core.op import HOLOMORPHIC, composite, primitive
from devtensor.core.placement import Placement
from devtensor.core.rules import Types, broadcast, floating, integral, numeric, only_floating, promoted
from devtensor.core.spec import contiguous_strides
from devtensor.ops.compare import eq, ge, isinf, isnan, logical_and, logical_or, lt, ne, where
from devtensor.ops.elementwise import floor_divide, mul, round
from devtensor.ops.examples import pairs, singles
from devtensor.ops.extremes import maximum, minimum
from devtensor.ops.functions import cos, exp, exp2, log1p, reciprocal, sin
from devtensor.ops.hyperbolic import sigmoid
from devtensor.ops.parts import abs, as_real, real

pair = partial(composite, shape=broadcast)


def negative(input: Any) -> Any:
    """Whether the sign is negative, that of a zero too."""
    if not input.kind.dtype.is_floating_point:
        return lt(input, 0)
    return logical_or(lt(input, 0), logical_and(eq(input, 0), lt(reciprocal(input), 0)))


@pair(dtype=floating, inplace=True)
def copysign(input, other):
    """The size of `input` with the sign of `other`.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """
    size = abs(input)
    below = negative(other) if hasattr(other, "array") else str(float(other)).startswith("-")
    return where(below, -size, size) if hasattr(other, "array") else (-size if below else size)


copysign.vjp(
    input=lambda g, input, out: where(eq(input, 0), 0.0, g * (out / where(eq(input, 0), 1.0, input))),
    other=lambda g: g * 0,
)
copysign.examples(pairs(apart=0.1))


@pair(dtype=promoted)
def fmax(input, other):
    """The larger of `input` and `other`, and of a number and NaN the number.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    Source: of equal values the gradient goes to `input`, as in PyTorch.
    """
    return where(isnan(input), other, where(isnan(other), input, maximum(input, other)))


@pair(dtype=promoted)
def fmin(input, other):
    """The smaller of `input` and `other`, and of a number and NaN the number.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    Source: of equal values the gradient goes to `input`, as in PyTorch.
    """
    return where(isnan(input), other, where(isnan(other), input, minimum(input, other)))


def _chosen(better: Any) -> dict[str, Any]:
    """The gradient for the one that was taken."""

    def first(input: Any, other: Any) -> Any:
        return logical_or(better(input, other), isnan(other))

    return {
        "input": lambda g, input, other: where(first(input, other), g, 0.0),
        "other": lambda g, input, other: where(first(input, other), 0.0, g),
    }


fmax.vjp(**_chosen(lambda input, other: input >= other))
fmin.vjp(**_chosen(lambda input, other: input <= other))
for _op in (fmax, fmin):
    _op.examples(lambda make: (c for c in pairs()(make) if all(hasattr(i, "shape") for i in c.inputs)))


@primitive(dtype=only_floating, shape=broadcast, inplace=True)
def nextafter(input, other):
    """The next number that the dtype has after `input`, towards `other`.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """


def _whole(op: str, operands: Any, params: tuple) -> Types:
    """Integers; neither bools nor floating point."""
    integral(op, operands, params)
    return numeric(op, operands, params)


@primitive(dtype=_whole, shape=broadcast, inplace=True)
def gcd(input, other):
    """The greatest common divisor.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """


@pair(dtype=_whole, inplace=True)
def lcm(input, other):
    """The least common multiple; 0 where either is 0.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """
    shared = gcd(input, other)
    return abs(mul(floor_divide(input, where(eq(shared, 0), 1, shared)), other))


nextafter.vjp(input=lambda g, input, other: where(eq(input, other), 0.0, g), other=lambda g: g * 0)
nextafter.examples(pairs(low=-9, high=9))
for _op in (gcd, lcm):
    _op.vjp(None)
    _op.examples(pairs(low=-9, high=9))


def _beside_rows(shapes: Any, operands: Any, params: tuple) -> list[Any]:
    """As an elementwise op of the input, and of powers that lie in rows."""
    given = [((), ()) if operand is None else operand for operand in operands]
    powers = given[1][0]
    return [elementwise_strides(shapes[0], [given[0], (powers, contiguous_strides(powers))])]


@pair(dtype=floating, inplace=True, complex=HOLOMORPHIC, placement=Placement(_beside_rows))
def ldexp(input, other):
    """input * 2^other.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """
    return input * (exp2(other) if hasattr(other, "array") else 2.0**other)


ldexp.examples(pairs())


def _exponents(op: str, operands: Any, params: tuple) -> Types:
    return Types(only_floating(op, operands, params).cast, int32)


@primitive(dtype=(only_floating, _exponents), shape=lambda op, inputs, params: [inputs[0].shape] * 2)
def frexp(input):
    """Mantissa, of size in [1/2, 1), and exponent: input = mantissa * 2^exponent.

    Shapes: input (*S) -> (*S), (*S)
    """


frexp.vjp(input=lambda gs, second: ldexp(gs[0], -second))
frexp.examples(singles(apart=0.1))


@pair(dtype=floating, complex=HOLOMORPHIC)
def logaddexp(input, other):
    """log(exp(input) + exp(other)) without overflow.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """
    if _complex(input) or _complex(other):
        ahead = ge(_real(input), _real(other))
        top, low = where(ahead, input, other), where(ahead, other, input)
        endless = logical_and(isinf(real(top)), eq(real(top), real(low)))
        return where(endless, top, top + log1p(exp(where(endless, 0.0, low - top))))
    top, gap = _top_and_gap(input, other)
    return where(isinf(top), top, top + log1p(exp(-gap)))


@pair(dtype=floating)
def logaddexp2(input, other):
    """log2(2^input + 2^other) without overflow.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """
    top, gap = _top_and_gap(input, other)
    return where(isinf(top), top, top + log1p(exp2(-gap)) * (1 / log(2)))


def _complex(value: Any) -> bool:
    return value.kind.dtype.is_complex if hasattr(value, "kind") else isinstance(value, complex)


def _real(value: Any) -> Any:
    return as_real(value) if hasattr(value, "kind") else value.real


def _top_and_gap(input: Any, other: Any) -> tuple[Any, Any]:
    gap = abs(input - other)
    return maximum(input, other), where(isnan(gap), 0.0, gap)


def _share(scale: float) -> dict[str, Any]:
    """What part of the sum each term is."""

    def part(g: Any, term: Any, rest: Any) -> Any:
        # Equal infinities share evenly: their difference would be NaN.
        endless = logical_and(isinf(_real(term)), eq(term, rest))
        return g * sigmoid(where(endless, 0.0, term - rest) * scale)

    return {
        "input": lambda g, input, other: part(g, input, other),
        "other": lambda g, input, other: part(g, other, input),
    }


logaddexp.vjp(**_share(1.0))
logaddexp2.vjp(**_share(log(2)))


for _op in (logaddexp, logaddexp2):
    _op.examples(pairs())


@composite(dtype=floating, shape=broadcast, inplace=True, complex=HOLOMORPHIC)
def sinc(input):
    """sin(pi * input) / (pi * input), 1 at 0.

    Shapes: input (*S) -> (*S)
    """
    at_zero = eq(input, 0)
    angle = where(at_zero, 1.0, input * pi)
    if input.kind.dtype.is_complex:
        return where(at_zero, 1.0, sin(angle) / angle)
    # By the distance from the nearest whole number, where the function is exactly 0.
    nearest = round(input)
    sine = sin((input - nearest) * pi)
    odd = ne(nearest, round(nearest / 2) * 2)
    return where(at_zero, 1.0, where(odd, -sine, sine) / angle)


def _sinc_slope(g: Any, input: Any) -> Any:
    angle = input * pi
    at_zero = eq(angle, 0)
    safe = where(at_zero, 1.0, angle)
    return where(at_zero, 0.0, g * (pi * (angle * cos(angle) - sin(angle)) / (safe * safe)))


sinc.vjp(input=_sinc_slope)
sinc.examples(singles(apart=0.1))
