"""Resampling along a dim: each element a weighted sum of a few others."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from functools import lru_cache

from devtensor.backend.arraylib.library import Library
from devtensor.backend.protocol import Array, Kernel

# What one element is made of: places in the source and their weights.
Taps = list[tuple[int, float]]


def _single(value: float) -> float:
    """Rounded to float32, in which PyTorch finds nearest neighbours."""
    return struct.unpack("f", struct.pack("f", value))[0]


def _step(source: int, target: int, align_corners: bool, scale: float | None) -> float:
    """How far apart in the source two neighbours of the target lie."""
    if align_corners:
        return (source - 1) / (target - 1) if target > 1 else 0.0
    return 1.0 / scale if scale else source / target


def _nearest(source: int, target: int, step: float, shift: float) -> list[Taps]:
    step = _single(step)
    places = (int(_single(_single(i + shift) * step)) for i in range(target))
    return [[(min(place, source - 1), 1.0)] for place in places]


def _positions(target: int, step: float, align_corners: bool) -> list[float]:
    shift = 0.0 if align_corners else 0.5
    return [step * (i + shift) - shift for i in range(target)]


def _linear(source: int, target: int, step: float, align_corners: bool) -> list[Taps]:
    if source == target:
        return [[(i, 1.0)] for i in range(target)]
    found = []
    for position in _positions(target, step, align_corners):
        position = max(position, 0.0)
        first = min(int(position), source - 1)
        share = min(max(position - first, 0.0), 1.0)
        found.append([(first, 1.0 - share), (min(first + 1, source - 1), share)])
    return found


def cubic(distance: float, a: float) -> float:
    """Weight of an element that is `distance` away.

    Source: Keys 1981; `a` is the slope at distance 1.
    """
    x = abs(distance)
    if x <= 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return ((x - 5) * x + 8) * x * a - 4 * a if x < 2 else 0.0


def _cubic(source: int, target: int, step: float, align_corners: bool) -> list[Taps]:
    found = []
    for position in _positions(target, step, align_corners):
        first = math.floor(position)
        near = range(first - 1, first + 3)
        found.append([(min(max(j, 0), source - 1), cubic(position - j, -0.75)) for j in near])
    return found


# Half the reach of each filter, and its weight by distance, where it also smooths.
SMOOTHING: dict[str, tuple[float, Callable[[float], float]]] = {
    "linear": (1.0, lambda x: max(0.0, 1.0 - abs(x))),
    "cubic": (2.0, lambda x: cubic(x, -0.5)),
}


def _smoothed(kind: str, source: int, target: int, step: float) -> list[Taps]:
    """Filters as wide as the step, so that shrinking averages over all that is left out."""
    if source == target:
        return [[(i, 1.0)] for i in range(target)]
    reach, weight = SMOOTHING[kind]
    width = max(step, 1.0)
    found = []
    for i in range(target):
        center = step * (i + 0.5)
        first = max(int(center - reach * width + 0.5), 0)
        last = min(int(center + reach * width + 0.5), source)
        weights = [weight((j - center + 0.5) / width) for j in range(first, last)]
        total = sum(weights) or 1.0
        found.append([(j, w / total) for j, w in zip(range(first, last), weights, strict=True)])
    return found


def _taps(sampling: tuple) -> list[Taps]:
    kind, source, target, align_corners, scale, antialias = sampling
    step = _step(source, target, align_corners, scale)
    if kind in ("nearest", "nearest-exact"):
        return _nearest(source, target, step, 0.5 if kind == "nearest-exact" else 0.0)
    if antialias:
        return _smoothed(kind, source, target, step)
    return (_linear if kind == "linear" else _cubic)(source, target, step, align_corners)


def _adjoint(taps: list[Taps], source: int) -> list[Taps]:
    """The transposed map: for each element of the source, what it was used for."""
    found: list[Taps] = [[] for _ in range(source)]
    for place, row in enumerate(taps):
        for origin, weight in row:
            if weight:
                found[origin].append((place, weight))
    return found


def _in_fixed_point(rows: list[Taps]) -> list[Taps]:
    """Weights rounded to 16-bit fixed point, as precise as the largest allows.

    Source: so PyTorch resizes 8-bit images.
    """
    largest = max(weight for row in rows for _, weight in row)
    bits = 0
    while bits < 22 and int(0.5 + largest * 2 ** (bits + 1)) < 2**15:
        bits += 1
    unit = 2.0**bits
    found = []
    for row in rows:
        merged: dict[int, float] = {}
        for place, weight in row:
            merged[place] = merged.get(place, 0.0) + weight
        found.append([(p, math.trunc(w * unit + math.copysign(0.5, w)) / unit) for p, w in merged.items()])
    return found


@lru_cache(maxsize=256)
def tables(sampling: tuple, adjoint: bool, fixed: bool) -> tuple[tuple[list[int], list[float] | None], ...]:
    """One pair of places and weights for each tap; weights are None where all are 1."""
    rows = _taps(sampling)
    rows = _in_fixed_point(rows) if fixed else rows
    rows = _adjoint(rows, sampling[1]) if adjoint else rows
    made = []
    for k in range(max(map(len, rows), default=0)):
        # A row with fewer taps looks again, with weight 0, at one that it has.
        taps = [row[k] if k < len(row) else (row[0][0] if row else 0, 0.0) for row in rows]
        weights = [weight for _, weight in taps]
        made.append(([place for place, _ in taps], None if all(w == 1.0 for w in weights) else weights))
    return tuple(made)


def resample(lib: Library, x: Array, dim: int, sampling: tuple, adjoint: bool, fixed: bool) -> Array:
    """Tap by tap: what all elements see there, times their weights."""
    xp, column = lib.xp, (-1, *(1,) * (x.ndim - dim - 1))
    total = None
    for places, weights in tables(tuple(sampling), bool(adjoint), bool(fixed)):
        part = xp.take(x, xp.asarray(places, lib.dtypes["int64"]), axis=dim)
        if weights is not None:
            part *= xp.asarray(weights, x.dtype).reshape(column)
        if total is None:
            total = part
        else:
            total += part
    return total


def kernels(lib: Library) -> dict[str, Kernel]:
    """The resampling part of the table."""
    return lib.bind({"resample": resample})
