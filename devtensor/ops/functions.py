"""Functions of one number: exponentials, logarithms, roots, sine and cosine."""

from __future__ import annotations

from functools import partial
from math import log as _log

from devtensor.core.op import HOLOMORPHIC, composite, primitive
from devtensor.core.rules import broadcast, floating
from devtensor.ops.create import full_of
from devtensor.ops.examples import singles
from devtensor.ops.slopes import tanh_gradient

# PyTorch's CUDA list keeps those that leave float16's range, or lose its digits, in float32.
function = partial(primitive, dtype=floating, shape=broadcast, inplace=True, complex=HOLOMORPHIC)
wide = partial(function, amp="float32")
combination = partial(
    composite, dtype=floating, shape=broadcast, inplace=True, complex=HOLOMORPHIC, rounding=4
)
wide_combination = partial(combination, amp="float32")


@wide()
def exp(input):
    """e to the power `input`.

    Shapes: input (*S) -> (*S)
    """


exp.vjp(input=lambda g, out: g * out)


@combination()
def exp2(input):
    """2 to the power `input`.

    Shapes: input (*S) -> (*S)
    """
    return 2.0**input


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


@wide_combination()
def log2(input):
    """Logarithm to base 2.

    Shapes: input (*S) -> (*S)
    """
    return log(input) * (1 / _log(2))


log2.vjp(input=lambda g, input: g / (input * _log(2)))


@wide_combination()
def log10(input):
    """Logarithm to base 10.

    Shapes: input (*S) -> (*S)
    """
    return log(input) * (1 / _log(10))


log10.vjp(input=lambda g, input: g / (input * _log(10)))


@function()
def sqrt(input):
    """Square root; NaN below 0.

    Shapes: input (*S) -> (*S)
    """


sqrt.vjp(input=lambda g, out: g / (out * 2))


@wide_combination()
def rsqrt(input):
    """1 / sqrt(input).

    Shapes: input (*S) -> (*S)
    """
    return reciprocal(sqrt(input))


rsqrt.vjp(input=lambda g, out: g * (out * out * out * -0.5))


@wide_combination()
def reciprocal(input):
    """1 / input.

    Shapes: input (*S) -> (*S)
    """
    return full_of((), 1, input.kind) / input


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


@function()
def atan(input):
    """Angle whose tangent is `input`.

    Shapes: input (*S) -> (*S)
    Units: result in radians.
    """


atan.vjp(input=lambda g, input: g / (input * input + 1))


@function()
def tanh(input):
    """Hyperbolic tangent.

    Shapes: input (*S) -> (*S)
    """


tanh.vjp(input=lambda g, out: tanh_gradient(g, out))


for _op in (exp, exp2, expm1, sin, cos, atan, tanh):
    _op.examples(singles())
for _op in (log, log2, log10, sqrt, rsqrt, reciprocal):
    _op.examples(singles(low=0.3, high=3.0))
log1p.examples(singles(low=-0.6, high=3.0))
