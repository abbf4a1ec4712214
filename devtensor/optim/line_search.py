"""A line search that ends where Wolfe's strong conditions hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Point(NamedTuple):
    """A place on the line: step, value there, gradient, and slope along the line."""

    t: Any
    f: float
    g: Any
    slope: Any


def minimum_of_cubic(one: Point, two: Point, bounds: tuple[Any, Any] | None = None) -> Any:
    """The step at which the cubic through two points with their slopes is least, within bounds.

    Source: Nocedal & Wright 2006, equation 3.59; the middle of the bounds if it has no minimum.
    """
    low, high = bounds or (min(one.t, two.t), max(one.t, two.t))
    d1 = one.slope + two.slope - 3 * (one.f - two.f) / (one.t - two.t)
    square = d1**2 - one.slope * two.slope
    if not square >= 0:
        return (low + high) / 2.0
    d2 = square**0.5
    left, right = (one, two) if one.t <= two.t else (two, one)
    part = (right.slope + d2 - d1) / (right.slope - left.slope + 2 * d2)
    return min(max(right.t - (right.t - left.t) * part, low), high)


class StrongWolfe:
    """Looks along a direction for a step with f(t) <= f(0) + c1 t f'(0) and |f'(t)| <= c2 |f'(0)|.

    Source: Nocedal & Wright 2006, algorithms 3.5 and 3.6, steps by cubic interpolation kept away from the
    bracket's ends, as in PyTorch.
    """

    c1 = 1e-4
    c2 = 0.9

    def __init__(
        self, look: Callable[[Any], Point], start: Point, width: Any, tolerance_change: float, most: int
    ) -> None:
        self.look = look
        self.start = start
        self.width = width
        self.tolerance_change = tolerance_change
        self.most = most
        self.rounds = 0

    def run(self, t: Any) -> Point:
        """Search from the step `t`; gives the best place found, after at most `most` rounds."""
        bracket = self._bracket(t)
        return bracket[0] if len(bracket) == 1 else self._narrowed(bracket)

    def _too_high(self, point: Point) -> bool:
        return bool(point.f > self.start.f + self.c1 * point.t * self.start.slope)

    def _flat(self, point: Point) -> bool:
        return bool(abs(point.slope) <= -self.c2 * self.start.slope)

    def _bracket(self, t: Any) -> list[Point]:
        """Two places between which there is an acceptable one; or the acceptable one alone."""
        before, point = self.start, self.look(t)
        while self.rounds < self.most:
            if self._too_high(point) or (self.rounds > 1 and point.f >= before.f):
                return [before, point]
            if self._flat(point):
                return [point]
            if point.slope >= 0:
                return [before, point]
            bounds = point.t + 0.01 * (point.t - before.t), point.t * 10
            t = minimum_of_cubic(before, point, bounds)
            before, point = point, self.look(t)
            self.rounds += 1
        return [self.start, point]

    def _narrowed(self, bracket: list[Point]) -> Point:
        """The best place, from a bracket made ever smaller; `low` is the better of its ends."""
        low, high = (0, 1) if bracket[0].f <= bracket[1].f else (1, 0)
        stuck = False
        while self.rounds < self.most:
            if abs(bracket[1].t - bracket[0].t) * self.width < self.tolerance_change:
                break
            t, stuck = _inside(bracket, minimum_of_cubic(bracket[0], bracket[1]), stuck)
            point = self.look(t)
            self.rounds += 1
            if self._too_high(point) or point.f >= bracket[low].f:
                bracket[high] = point
                low, high = (0, 1) if bracket[0].f <= bracket[1].f else (1, 0)
                continue
            flat = self._flat(point)
            if not flat and point.slope * (bracket[high].t - bracket[low].t) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = point
            if flat:
                break
        return bracket[low]


def _inside(bracket: list[Point], t: Any, stuck: bool) -> tuple[Any, bool]:
    """A step kept a tenth of the bracket away from its ends, if it came too close twice or lies outside; and
    whether it came too close."""
    low, high = min(point.t for point in bracket), max(point.t for point in bracket)
    margin = 0.1 * (high - low)
    if min(high - t, t - low) >= margin:
        return t, False
    if not (stuck or t >= high or t <= low):
        return t, True
    return (high - margin if abs(t - high) < abs(t - low) else low + margin), False
