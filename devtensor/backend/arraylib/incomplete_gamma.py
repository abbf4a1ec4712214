"""The regularised incomplete gamma functions, by a power series and a continued fraction."""

from __future__ import annotations

import math
from typing import Any

from devtensor.backend.protocol import Array
from devtensor.formulas.gamma import lgamma, lgamma_near_two

LARGE = 1e30
"""Exponents above which the functions are a step: their width is lost to rounding."""
ROUNDS = 500
"""Terms after which the series have converged for arguments up to some 10^4."""


def igamma(xp: Any, a: Array, x: Array) -> Array:
    """The regularised lower incomplete gamma function."""
    lower, upper, series = incomplete(xp, a, x)
    lower = xp.where(series, lower, 1 - upper)
    return edges(xp, a, x, xp.where(a > LARGE, step(xp, a, x, 0.0, 1.0), lower), 0.0, 1.0)


def igammac(xp: Any, a: Array, x: Array) -> Array:
    """The regularised upper incomplete gamma function."""
    lower, upper, series = incomplete(xp, a, x)
    upper = xp.where((a < 1) & (x < 0.3), near_one(xp, a, x), xp.where(series, 1 - lower, upper))
    return edges(xp, a, x, xp.where(a > LARGE, step(xp, a, x, 1.0, 0.0), upper), 1.0, 0.0)


def step(xp: Any, a: Array, x: Array, below: float, above: float) -> Array:
    """What the functions are for huge exponents."""
    return xp.where(x < a, below, xp.where(x > a, above, 0.5))


def near_one(xp: Any, a: Array, x: Array) -> Array:
    """The upper function for a < 1 and small x, in its own digits rather than those of 1.

    Source: DLMF 8.7.1, its leading 1 taken off by hand.
    """
    a, x = xp.where((a > 0) & (a < 1), a, 0.5), xp.where((x > 0) & (x < 0.3), x, 0.1)
    total = x * 0
    for n in range(1, 25):
        total = total + (-x) ** n / (math.factorial(n) * (a + n))
    total = a * total
    above = xp.where(a < 0.5, lgamma_near_two(a) - xp.log1p(a), lgamma(xp, a + 1))
    growth = xp.expm1(a * xp.log(x) - above)
    return -(growth * (1 + total) + total)


def edges(xp: Any, a: Array, x: Array, value: Array, at_zero: float, at_infinity: float) -> Array:
    """The limits where the series do not hold; NaN outside the domain."""
    value = xp.where(x == 0, at_zero, value)
    value = xp.where(xp.isinf(x), at_infinity, value)
    value = xp.where(xp.isinf(a), xp.where(xp.isinf(x), math.nan, at_zero), value)
    value = xp.where(a == 0, xp.where(x > 0, at_infinity, math.nan), value)
    return xp.where((a < 0) | (x < 0) | xp.isnan(a) | xp.isnan(x), math.nan, value)


def incomplete(xp: Any, a: Array, x: Array) -> tuple[Array, Array, Array]:
    """Lower part by its power series, upper by its continued fraction, and where to take the series.

    Source: DLMF 8.7.1; 8.9.2 by the modified method of Lentz (Thompson and Barnett 1986).
    """
    fine = (a > 0) & (x > 0) & ~xp.isinf(a) & ~xp.isinf(x)
    a, x = xp.where(fine, a, 1.0), xp.where(fine, x, 1.0)
    series = x < xp.where(a < 1, 0.3, a + 1)
    scale = xp.exp(a * xp.log(x) - x - lgamma(xp, a))
    term = 1 / a
    total = term
    small = xp.where(series, x, a)
    for k in range(1, ROUNDS):
        term = term * small / (a + k)
        total = total + term
    large = xp.where(series, a + 2, x)
    b = large + 1 - a
    c, d = b * 0 + 1e300, 1 / b
    fraction = d
    for k in range(1, ROUNDS):
        numerator = k * (a - k)
        b = b + 2
        d = 1 / nonzero(xp, numerator * d + b)
        c = nonzero(xp, b + numerator / c)
        fraction = fraction * (d * c)
    return scale * total, scale * fraction, series


def nonzero(xp: Any, x: Array) -> Array:
    """Lentz' guard against division by zero."""
    return xp.where(xp.absolute(x) < 1e-300, 1e-300, x)
