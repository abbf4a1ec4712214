"""The error function, its kin and inverses, from published approximations."""

from __future__ import annotations

import math
from typing import Any

from devtensor.formulas.polynomials import Array, polynomial, ratio

# W. J. Cody, "Rational Chebyshev approximations for the error function", Math. Comp. 23 (1969):
# numerator and denominator, highest power first.
ERF_SMALL = (
    (
        1.85777706184603153e-1,
        3.16112374387056560e0,
        1.13864154151050156e2,
        3.77485237685302021e2,
        3.20937758913846947e3,
    ),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
ERFC_MIDDLE = (
    (
        2.15311535474403846e-8,
        5.64188496988670089e-1,
        8.88314979438837594e0,
        6.61191906371416295e1,
        2.98635138197400131e2,
        8.81952221241769090e2,
        1.71204761263407058e3,
        2.05107837782607147e3,
        1.23033935479799725e3,
    ),
    (
        1.0,
        1.57449261107098347e1,
        1.17693950891312499e2,
        5.37181101862009858e2,
        1.62138957456669019e3,
        3.29079923573345963e3,
        4.36261909014324716e3,
        3.43936767414372164e3,
        1.23033935480374942e3,
    ),
)
ERFC_TAIL = (
    (
        1.63153871373020978e-2,
        3.05326634961232344e-1,
        3.60344899949804439e-1,
        1.25781726111229246e-1,
        1.60837851487422766e-2,
        6.58749161529837803e-4,
    ),
    (
        1.0,
        2.56852019228982242e0,
        1.87295284992346047e0,
        5.27905102951428412e-1,
        6.05183413124413191e-2,
        2.33520497626869185e-3,
    ),
)
# Least-squares fits on Chebyshev nodes: erf(x) / x - 1 in x^2 up to 0.9, log(erfc(x)) in x up to 4.
# Evaluated in float32, erf is within 1.3 units in the last place.
ERF_SINGLE_SMALL = (
    8.534120570402592e-05,
    -0.0008180781151168048,
    0.00520433159545064,
    -0.026860708370804787,
    0.11283718794584274,
    -0.37612634897232056,
    0.12837916612625122,
)
ERF_SINGLE_LARGE = (
    1.1083166100434028e-06,
    -1.7877826394396834e-05,
    0.00010388979717390612,
    -6.29143905825913e-05,
    -0.0029285436030477285,
    0.023097220808267593,
    -0.10613427311182022,
    -0.6347796320915222,
    -1.1289682388305664,
    8.379374776268378e-05,
)
# M. Giles, "Approximating the erfinv function", GPU Computing Gems 2 (2010): in w - 2.5 and in sqrt(w) - 3.
ERFINV_CENTRE = (
    2.81022636e-08,
    3.43273939e-07,
    -3.5233877e-06,
    -4.39150654e-06,
    0.00021858087,
    -0.00125372503,
    -0.00417768164,
    0.246640727,
    1.50140941,
)
ERFINV_TAIL = (
    -0.000200214257,
    0.000100950558,
    0.00134934322,
    -0.00367342844,
    0.00573950773,
    -0.0076224613,
    0.00943887047,
    1.00167406,
    2.83297682,
)


def erf(xp: Any, x: Array) -> Array:
    """The error function."""
    magnitude = xp.absolute(x)
    large = xp.copysign(1 - erfc_positive(xp, magnitude), x)
    return xp.where(magnitude <= 0.46875, erf_small(xp, x), large)


def erf_single(xp: Any, x: Array) -> Array:
    """erf in float32."""
    magnitude = xp.minimum(xp.absolute(x), 4)
    limited = xp.minimum(magnitude, 0.9)
    small = limited + limited * polynomial(ERF_SINGLE_SMALL, limited * limited)
    large = 1 - xp.exp(polynomial(ERF_SINGLE_LARGE, magnitude))
    return xp.asarray(xp.copysign(xp.where(magnitude <= 0.9, small, large), x))


def erfc(xp: Any, x: Array) -> Array:
    """1 - erf(x), exact for large x."""
    magnitude = xp.absolute(x)
    upper = erfc_positive(xp, magnitude)
    large = xp.where(x < 0, 2 - upper, upper)
    return xp.where(magnitude <= 0.46875, 1 - erf_small(xp, x), large)


def erfcx(xp: Any, x: Array) -> Array:
    """exp(x^2) * erfc(x): what erfc is made of before it is scaled down."""
    magnitude = xp.absolute(x)
    upper = erfcx_positive(xp, magnitude)
    grown = xp.exp(xp.minimum(x * x, 720.0))
    large = xp.where(x < 0, xp.where(x < -26.7, math.inf, 2 * grown - upper), upper)
    value = xp.where(magnitude <= 0.46875, grown * (1 - erf_small(xp, x)), large)
    return xp.where(xp.isnan(x), x, value)


def erf_small(xp: Any, x: Array) -> Array:
    """erf for |x| <= 0.46875."""
    limited = xp.minimum(xp.maximum(x, -0.5), 0.5)
    return limited * ratio(ERF_SMALL, limited * limited)


def erfc_positive(xp: Any, x: Array) -> Array:
    """erfc for x > 0.46875; exp(-x^2) is split so that the square's rounding error does not grow with x."""
    y = xp.minimum(xp.maximum(x, 0.4), 30.0)
    coarse = xp.trunc(y * 16) / 16
    scale = xp.exp(-coarse * coarse) * xp.exp(-(y - coarse) * (y + coarse))
    return erfcx_positive(xp, y) * scale


def erfcx_positive(xp: Any, x: Array) -> Array:
    """exp(x^2) * erfc(x) for x > 0.46875."""
    y = xp.maximum(x, 0.4)
    middle = ratio(ERFC_MIDDLE, xp.minimum(y, 4.0))
    inverse = 1 / xp.maximum(y, 4.0)
    square = inverse * inverse
    tail = (1 / math.sqrt(math.pi) - square * ratio(ERFC_TAIL, square)) * inverse
    return xp.where(y <= 4, middle, tail)


def erfinv(xp: Any, x: Array) -> Array:
    """The number whose error function is x."""
    magnitude = xp.absolute(x)
    return xp.copysign(erfinv_positive(xp, magnitude, 1 - magnitude), x)


def ndtri(xp: Any, x: Array) -> Array:
    """The normal distribution's inverse, from the nearer end, where small probabilities keep their digits."""
    rest = 2 * xp.minimum(x, 1 - x)
    size = erfinv_positive(xp, 1 - rest, rest) * math.sqrt(2)
    return xp.where((x < 0) | (x > 1), math.nan, xp.where(x < 0.5, -size, size))


def erfinv_positive(xp: Any, magnitude: Array, rest: Array) -> Array:
    """A first guess, then three of Halley's steps on whichever of erf and erfc is small.

    `rest` is 1 - magnitude, in its own digits.
    """
    y = erfinv_guess(xp, magnitude, rest)
    for _ in range(3):
        missing = xp.where(magnitude < 0.5, magnitude - erf(xp, y), erfc(xp, y) - rest)
        newton = missing * (math.sqrt(math.pi) / 2) * xp.exp(xp.minimum(y * y, 700.0))
        y = y + newton / (1 - y * newton)
    return xp.where(rest > 0, y, xp.where(rest == 0, math.inf, math.nan))


def erfinv_guess(xp: Any, magnitude: Array, rest: Array) -> Array:
    """Giles' approximation, and beyond its range the leading terms of erfc's asymptotic series inverted."""
    w = -xp.log(xp.maximum(rest * (1 + magnitude), 1e-300))
    centre = polynomial(ERFINV_CENTRE, xp.minimum(w, 5.0) - 2.5)
    tail = polynomial(ERFINV_TAIL, xp.sqrt(xp.minimum(xp.maximum(w, 5.0), 16.0)) - 3)
    logarithm = xp.maximum(w, 16.0) + math.log(2)
    far = xp.sqrt(logarithm - 0.5 * xp.log(math.pi * logarithm))
    return xp.where(w < 16, xp.where(w < 5, centre, tail) * magnitude, far)
