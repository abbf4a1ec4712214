"""Points in the plane: their angle, and how far away they are."""

from __future__ import annotations

import math
from typing import Any

from devtensor.core.rules import floating, only_floating
from devtensor.ops.compare import eq, logical_or, where
from devtensor.ops.elementwise import derived, elementwise
from devtensor.ops.examples import pairs
from devtensor.ops.extremes import maximum, minimum
from devtensor.ops.functions import sqrt


@elementwise(dtype=floating, amp="widest")
def atan2(input, other):
    """Angle of the point (other, input), in radians.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """


def _angle_slope(part, input, other):
    """One part of a point over its squared distance from the origin; 0 in the origin itself."""
    squared = input * input + other * other
    return part / where(eq(squared, 0), 1.0, squared)


atan2.vjp(
    input=lambda g, input, other: g * _angle_slope(other, input, other),
    other=lambda g, input, other: g * -_angle_slope(input, input, other),
)
atan2.examples(pairs(apart=0.3))


def _size(value: Any) -> Any:
    """How far a tensor's elements, or a number, are from 0."""
    return maximum(value, -value) if hasattr(value, "array") else abs(value)


@derived(dtype=only_floating)
def hypot(input, other):
    """Length of the hypotenuse: sqrt(input^2 + other^2) without overflow in between.

    Shapes: input (*A), other (*B) -> broadcast(*A, *B)
    """
    first, second = _size(input), _size(other)
    larger, smaller = maximum(first, second), minimum(first, second)
    ratio = smaller / where(eq(larger, 0), 1.0, larger)
    endless = logical_or(eq(first, math.inf), eq(second, math.inf))
    return where(endless, math.inf, larger * sqrt(ratio * ratio + 1))


hypot.vjp(input=lambda g, input, out: g * (input / out), other=lambda g, other, out: g * (other / out))
hypot.examples(pairs(apart=0.3))
