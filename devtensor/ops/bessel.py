"""Bessel functions beside those that have derivatives, and Airy's: PyTorch differentiates none of them."""

from __future__ import annotations

from functools import partial

from devtensor.core.op import composite
from devtensor.core.rules import broadcast, floating
from devtensor.ops.compare import eq, isinf, where
from devtensor.ops.examples import singles
from devtensor.ops.formulas import by_formula
from devtensor.ops.functions import exp, sin

function = partial(composite, dtype=floating, shape=broadcast, rounding=128)


@function()
def bessel_j0(input):
    """The Bessel function of the first kind, of order 0.

    Shapes: input (*S) -> (*S)
    """
    return by_formula("bessel_j0", input)


@function()
def bessel_j1(input):
    """The Bessel function of the first kind, of order 1.

    Shapes: input (*S) -> (*S)
    """
    return by_formula("bessel_j1", input)


@function()
def bessel_y0(input):
    """The Bessel function of the second kind, of order 0: -inf at 0, NaN below.

    Shapes: input (*S) -> (*S)
    """
    return by_formula("bessel_y0", input)


@function()
def bessel_y1(input):
    """The Bessel function of the second kind, of order 1: -inf at 0, NaN below.

    Shapes: input (*S) -> (*S)
    """
    return by_formula("bessel_y1", input)


@function()
def scaled_modified_bessel_k0(input):
    """exp(input) times the modified Bessel function of the second kind, of order 0: inf at 0, NaN below.

    Shapes: input (*S) -> (*S)
    """
    return by_formula("scaled_modified_bessel_k0", input)


@function()
def scaled_modified_bessel_k1(input):
    """exp(input) times the modified Bessel function of the second kind, of order 1: inf at 0, NaN below.

    Shapes: input (*S) -> (*S)
    """
    return by_formula("scaled_modified_bessel_k1", input)


@function()
def modified_bessel_k0(input):
    """The modified Bessel function of the second kind, of order 0: inf at 0, NaN below.

    Shapes: input (*S) -> (*S)
    """
    return scaled_modified_bessel_k0(input) * exp(-input)


@function()
def modified_bessel_k1(input):
    """The modified Bessel function of the second kind, of order 1: inf at 0, NaN below.

    Shapes: input (*S) -> (*S)
    """
    return scaled_modified_bessel_k1(input) * exp(-input)


@function()
def spherical_bessel_j0(input):
    """The spherical Bessel function of the first kind, of order 0: sin(input) / input, 1 at 0.

    Shapes: input (*S) -> (*S)
    """
    at_zero = eq(input, 0)
    quotient = where(at_zero, 1.0, sin(input) / where(at_zero, 1.0, input))
    return where(isinf(input), 0.0, quotient)


@function()
def airy_ai(input):
    """Airy's function Ai, which solves y'' = input y and vanishes to the right.

    NaN at the infinities, and below -10^10, where float64 knows nothing of its phase.

    Shapes: input (*S) -> (*S)
    """
    return by_formula("airy_ai", input)


MODIFIED = modified_bessel_k0, modified_bessel_k1, scaled_modified_bessel_k0, scaled_modified_bessel_k1
for _op in (bessel_j0, bessel_j1, airy_ai, spherical_bessel_j0, bessel_y0, bessel_y1, *MODIFIED):
    _op.vjp(None)
for _op in (bessel_j0, bessel_j1, airy_ai, spherical_bessel_j0):
    _op.examples(singles(apart=0.1))
for _op in MODIFIED:
    _op.examples(singles(low=0.2, high=6.0))
# Between the zeros, about which no more than absolute precision can be had.
bessel_y0.examples(singles(low=1.3, high=3.6))
bessel_y1.examples(singles(low=0.2, high=2.0))
