"""Circular and hyperbolic functions, and their inverses, that are made of others.

Source: W. Kahan, "Branch cuts for complex elementary functions" (1987), for the inverses of complex numbers.
"""

from __future__ import annotations

from functools import partial
from math import log as _log
from typing import Any

from devtensor.core.op import HOLOMORPHIC, composite
from devtensor.core.rules import broadcast, floating
from devtensor.ops.compare import eq, where
from devtensor.ops.examples import singles
from devtensor.ops.extremes import minimum
from devtensor.ops.functions import cos, exp, expm1, log, log1p, rsqrt, sin, sqrt, tanh
from devtensor.ops.parts import abs, complex, conj, imag, real
from devtensor.ops.plane import atan2
from devtensor.ops.slopes import sigmoid_gradient

function = partial(composite, dtype=floating, shape=broadcast, inplace=True, complex=HOLOMORPHIC, rounding=4)
wide = partial(function, amp="float32")


def _limit(input: Any) -> float:
    """A number above which 1 is lost beside the square, which below it does not overflow."""
    return 200.0 if input.kind.dtype.bits == 16 else 1e8


def _with_sign(size: Any, input: Any) -> Any:
    """The odd function whose values for positive numbers are `size`."""
    return where(eq(input, 0), input, where(input < 0, -size, size))


@wide()
def tan(input):
    """Tangent.

    Shapes: input (*S) -> (*S)
    Units: input in radians.
    """
    if input.kind.dtype.is_complex:
        turned = tanh(complex(-imag(input), real(input)))
        return complex(imag(turned), -real(turned))
    return sin(input) / cos(input)


tan.vjp(input=lambda g, out: g * (out * out + 1))


@wide()
def asin(input):
    """Angle whose sine is `input`; NaN outside [-1, 1].

    Shapes: input (*S) -> (*S)
    Units: result in radians.
    """
    if input.kind.dtype.is_complex:
        below, above = sqrt(1 - input), sqrt(1 + input)
        return complex(atan2(real(input), real(below * above)), asinh(imag(conj(below) * above)))
    return atan2(input, sqrt((1 - input) * (1 + input)))


asin.vjp(input=lambda g, input: g * rsqrt(1 - input * input))


@wide()
def acos(input):
    """Angle whose cosine is `input`; NaN outside [-1, 1].

    Shapes: input (*S) -> (*S)
    Units: result in radians.
    """
    if input.kind.dtype.is_complex:
        below, above = sqrt(1 - input), sqrt(1 + input)
        return complex(atan2(real(below), real(above)) * 2, asinh(imag(conj(above) * below)))
    return atan2(sqrt((1 - input) * (1 + input)), input)


acos.vjp(input=lambda g, input: -g * rsqrt(1 - input * input))


@wide()
def sinh(input):
    """Hyperbolic sine.

    Shapes: input (*S) -> (*S)
    """
    if input.kind.dtype.is_complex:
        across, up = real(input), imag(input)
        return complex(sinh(across) * cos(up), cosh(across) * sin(up))
    size = abs(input)
    grown = expm1(minimum(size, 1))
    root = exp(size / 2)
    near, far = (grown + grown / (grown + 1)) / 2, root / 2 * root - 0.5 / root / root
    return _with_sign(where(size < 1, near, far), input)


sinh.vjp(input=lambda g, input: g * cosh(input))


@wide()
def cosh(input):
    """Hyperbolic cosine.

    Shapes: input (*S) -> (*S)
    """
    if input.kind.dtype.is_complex:
        across, up = real(input), imag(input)
        return complex(cosh(across) * cos(up), sinh(across) * sin(up))
    root = exp(abs(input) / 2)
    return root / 2 * root + 0.5 / root / root


cosh.vjp(input=lambda g, input: g * sinh(input))


@function()
def asinh(input):
    """Number whose hyperbolic sine is `input`.

    Shapes: input (*S) -> (*S)
    """
    if input.kind.dtype.is_complex:
        turned = asin(complex(-imag(input), real(input)))
        return complex(imag(turned), -real(turned))
    size = abs(input)
    near = minimum(size, _limit(input))
    squared = near * near
    found = log1p(near + squared / (sqrt(squared + 1) + 1))
    return _with_sign(where(size > _limit(input), log(size) + _log(2), found), input)


asinh.vjp(input=lambda g, input: g * rsqrt(input * input + 1))


@function()
def acosh(input):
    """Number of at least 0 whose hyperbolic cosine is `input`; NaN below 1.

    Shapes: input (*S) -> (*S)
    """
    if input.kind.dtype.is_complex:
        below, above = sqrt(input - 1), sqrt(input + 1)
        return complex(asinh(real(conj(below) * above)), atan2(imag(below), real(above)) * 2)
    beyond = minimum(input, _limit(input)) - 1
    return where(input > _limit(input), log(input) + _log(2), log1p(beyond + sqrt(beyond * (beyond + 2))))


acosh.vjp(input=lambda g, input: g * rsqrt(input * input - 1))


@function()
def atanh(input):
    """Number whose hyperbolic tangent is `input`; NaN outside [-1, 1].

    Shapes: input (*S) -> (*S)
    """
    if input.kind.dtype.is_complex:
        return (log1p(input) - log1p(-input)) / 2
    size = abs(input)
    return _with_sign(log1p(size * 2 / (1 - size)) / 2, input)


atanh.vjp(input=lambda g, input: g / (1 - input * input))


@function()
def sigmoid(input):
    """1 / (1 + exp(-input)).

    Shapes: input (*S) -> (*S)
    """
    if input.kind.dtype.is_complex:
        # By the exponential that shrinks: a complex one that overflows is NaN in its imaginary part.
        below = real(input) < 0
        shrunk = exp(where(below, input, -input))
        return where(below, shrunk, 1.0) / (shrunk + 1)
    return 1 / (exp(-input) + 1)


sigmoid.vjp(input=lambda g, out: sigmoid_gradient(g, out))

for _op in (sinh, cosh, asinh, sigmoid):
    _op.examples(singles())
for _op in (tan, asin, acos, atanh):
    _op.examples(singles(low=-0.8, high=0.8))
acosh.examples(singles(low=1.3, high=3.0))
