"""The modified Bessel functions of the first kind, by their series."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from devtensor.formulas.polynomials import Array

FAR = 30.0
"""Above it the asymptotic series are exact to rounding."""


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
