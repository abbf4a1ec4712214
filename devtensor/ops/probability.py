"""Functions of the normal distribution, of entropy, and the Bessel functions that circular densities need."""

from __future__ import annotations

from functools import partial
from math import pi, sqrt
from typing import Any

from devtensor.core.op import composite, primitive
from devtensor.core.rules import broadcast, floating
from devtensor.ops.compare import eq, isnan, logical_and, logical_not, where
from devtensor.ops.create import full
from devtensor.ops.elementwise import sign, square
from devtensor.ops.examples import pairs, singles
from devtensor.ops.functions import erfc, exp, log, log1p
from devtensor.ops.parts import abs

function = partial(primitive, dtype=floating, shape=broadcast)
combination = partial(composite, dtype=floating, shape=broadcast)


@function()
def erfcx(input):
    """exp(input^2) * erfc(input), without overflow in between.

    Shapes: input (*S) -> (*S)
    """


erfcx.vjp(input=lambda g, input, out: g * (input * out * 2 - 2 / sqrt(pi)))
erfcx.examples(singles())


@combination()
def ndtr(input):
    """The normal distribution function: the probability of a value below `input`.

    Shapes: input (*S) -> (*S)
    """
    return erfc(input * -sqrt(0.5)) * 0.5


ndtr.vjp(input=lambda g, input: g * exp(square(input) * -0.5) * sqrt(0.5 / pi))
ndtr.examples(singles())


@combination()
def log_ndtr(input):
    """Logarithm of the normal distribution function, exact far below 0 too.

    Shapes: input (*S) -> (*S)
    """
    scaled = input * sqrt(0.5)
    below = log(erfcx(-where(scaled < 0, scaled, 0.0)) * 0.5) - square(where(scaled < 0, scaled, 0.0))
    return where(input < -1.0, below, log1p(erfc(where(input < -1.0, 0.0, scaled)) * -0.5))


log_ndtr.vjp(input=lambda g, input: g * (sqrt(2 / pi) / erfcx(input * -sqrt(0.5))))
log_ndtr.examples(singles())


@function()
def ndtri(input):
    """The value below which the normal distribution lies with probability `input`: the inverse of `ndtr`.

    Shapes: input (*S) -> (*S)
    """


ndtri.vjp(input=lambda g, out: g * exp(square(out) * 0.5) * sqrt(2 * pi))
ndtri.examples(singles(low=0.05, high=0.95))


@combination()
def entr(input):
    """-input * log(input): 0 at 0, -inf below.

    Shapes: input (*S) -> (*S)
    """
    inside = -input * log(where(input > 0, input, 1.0))
    return where(input > 0, inside, where(eq(input, 0), 0.0, where(isnan(input), input, float("-inf"))))


entr.vjp(input=lambda g, input: g * (-log(input) - 1))
entr.examples(singles(low=0.1, high=3.0))


def _product_with(logarithm: Any) -> Any:
    """input * logarithm(other), where 0 times anything but NaN is 0."""

    def body(input: Any, other: Any) -> Any:
        if not hasattr(other, "array"):
            other = full((), other, input.kind.dtype, input.kind.device)
        nothing = logical_and(eq(input, 0), logical_not(isnan(other)))
        return where(nothing, 0.0, input * logarithm(where(nothing, 1.0, other)))

    return body


@combination(inplace=True)
def xlogy(input, other):
    """input * log(other), 0 where `input` is 0 and `other` no NaN.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """
    return _product_with(log)(input, other)


@combination()
def xlog1py(input, other):
    """input * log(1 + other), 0 where `input` is 0 and `other` no NaN.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """
    return _product_with(log1p)(input, other)


xlogy.vjp(
    input=lambda g, input, other: where(logical_and(eq(input, 0), other <= 0), 0.0, xlogy(g, other)),
    other=lambda g, input, other: g * (input / other),
)
xlog1py.vjp(
    input=lambda g, input, other: where(logical_and(eq(input, 0), other <= -1), 0.0, xlog1py(g, other)),
    other=lambda g, input, other: g * (input / (other + 1)),
)
for _op in (xlogy, xlog1py):
    _op.examples(pairs(right_low=0.2, right_high=3.0))


@function()
def i0e(input):
    """The modified Bessel function of order 0 times exp(-|input|).

    Shapes: input (*S) -> (*S)
    """


@function()
def i1e(input):
    """The modified Bessel function of order 1 times exp(-|input|).

    Shapes: input (*S) -> (*S)
    """


@combination(inplace=True)
def i0(input):
    """The modified Bessel function of the first kind, of order 0.

    Shapes: input (*S) -> (*S)
    """
    return i0e(input) * exp(abs(input))


@combination()
def i1(input):
    """The modified Bessel function of the first kind, of order 1.

    Shapes: input (*S) -> (*S)
    """
    return i1e(input) * exp(abs(input))


def _over(value: Any, input: Any) -> Any:
    """value / input, and its limit 1/2 at 0, where both vanish."""
    at_zero = eq(input, 0)
    return where(at_zero, 0.5, value / where(at_zero, 1.0, input))


i0.vjp(input=lambda g, input: g * i1(input))
i1.vjp(input=lambda g, input, out: g * (i0(input) - _over(out, input)))
i0e.vjp(input=lambda g, input, out: g * (i1e(input) - sign(input) * out))
i1e.vjp(input=lambda g, input, out: g * (i0e(input) - _over(out, input) - sign(input) * out))
for _op in (i0, i1, i0e, i1e):
    _op.examples(singles(apart=0.1))
