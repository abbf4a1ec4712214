"""Functions of one number: exponentials, logarithms, roots, circular and hyperbolic functions."""

from __future__ import annotations

from functools import partial
from math import log as _log
from math import pi
from math import sqrt as _sqrt

from devtensor.core.op import HOLOMORPHIC, primitive
from devtensor.core.rules import broadcast, floating
from devtensor.ops.examples import singles

# PyTorch's CUDA list keeps those that leave float16's range, or lose its digits, in float32.
function = partial(primitive, dtype=floating, shape=broadcast, inplace=True, complex=HOLOMORPHIC)
wide = partial(function, amp="float32")


@wide()
def exp(input):
    """e to the power `input`.

    Shapes: input (*S) -> (*S)
    """


exp.vjp(input=lambda g, out: g * out)


@function()
def exp2(input):
    """2 to the power `input`.

    Shapes: input (*S) -> (*S)
    """


exp2.vjp(input=lambda g, out: g * (out * _log(2)))


@wide()
def expm1(input):
    """exp(input) - 1, exact near 0.

    Shapes: input (*S) -> (*S)
    """


expm1.vjp(input=lambda g, out: g * (out + 1))


@wide()
def log(input):
    """Natural logarithm; NaN below 0, -inf at 0.

    Shapes: input (*S) -> (*S)
    """


log.vjp(input=lambda g, input: g / input)


@wide()
def log1p(input):
    """log(1 + input), exact near 0.

    Shapes: input (*S) -> (*S)
    """


log1p.vjp(input=lambda g, input: g / (input + 1))


@wide()
def log2(input):
    """Logarithm to base 2.

    Shapes: input (*S) -> (*S)
    """


log2.vjp(input=lambda g, input: g / (input * _log(2)))


@wide()
def log10(input):
    """Logarithm to base 10.

    Shapes: input (*S) -> (*S)
    """


log10.vjp(input=lambda g, input: g / (input * _log(10)))


@function()
def sqrt(input):
    """Square root; NaN below 0.

    Shapes: input (*S) -> (*S)
    """


sqrt.vjp(input=lambda g, out: g / (out * 2))


@wide()
def rsqrt(input):
    """1 / sqrt(input).

    Shapes: input (*S) -> (*S)
    """


rsqrt.vjp(input=lambda g, out: g * (out * out * out * -0.5))


@wide()
def reciprocal(input):
    """1 / input.

    Shapes: input (*S) -> (*S)
    """


reciprocal.vjp(input=lambda g, out: -g * (out * out))


@function()
def sin(input):
    """Sine.

    Shapes: input (*S) -> (*S)
    Units: input in radians.
    """


sin.vjp(input=lambda g, input: g * cos(input))


@function()
def cos(input):
    """Cosine.

    Shapes: input (*S) -> (*S)
    Units: input in radians.
    """


cos.vjp(input=lambda g, input: -g * sin(input))


@wide()
def tan(input):
    """Tangent.

    Shapes: input (*S) -> (*S)
    Units: input in radians.
    """


tan.vjp(input=lambda g, out: g * (out * out + 1))


@wide()
def asin(input):
    """Angle whose sine is `input`; NaN outside [-1, 1].

    Shapes: input (*S) -> (*S)
    Units: result in radians.
    """


asin.vjp(input=lambda g, input: g * rsqrt(1 - input * input))


@wide()
def acos(input):
    """Angle whose cosine is `input`; NaN outside [-1, 1].

    Shapes: input (*S) -> (*S)
    Units: result in radians.
    """


acos.vjp(input=lambda g, input: -g * rsqrt(1 - input * input))


@function()
def atan(input):
    """Angle whose tangent is `input`.

    Shapes: input (*S) -> (*S)
    Units: result in radians.
    """


atan.vjp(input=lambda g, input: g / (input * input + 1))


@wide()
def sinh(input):
    """Hyperbolic sine.

    Shapes: input (*S) -> (*S)
    """


sinh.vjp(input=lambda g, input: g * cosh(input))


@wide()
def cosh(input):
    """Hyperbolic cosine.

    Shapes: input (*S) -> (*S)
    """


cosh.vjp(input=lambda g, input: g * sinh(input))


@function()
def tanh(input):
    """Hyperbolic tangent.

    Shapes: input (*S) -> (*S)
    """


tanh.vjp(input=lambda g, out: g * (1 - out * out))


@function()
def asinh(input):
    """Number whose hyperbolic sine is `input`.

    Shapes: input (*S) -> (*S)
    """


asinh.vjp(input=lambda g, input: g * rsqrt(input * input + 1))


@function()
def acosh(input):
    """Number of at least 0 whose hyperbolic cosine is `input`; NaN below 1.

    Shapes: input (*S) -> (*S)
    """


acosh.vjp(input=lambda g, input: g * rsqrt(input * input - 1))


@function()
def atanh(input):
    """Number whose hyperbolic tangent is `input`; NaN outside [-1, 1].

    Shapes: input (*S) -> (*S)
    """


atanh.vjp(input=lambda g, input: g / (1 - input * input))


@function(complex=None)
def erf(input):
    """Error function: 2/sqrt(pi) times the integral of exp(-t^2) from 0 to `input`.

    Shapes: input (*S) -> (*S)
    """


erf.vjp(input=lambda g, input: g * (exp(-(input * input)) * (2 / _sqrt(pi))))


@function(complex=None)
def erfc(input):
    """1 - erf(input), exact for large `input`.

    Shapes: input (*S) -> (*S)
    """


erfc.vjp(input=lambda g, input: g * (exp(-(input * input)) * (-2 / _sqrt(pi))))


@wide(complex=None)
def erfinv(input):
    """Number whose error function is `input`; infinite at -1 and 1, NaN outside.

    Shapes: input (*S) -> (*S)
    """


erfinv.vjp(input=lambda g, out: g * (exp(out * out) * (_sqrt(pi) / 2)))


@function()
def sigmoid(input):
    """1 / (1 + exp(-input)).

    Shapes: input (*S) -> (*S)
    """


sigmoid.vjp(input=lambda g, out: g * (out * (1 - out)))

for _op in (exp, exp2, expm1, sin, cos, atan, sinh, cosh, tanh, asinh, erf, erfc, sigmoid):
    _op.examples(singles())
for _op in (log, log2, log10, sqrt, rsqrt, reciprocal):
    _op.examples(singles(low=0.3, high=3.0))
log1p.examples(singles(low=-0.6, high=3.0))
for _op in (tan, asin, acos, atanh, erfinv):
    _op.examples(singles(low=-0.8, high=0.8))
acosh.examples(singles(low=1.3, high=3.0))
