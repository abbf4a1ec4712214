"""The gamma function's family: its logarithm, the derivatives of that, and its incomplete integrals."""

from __future__ import annotations

from functools import partial
from math import factorial, log, pi
from typing import Any

from devtensor.core.errors import ArgumentError
from devtensor.core.op import Plain, composite, primitive
from devtensor.core.placement import IN_ROWS
from devtensor.core.rules import broadcast, floating
from devtensor.ops.examples import case, fails, pairs, singles
from devtensor.ops.formulas import by_formula
from devtensor.ops.functions import exp
from devtensor.ops.functions import log as logarithm

series = partial(composite, dtype=floating, shape=broadcast, inplace=True)


@series(rounding=128)
def lgamma(input):
    """Logarithm of the size of the gamma function.

    Shapes: input (*S) -> (*S)
    """
    return by_formula("lgamma", input)


@series(rounding=16)
def digamma(input):
    """Derivative of the logarithm of the gamma function.

    Shapes: input (*S) -> (*S)
    """
    return by_formula("digamma", input)


@primitive(dtype=floating, shape=broadcast)
def zeta(input, other):
    """Hurwitz' zeta function: the sum of (other + k)^-input over all k >= 0.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    Source: the derivative for `input` is not implemented, as in PyTorch.
    """


zeta.vjp(other=lambda g, input, other: g * (-input * zeta(input + 1, other)))


@composite(dtype=floating, shape=broadcast, inplace=True)
def polygamma(input, n: Plain):
    """The n-th derivative of `digamma`.

    Shapes: input (*S) -> (*S)
    Errors: ArgumentError unless n is a whole number from 0 up.
    Source: DLMF 5.15.1: by Hurwitz' zeta function.
    """
    if not isinstance(n, int) or n < 0:
        raise ArgumentError(f"[polygamma] polygamma(n, x) does not support negative n; got n={n!r}")
    if n == 0:
        return digamma(input)
    return zeta(float(n + 1), input) * ((-1) ** (n + 1) * factorial(n))


lgamma.vjp(input=lambda g, input: g * digamma(input))
digamma.vjp(input=lambda g, input: g * polygamma(input, 1))
polygamma.vjp(input=lambda g, input, n: g * polygamma(input, n + 1))
# Off digamma's zero at 1.46, about which no more than absolute precision can be had.
for _op in (lgamma, digamma):
    _op.examples(singles(low=2.1, high=5.0))


@zeta.examples
def _(make):
    yield case(make(3, 4, low=2.0, high=6.0), make(3, 4, low=0.3, high=9.0))
    yield case(3.0, make(3, 4, low=0.3, high=9.0, layout="transposed"))
    yield case(make(4, low=2.0, high=6.0), make(3, 1, low=0.3, high=9.0))
    yield case(make(low=2.0, high=6.0), make(low=0.3, high=9.0))
    yield case(make(2, 0), make(1, 0))


@polygamma.examples
def _(make):
    for n in (0, 1, 2):
        yield case(make(3, 4, low=0.5, high=4.0), n=n)
    yield case(make(low=0.5, high=4.0), n=1)
    yield case(make(3, 4, low=0.5, high=4.0, layout="transposed"), n=1)
    yield case(make(2, 0), n=1)
    yield fails(make(3), n=-1, error="negative n")


@composite(dtype=floating, shape=broadcast, inplace=True, rounding=160, placement=IN_ROWS)
def mvlgamma(input, p: Plain):
    """Logarithm of the multivariate gamma function of dimension `p`.

    Shapes: input (*S) -> (*S)
    Errors: ArgumentError unless p is positive.
    """
    if p < 1:
        raise ArgumentError(f"[mvlgamma] p has to be greater than or equal to 1, got {p}")
    total: Any = p * (p - 1) / 4 * log(pi)
    for j in range(p):
        total = lgamma(input - j / 2) + total
    return total


@mvlgamma.examples
def _(make):
    for p in (1, 3):
        yield case(make(3, 4, low=2.0, high=5.0), p=p)
    yield case(
        make(
            low=2.0,
            high=5.0,
        ),
        p=2,
    )
    yield case(make(3, 4, low=2.0, high=5.0, layout="transposed"), p=2)
    yield case(make(2, 0), p=2)
    yield fails(make(3), p=0, error="greater than or equal to 1")


def _density(g: Any, input: Any, other: Any) -> Any:
    """What the integral gains as its limit moves: the gamma distribution's density."""
    return g * exp((input - 1) * logarithm(other) - other - lgamma(input))


@primitive(dtype=floating, shape=broadcast, inplace=True, rounding=200)
def igamma(input, other):
    """Regularised lower incomplete gamma function: the integral up to `other`, with exponent `input`.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    Source: the derivative for `input` is not implemented, as in PyTorch.
    """


@primitive(dtype=floating, shape=broadcast, inplace=True, rounding=200)
def igammac(input, other):
    """Regularised upper incomplete gamma function: 1 - igamma.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    Source: the derivative for `input` is not implemented, as in PyTorch.
    """


igamma.vjp(other=_density)
igammac.vjp(other=lambda g, input, other: -_density(g, input, other))
for _op in (igamma, igammac):
    _op.examples(pairs(low=0.3, high=6.0))
