"""Polynomials and their quotients, by Horner's rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Array = Any
"""An array of a library, or a Tensor."""


def polynomial(coefficients: Sequence[float], x: Array) -> Array:
    """Horner's rule, highest power first."""
    result = x * coefficients[0] + coefficients[1]
    for coefficient in coefficients[2:]:
        result = result * x + coefficient
    return result


def ratio(table: tuple[Sequence[float], Sequence[float]], x: Array) -> Array:
    """Quotient of two polynomials."""
    return polynomial(table[0], x) / polynomial(table[1], x)
