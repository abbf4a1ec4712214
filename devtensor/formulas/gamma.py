"""The gamma function's logarithm and its derivative, from series."""

from __future__ import annotations

import math
from typing import Any

from devtensor.formulas.polynomials import Array, polynomial

# Stirling's series, Abramowitz & Stegun 6.1.40 and 6.3.18, in 1/x^2, highest power first.
LGAMMA_SERIES = (1 / 156, -691 / 360360, 1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12)
DIGAMMA_SERIES = (1 / 12, -691 / 32760, 1 / 132, -1 / 240, 1 / 252, -1 / 120, 1 / 12)
EULER = 0.57721566490153286


def zeta_beyond_one(k: int) -> float:
    """zeta(k) - 1: summed up to 59, the rest by Euler and Maclaurin's formula."""
    rest = 60.0 ** (1 - k) / (k - 1) + 60.0**-k / 2 + k * 60.0 ** (-k - 1) / 12
    return math.fsum(
        [float(n) ** -k for n in range(2, 60)] + [rest - k * (k + 1) * (k + 2) * 60.0 ** (-k - 3) / 720]
    )


# NIST Digital Library of Mathematical Functions 5.7.3: factors of the powers of x - 1 from the highest to 2.
LGAMMA_NEAR = [(-1) ** k * zeta_beyond_one(k) / k for k in range(30, 1, -1)]
SHIFT = 10
"""Arguments below this are moved up by the recurrence until Stirling's series is exact to rounding."""


def lgamma(xp: Any, x: Array) -> Array:
    """log |gamma|, infinite at the poles."""
    positive = xp.where(x < 0.5, 1 - x, x)
    rest, product = lgamma_parts(xp, positive)
    sine = xp.absolute(xp.sin(math.pi * (x - xp.rint(x))))
    # One logarithm of the quotient: near 1 the difference of two would lose its digits.
    result = xp.where(x < 0.5, xp.log(math.pi / (sine * product)) - rest, xp.log(product) + rest)
    return xp.where(xp.isinf(x), math.inf, result)


def lgamma_parts(xp: Any, x: Array) -> tuple[Array, Array]:
    """log gamma for x >= 0.5 as a number and a factor whose logarithm is still to be added.

    Up to SHIFT arguments are brought to [0.5, 2.5], where the zeros at 1 and 2 have a series of their own;
    above it Stirling's series is exact to rounding.
    """
    low = x < SHIFT
    y, product = xp.where(low, x, 1.0), xp.where(low, 1.0, 1.0)
    for _ in range(SHIFT):
        down = y >= 2.5
        y = xp.where(down, y - 1, y)
        product = xp.where(down, product * y, product)
    whole = xp.where(y < 1.5, 1.0, 2.0)
    near = lgamma_near_two(y - whole) - xp.where(whole == 1, xp.log1p(y - whole), 0.0)
    large = xp.where(low, float(SHIFT), x)
    stirling = (large - 0.5) * xp.log(large) - large + 0.5 * math.log(2 * math.pi)
    return xp.where(low, near, stirling + polynomial(LGAMMA_SERIES, 1 / (large * large)) / large), product


def lgamma_near_two(z: Array) -> Array:
    """log gamma of 2 + z, for |z| <= 1/2."""
    return z * (polynomial(LGAMMA_NEAR, z) * z + (1 - EULER))


def digamma(xp: Any, x: Array) -> Array:
    """Derivative of log gamma; -inf or inf at 0 by its sign, NaN at the other poles, as PyTorch has it."""
    positive = xp.where(x < 0.5, 1 - x, x)
    result = digamma_positive(xp, positive)
    fraction = x - xp.rint(x)
    reflected = result - math.pi / xp.tan(math.pi * fraction)
    result = xp.where(x < 0.5, reflected, result)
    result = xp.where((fraction == 0) & (x < 0), math.nan, result)
    return xp.where(x == 0, xp.copysign(math.inf, -x), result)


def digamma_positive(xp: Any, x: Array) -> Array:
    """digamma for x >= 0.5, by its asymptotic series above SHIFT."""
    low = x < SHIFT
    shifted = xp.where(low, x, math.inf)
    total = 1 / shifted
    for k in range(1, SHIFT):
        total = total + 1 / (shifted + k)
    y = xp.where(low, x + SHIFT, x)
    square = 1 / (y * y)
    return xp.log(y) - 0.5 / y - square * polynomial(DIGAMMA_SERIES, square) - total
