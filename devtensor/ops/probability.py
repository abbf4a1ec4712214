"""Functions of the normal distribution, of entropy, and the Bessel functions that circular densities need."""

from __future__ import annotations

from functools import partial
from math import nan, pi, sqrt
from typing import Any

from devtensor.core.op import Plain, composite
from devtensor.core.rules import broadcast, floating
from devtensor.ops.combine import clamp
from devtensor.ops.compare import eq, isnan, logical_and, logical_not, logical_or, where
from devtensor.ops.create import full
from devtensor.ops.elementwise import sign, square
from devtensor.ops.error_functions import erfc, erfcx
from devtensor.ops.examples import case, pairs, singles
from devtensor.ops.formulas import by_formula
from devtensor.ops.functions import exp, log, log1p
from devtensor.ops.parts import abs

function = partial(composite, dtype=floating, shape=broadcast, rounding=4)
combination = partial(composite, dtype=floating, shape=broadcast)


@combination()
def ndtr(input):
    """The normal distribution function: the probability of a value below `input`.

    Shapes: input (*S) -> (*S)
    """
    return erfc(input * -sqrt(0.5)) * 0.5


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


@combination(inplace=True)
def logit(input, eps: Plain = None):
    """log(input / (1 - input)), with `input` first held in [eps, 1 - eps] if `eps` is given.

    Shapes: input (*S) -> (*S)
    Source: the gradient outside of what is held is 0, and without `eps` outside [0, 1] NaN, as in PyTorch.
    """
    held = input if eps is None else clamp(input, eps, 1 - eps)
    return log(held / (1 - held))


def _logit_gradient(g: Any, input: Any, eps: float | None) -> Any:
    low, beyond = (0, nan) if eps is None else (eps, 0.0)
    outside = logical_or(input < low, input > 1 - low)
    # Adding 0 makes a positive zero of a negative one: the slope at both ends is infinite, not minus that.
    return where(outside, beyond, g / (input * (1 - input) + 0.0))


logit.vjp(input=_logit_gradient)
logit.examples(singles(low=0.1, high=0.9))
logit.examples(lambda make: iter([case(make(3, 4, low=0.3, high=0.9), eps=0.2)]))


@function()
def ndtri(input):
    """The value below which the normal distribution lies with probability `input`: the inverse of `ndtr`.

    Shapes: input (*S) -> (*S)
    """
    return by_formula("ndtri", input)


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
    return by_formula("i0e", input)


@function()
def i1e(input):
    """The modified Bessel function of order 1 times exp(-|input|).

    Shapes: input (*S) -> (*S)
    """
    return by_formula("i1e", input)


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
