"""The error function, its complement and its inverse."""

from __future__ import annotations

from functools import partial
from math import pi, sqrt

from devtensor.core.op import composite
from devtensor.core.rules import broadcast, floating
from devtensor.ops.elementwise import square
from devtensor.ops.examples import singles
from devtensor.ops.formulas import by_formula
from devtensor.ops.functions import exp

function = partial(composite, dtype=floating, shape=broadcast, inplace=True, rounding=4)


@function()
def erf(input):
    """Error function: 2/sqrt(pi) times the integral of exp(-t^2) from 0 to `input`.

    Shapes: input (*S) -> (*S)
    """
    return by_formula("erf", input)


erf.vjp(input=lambda g, input: g * (exp(-(input * input)) * (2 / sqrt(pi))))


@function()
def erfc(input):
    """1 - erf(input), exact for large `input`.

    Shapes: input (*S) -> (*S)
    """
    return by_formula("erfc", input)


erfc.vjp(input=lambda g, input: g * (exp(-(input * input)) * (-2 / sqrt(pi))))


@function(amp="float32")
def erfinv(input):
    """Number whose error function is `input`; infinite at -1 and 1, NaN outside.

    Shapes: input (*S) -> (*S)
    """
    return by_formula("erfinv", input)


erfinv.vjp(input=lambda g, input: g * (exp(square(erfinv(input))) * (sqrt(pi) / 2)))


@function(inplace=False)
def erfcx(input):
    """exp(input^2) * erfc(input), without overflow in between.

    Shapes: input (*S) -> (*S)
    """
    return by_formula("erfcx", input)


erfcx.vjp(input=lambda g, input, out: g * (input * out * 2 - 2 / sqrt(pi)))

for _op in (erf, erfc, erfcx):
    _op.examples(singles())
erfinv.examples(singles(low=-0.8, high=0.8))
