"""Special functions by their series: zeta, the modified Bessel functions, the incomplete gamma functions.

All is computed in float64 and rounded once to the inputs' dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from devtensor.backend.arraylib.gamma import lgamma, lgamma_near_two
from devtensor.backend.arraylib.library import Library
from devtensor.backend.arraylib.special import in_float64
from devtensor.backend.protocol import Array, Kernel

# B(2j) / (2j)!, the factors of Euler and Maclaurin's correction terms.
BERNOULLI = [
    n / d / math.factorial(2 * j)
    for j, (n, d) in enumerate(
        [(1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510), (43867, 798)], 1
    )
]
STEPS = 12
"""Terms of zeta summed one by one before the rest is an integral with corrections."""
FAR = 30.0
"""Above it the asymptotic series of the Bessel functions are exact to rounding."""
LARGE = 1e30
"""Exponents above which the incomplete gamma functions are a step: their width is lost to rounding."""
ROUNDS = 500
"""Terms after which the incomplete gamma functions' series have converged for arguments up to some 10^4."""


def kernels(lib: Library) -> dict[str, Kernel]:
    """The functions by their series."""
    return {name: in_float64(lib, function) for name, function in FUNCTIONS.items()}


def zeta(xp: Any, x: Array, q: Array) -> Array:
    """Hurwitz' zeta: the sum of (q + k)^-x over all k >= 0; for negative q only whole x have one."""
    power, start = xp.where((x > 1) & xp.isfinite(x), x, 2.0), xp.where(xp.isfinite(q), q, 1.0)
    whole = (power == xp.floor(power)) & (start < 0)
    steps = xp.where(whole, xp.minimum(xp.ceil(-start), ROUNDS), 0.0)
    total = zeta_positive(xp, power, xp.where(start + steps > 0, start + steps, 1.0))
    for k in range(int(steps.max()) if steps.size else 0):
        term = xp.where(k < steps, start + k, 1.0) ** -power
        total = total + xp.where(k < steps, term, 0.0)
    total = xp.where((q < 0) & (power != xp.floor(power)), math.nan, total)
    total = xp.where(q == math.inf, 0.0, total)
    total = xp.where(x == math.inf, xp.where(q > 1, 0.0, xp.where(q == 1, 1.0, math.inf)), total)
    total = xp.where(xp.isnan(x) | xp.isnan(q), math.nan, total)
    total = xp.where((q <= 0) & (q == xp.floor(q)), math.inf, total)
    return xp.where(x == 1, math.inf, xp.where(x < 1, math.nan, total))


def zeta_positive(xp: Any, x: Array, q: Array) -> Array:
    """Hurwitz' zeta for x > 1 and q > 0, by Euler and Maclaurin.

    Source: NIST Digital Library of Mathematical Functions, 25.11.1 and 2.10.1.
    """
    total = q**-x
    for k in range(1, STEPS):
        total = total + (q + k) ** -x
    far = q + STEPS
    last = far**-x
    total = total + last * far / (x - 1) + last / 2
    # What remains of a steep sum is 0, whatever the factor.
    steepness = xp.minimum(x, 1000.0)
    factor = steepness
    for j, bernoulli in enumerate(BERNOULLI, 1):
        total = total + bernoulli * factor * (last / far)
        factor = factor * (steepness + 2 * j - 1) * (steepness + 2 * j)
        last = last / (far * far)
    return total


def scaled_bessel(order: int) -> Callable[[Any, Array], Array]:
    """exp(-|x|) times the modified Bessel function of the first kind, of order 0 or 1.

    Source: DLMF 10.25.2 (power series, all terms positive) and 10.40.1 (asymptotic series).
    """

    def function(xp: Any, x: Array) -> Array:
        size = xp.absolute(x)
        near = xp.minimum(size, FAR)
        quarter = near * near / 4
        term = (near / 2) ** order * xp.exp(-near)
        total = term
        for k in range(1, 100):
            term = term * quarter / (k * (k + order))
            total = total + term
        far = xp.maximum(size, FAR)
        factor, tail = 1 / xp.sqrt(2 * math.pi * far), 0.0
        for k in range(30):
            tail = tail + factor
            factor = factor * ((2 * k + 1) ** 2 - 4 * order**2) / (8 * (k + 1) * far)
        value = xp.where(size <= FAR, total, tail)
        value = xp.where(xp.isinf(x), 0.0, value)
        return xp.copysign(value, x) if order else value

    return function


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


FUNCTIONS: dict[str, Callable[..., Array]] = {
    "zeta": zeta,
    "i0e": scaled_bessel(0),
    "i1e": scaled_bessel(1),
    "igamma": igamma,
    "igammac": igammac,
}
