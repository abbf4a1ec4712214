"""Several arrays walked together, each by steps of its own: what kernels are told of shapes, by value."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

MOST_DIMS = 8
MOST_ARRAYS = 8
MOST_AXES = 6

WALK = r"""
// Sizes of dims, the innermost first, and how far each array's elements lie apart along them.
struct Walk { long long ndim, sizes[8], steps[8][8]; };
template <int arrays> struct Places { long long at[arrays]; };

// Where the i-th element of each of the first arrays lies.
template <int arrays> __device__ Places<arrays> places(const Walk& walk, long long i) {
    Places<arrays> found;
    for (int k = 0; k < arrays; ++k) found.at[k] = 0;
    #pragma unroll 1
    for (int d = 0; d < walk.ndim; ++d) {
        bool last = d + 1 == walk.ndim;
        long long rest = last ? 0 : i / walk.sizes[d], step = last ? i : i - rest * walk.sizes[d];
        for (int k = 0; k < arrays; ++k) found.at[k] += step * walk.steps[k][d];
        i = rest;
    }
    return found;
}
"""
AXES = r"""
// The dims of one array that indices go along: their sizes, and how far its elements lie apart.
struct Axes { long long sizes[6], steps[6]; };
"""

Extents = ctypes.c_longlong * MOST_DIMS


class Walk(ctypes.Structure):
    """`Walk` as the kernels declare it."""

    _fields_ = (("ndim", ctypes.c_longlong), ("sizes", Extents), ("steps", Extents * MOST_ARRAYS))


class Axes(ctypes.Structure):
    """`Axes` as the kernels declare it."""

    _fields_ = (("sizes", ctypes.c_longlong * MOST_AXES), ("steps", ctypes.c_longlong * MOST_AXES))


Steps = tuple[int, ...]


def steps_of(array: Any) -> Steps:
    """An array's strides in elements."""
    size = array.itemsize
    return tuple(stride // size for stride in array.strides)


def spread_steps(array: Any, shape: tuple[int, ...]) -> Steps:
    """Its steps along the dims of a shape to which it broadcasts."""
    own = array.shape
    if own == shape:
        return steps_of(array)
    steps = tuple(0 if size == 1 else step for size, step in zip(own, steps_of(array), strict=True))
    return (0,) * (len(shape) - len(own)) + steps


@lru_cache(4096)
def walk(shape: tuple[int, ...], steps: tuple[Steps, ...]) -> Walk | None:
    """The walk over a shape by each array's steps; dims that all of them pass in one go are one.

    None if more dims are left than a kernel takes.
    """
    sizes: list[int] = []
    joined: list[list[int]] = []
    for d in reversed(range(len(shape))):
        here = [own[d] for own in steps]
        if shape[d] == 1:
            continue
        if sizes and here == [step * sizes[-1] for step in joined[-1]]:
            sizes[-1] *= shape[d]
            continue
        sizes.append(shape[d])
        joined.append(here)
    if len(sizes) > MOST_DIMS:
        return None
    result = Walk(len(sizes), Extents(*sizes))
    for d, here in enumerate(joined):
        for k, step in enumerate(here):
            result.steps[k][d] = step
    return result


@lru_cache(4096)
def axes(sizes: Sequence[int], steps: Sequence[int]) -> Axes:
    """The dims that indices go along."""
    return Axes(tuple(sizes), tuple(steps))
