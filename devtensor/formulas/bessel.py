"""Bessel functions of both kinds, the modified ones of the second kind, and Airy's function.

Near the origin they are averages over a circle or sums along a line, which the trapezoidal rule takes to
rounding; far from it their asymptotic series.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from devtensor.formulas.gamma import EULER
from devtensor.formulas.polynomials import Array

FAR = 25.0
"""Above it Hankel's series are exact to rounding; below it NODES are enough."""
NODES = 34
"""Points of a quarter of the circle: they miss Bessel functions of orders above 70, which vanish there."""
ORDERS = 32
"""Terms of Neumann's series for the second kind: J of twice these orders vanishes up to FAR."""
STEP = 0.2
"""Of the trapezoidal rule for the modified functions: exp(-pi^2 / STEP) is below rounding."""
# Airy's function and its derivative at -9, -8, ..., 3 (Abramowitz & Stegun, table 10.11, to all digits).
AIRY = (
    (-0.022133721547341403, -0.9756639809263316),
    (-0.0527050503563862, 0.9355609381983065),
    (0.18428083525050565, -0.7710081684101265),
    (-0.3291451736298231, 0.3459354872813429),
    (0.35076100902411433, 0.32719281855444315),
    (-0.07026553294928951, -0.7906285753685813),
    (-0.37881429367765806, 0.3145837692165988),
    (0.22740742820168558, 0.618259020741691),
    (0.5355608832923521, -0.01016056711664521),
    (0.3550280538878172, -0.2588194037928068),
    (0.13529241631288141, -0.1591474412967932),
    (0.03492413042327438, -0.05309038443365363),
    (0.006591139357460719, -0.011912976705951319),
)
AIRY_FIRST = -9


def circle() -> list[tuple[float, float]]:
    """For each node its sine, and Neumann's series there: the sum of (-1)^k cos(2 k angle) / k."""
    made = []
    for node in range(NODES):
        angle = (node + 0.5) * math.pi / (2 * NODES)
        series = [(-1) ** k * math.cos(2 * k * angle) / k for k in range(1, ORDERS + 1)]
        made.append((math.sin(angle), math.fsum(series)))
    return made


CIRCLE = circle()


def averages(xp: Any, x: Array, order: int) -> tuple[Array, Array]:
    """The means of cos(x sin t), order 0, or sin t sin(x sin t), order 1: plain, and times Neumann's series.

    Source: DLMF 10.9.1, 10.9.2.
    """
    plain = weighted = x * 0
    for sine, series in CIRCLE:
        value = xp.sin(x * sine) * sine if order else xp.cos(x * sine)
        plain, weighted = plain + value, weighted + value * series
    return plain / NODES, weighted / NODES


def hankel(xp: Any, x: Array, order: int) -> tuple[Array, Array]:
    """The first and second kind for large x.

    Source: DLMF 10.17.3, 10.17.4.
    """
    sums = [x * 0 + 1, x * 0]
    term: Any = 1.0
    for k in range(1, 30):
        term = term * (4 * order**2 - (2 * k - 1) ** 2) / (8 * k * x)
        sums[k % 2] = sums[k % 2] + (term if k % 4 < 2 else -term)
    sine, cosine = xp.sin(x), xp.cos(x)
    ahead, behind = cosine + sine, sine - cosine
    real, imaginary = (behind, -ahead) if order else (ahead, behind)
    scale = 1 / xp.sqrt(math.pi * x)
    first = sums[0] * real - sums[1] * imaginary
    return scale * first, scale * (sums[0] * imaginary + sums[1] * real)


def first_kind(order: int) -> Callable[[Any, Array], Array]:
    """J of order 0 or 1."""

    def function(xp: Any, x: Array) -> Array:
        size = xp.absolute(x)
        near, _ = averages(xp, xp.minimum(size, FAR), order)
        far, _ = hankel(xp, xp.maximum(size, FAR), order)
        value = xp.where(size <= FAR, near, far)
        return xp.copysign(1.0, x) * value if order else value

    return function


def second_kind(order: int) -> Callable[[Any, Array], Array]:
    """Y of order 0 or 1; -inf at 0, NaN below.

    Source: Abramowitz & Stegun 9.1.89, and its derivative.
    """

    def function(xp: Any, x: Array) -> Array:
        small = xp.where((x > 0) & (x <= FAR), x, 1.0)
        near, series = averages(xp, small, order)
        near = (2 / math.pi) * ((xp.log(small / 2) + EULER) * near - 2 * series)
        if order:
            near = near - (2 / math.pi) / small * averages(xp, small, 0)[0]
        _, far = hankel(xp, xp.maximum(x, FAR), order)
        value = xp.where(x <= FAR, near, far)
        return xp.where(x == 0, -math.inf, xp.where(x < 0, math.nan, value))

    return function


def decaying(xp: Any, x: Array, order: float) -> Array:
    """exp(x) times the modified function of the second kind, for x >= 1.

    Source: DLMF 10.32.9, its variable divided by sqrt(x).
    """
    root = xp.sqrt(x)
    total = x * 0 + 0.5
    for k in range(1, 48):
        t = k * STEP / root
        half = xp.sinh(t / 2) * root
        total = total + xp.exp(-2 * half * half) * xp.cosh(order * t)
    return total * STEP / root


def rising(xp: Any, x: Array, order: int) -> Array:
    """The modified function of the second kind, of order 0 or 1, for x <= 1.

    Source: DLMF 10.31.1, 10.31.2.
    """
    logarithm = xp.log(x / 2) + EULER
    term = (x / 2) ** order
    total = 1 / x if order else x * 0
    sign, harmonic = (1, 0.5) if order else (-1, 0.0)
    for k in range(15):
        total = total + sign * term * (logarithm - harmonic)
        term = term * (x * x / 4) / ((k + 1) * (k + 1 + order))
        harmonic = harmonic + (1 / (k + 1) + 1 / (k + 1 + order)) / 2
    return total


def scaled_second_kind(order: int) -> Callable[[Any, Array], Array]:
    """exp(x) times the modified function of the second kind; inf at 0, NaN below."""

    def function(xp: Any, x: Array) -> Array:
        low, high = xp.where((x > 0) & (x <= 1), x, 1.0), xp.where((x > 1) & (x < math.inf), x, 1.0)
        value = xp.where(x <= 1, xp.exp(low) * rising(xp, low, order), decaying(xp, high, order))
        value = xp.where(x == math.inf, 0.0, value)
        return xp.where(x == 0, math.inf, xp.where((x < 0) | xp.isnan(x), math.nan, value))

    return function


def airy_ai(xp: Any, x: Array) -> Array:
    """Airy's function Ai; NaN at the infinities, and where its phase has no digits."""
    middle = airy_near(xp, xp.minimum(xp.maximum(xp.where(xp.isnan(x), 0.0, x), -9.0), 3.0))
    value = xp.where(x > 2, airy_right(xp, xp.maximum(x, 2.0)), middle)
    value = xp.where(x < -8.5, airy_left(xp, xp.maximum(-x, 8.5)), value)
    return xp.where(xp.isnan(x) | (x == math.inf) | (x < -1e10), math.nan, value)


def airy_near(xp: Any, x: Array) -> Array:
    """Taylor's series of the solution of y'' = x y about the nearest whole number."""
    centre = xp.rint(x)
    before = last = current = x * 0
    for whole, (value, slope) in enumerate(AIRY, AIRY_FIRST):
        last, current = xp.where(centre == whole, value, last), xp.where(centre == whole, slope, current)
    step = x - centre
    power, total = step, last + current * step
    for k in range(20):
        before, last, current = last, current, (centre * last + before) / ((k + 1) * (k + 2))
        power = power * step
        total = total + current * power
    return total


def airy_right(xp: Any, x: Array) -> Array:
    """Source: DLMF 9.6.2, for x >= 2."""
    zeta = x * xp.sqrt(x) * (2 / 3)
    steep = xp.minimum(zeta, 1e4)
    return xp.sqrt(x / 3) / math.pi * decaying(xp, steep, 1 / 3) * xp.exp(-steep)


def airy_left(xp: Any, size: Array) -> Array:
    """Source: DLMF 9.7.9, for arguments below -8."""
    zeta = size * xp.sqrt(size) * (2 / 3)
    sums = [size * 0 + 1, size * 0]
    term: Any = 1.0
    for k in range(1, 28):
        term = term * ((6 * k - 5) * (6 * k - 3) * (6 * k - 1)) / (216 * k * (2 * k - 1) * zeta)
        sums[k % 2] = sums[k % 2] + (term if k % 4 < 2 else -term)
    sine, cosine = xp.sin(zeta), xp.cos(zeta)
    wave = (cosine + sine) * sums[0] + (sine - cosine) * sums[1]
    return wave / xp.sqrt(2 * math.pi * xp.sqrt(size))
