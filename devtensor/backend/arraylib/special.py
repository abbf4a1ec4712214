"""Special functions from published approximations, for libraries that have none of their own.

All is computed in float64 and rounded once to the input's dtype, but erf of float32, whose speed matters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from devtensor.backend.arraylib.elementwise import layout
from devtensor.backend.arraylib.library import Library
from devtensor.backend.protocol import Array, Kernel

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
# Stirling's series, Abramowitz & Stegun 6.1.40 and 6.3.18, in 1/x^2, highest power first.
LGAMMA_SERIES = (1 / 156, -691 / 360360, 1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12)
DIGAMMA_SERIES = (1 / 12, -691 / 32760, 1 / 132, -1 / 240, 1 / 252, -1 / 120, 1 / 12)
SHIFT = 10
"""Arguments below this are moved up by the recurrence until Stirling's series is exact to rounding."""


def kernels(lib: Library) -> dict[str, Kernel]:
    """The special functions."""
    table = {name: in_float64(lib, function) for name, function in FUNCTIONS.items()}
    precise, float32 = table["erf"], lib.dtypes["float32"]

    def erf(x: Array) -> Array:
        return erf_single(lib.xp, x) if x.dtype == float32 else precise(x)

    return table | {"erf": erf}


def in_float64(lib: Library, function: Callable[[Any, Array], Array]) -> Kernel:
    """The function computed in float64 and rounded to the input's dtype."""
    xp, asarray = lib.xp, lib.xp.asarray
    float64 = lib.dtypes["float64"]

    def kernel(x: Array) -> Array:
        return asarray(function(xp, x.astype(float64, order=layout(x)))).astype(x.dtype)

    return kernel


def polynomial(coefficients: Sequence[float], x: Array) -> Array:
    """Horner's rule, highest power first."""
    result = x * coefficients[0] + coefficients[1]
    for coefficient in coefficients[2:]:
        result = result * x + coefficient
    return result


def ratio(table: tuple[Sequence[float], Sequence[float]], x: Array) -> Array:
    """Quotient of two polynomials."""
    return polynomial(table[0], x) / polynomial(table[1], x)


def erf(xp: Any, x: Array) -> Array:
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
    magnitude = xp.absolute(x)
    upper = erfc_positive(xp, magnitude)
    large = xp.where(x < 0, 2 - upper, upper)
    return xp.where(magnitude <= 0.46875, 1 - erf_small(xp, x), large)


def erf_small(xp: Any, x: Array) -> Array:
    """erf for |x| <= 0.46875."""
    limited = xp.minimum(xp.maximum(x, -0.5), 0.5)
    return limited * ratio(ERF_SMALL, limited * limited)


def erfc_positive(xp: Any, x: Array) -> Array:
    """erfc for x > 0.46875; exp(-x^2) is split so that the square's rounding error does not grow with x."""
    y = xp.minimum(xp.maximum(x, 0.4), 30.0)
    middle = ratio(ERFC_MIDDLE, xp.minimum(y, 4.0))
    inverse = 1 / xp.maximum(y, 4.0)
    square = inverse * inverse
    tail = (1 / math.sqrt(math.pi) - square * ratio(ERFC_TAIL, square)) * inverse
    coarse = xp.trunc(y * 16) / 16
    scale = xp.exp(-coarse * coarse) * xp.exp(-(y - coarse) * (y + coarse))
    return xp.where(y <= 4, middle, tail) * scale


def erfinv(xp: Any, x: Array) -> Array:
    """A first guess, then three of Halley's steps on whichever of erf and erfc is small."""
    magnitude = xp.absolute(x)
    rest = 1 - magnitude
    y = erfinv_guess(xp, magnitude, rest)
    for _ in range(3):
        missing = xp.where(magnitude < 0.5, magnitude - erf(xp, y), erfc(xp, y) - rest)
        newton = missing * (math.sqrt(math.pi) / 2) * xp.exp(xp.minimum(y * y, 700.0))
        y = y + newton / (1 - y * newton)
    y = xp.where(magnitude < 1, y, xp.where(magnitude == 1, math.inf, math.nan))
    return xp.copysign(y, x)


def erfinv_guess(xp: Any, magnitude: Array, rest: Array) -> Array:
    """Giles' approximation, and beyond its range the leading terms of erfc's asymptotic series inverted."""
    w = -xp.log(xp.maximum(rest * (1 + magnitude), 1e-300))
    centre = polynomial(ERFINV_CENTRE, xp.minimum(w, 5.0) - 2.5)
    tail = polynomial(ERFINV_TAIL, xp.sqrt(xp.minimum(xp.maximum(w, 5.0), 16.0)) - 3)
    logarithm = xp.maximum(w, 16.0) + math.log(2)
    far = xp.sqrt(logarithm - 0.5 * xp.log(math.pi * logarithm))
    return xp.where(w < 16, xp.where(w < 5, centre, tail) * magnitude, far)


def lgamma(xp: Any, x: Array) -> Array:
    """log |gamma|, infinite at the poles."""
    positive = xp.where(x < 0.5, 1 - x, x)
    result = lgamma_positive(xp, positive)
    sine = xp.absolute(xp.sin(math.pi * (x - xp.rint(x))))
    reflected = math.log(math.pi) - xp.log(sine) - result
    result = xp.where(x < 0.5, reflected, result)
    return xp.where(xp.isinf(x), math.inf, result)


def lgamma_positive(xp: Any, x: Array) -> Array:
    """log gamma for x >= 0.5, by Stirling's series above SHIFT."""
    low = x < SHIFT
    product = xp.where(low, x, 1.0)
    for k in range(1, SHIFT):
        product = xp.where(low, product * (x + k), product)
    y = xp.where(low, x + SHIFT, x)
    series = polynomial(LGAMMA_SERIES, 1 / (y * y)) / y
    return (y - 0.5) * xp.log(y) - y + 0.5 * math.log(2 * math.pi) + series - xp.log(product)


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


FUNCTIONS: dict[str, Callable[[Any, Array], Array]] = {
    "erf": erf,
    "erfc": erfc,
    "erfinv": erfinv,
    "lgamma": lgamma,
    "digamma": digamma,
}
