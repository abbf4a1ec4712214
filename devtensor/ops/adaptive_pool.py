"""Pooling whose windows are as long as a wanted number of results asks for."""

from __future__ import annotations

import math
from typing import Any

from devtensor.core.errors import ShapeError
from devtensor.core.op import Plain, composite
from devtensor.core.placement import PICTURES
from devtensor.core.rules import index64, only_floating
from devtensor.ops.create import arange
from devtensor.ops.elementwise import floor_divide
from devtensor.ops.examples import case, fails
from devtensor.ops.extremes import minimum
from devtensor.ops.gathering import gather
from devtensor.ops.join import cat
from devtensor.ops.norm import in_dtype
from devtensor.ops.pool import Sizes, avg_pool, planes
from devtensor.ops.reduce import argmax, widened
from devtensor.ops.reduce import mean as _mean
from devtensor.ops.shape import as_shape, expand, getitem


def _adapted(op: str, inputs: Any, params: tuple) -> Sizes:
    (source,), (output_size,) = inputs, params
    if len(source.shape) != len(output_size) + 2 or any(n < 0 for n in output_size) or 0 in source.shape[2:]:
        raise ShapeError(
            f"[{op}] input {source.shape}, output_size {output_size}; it needs (N, C, *spatial) with as "
            "many spatial dims, none of them empty"
        )
    return (*source.shape[:2], *output_size)


@composite(dtype=only_floating, shape=_adapted, amp="widest", eager=True, placement=PICTURES)
def adaptive_avg_pool(input, output_size: Plain):
    """Means of windows that tile each dim as evenly as they can, so that `output_size` of them come out.

    Shapes: input (N, C, *S) -> (N, C, *output_size)
    Source: window i of n over a dim of size S reaches from floor(i*S/n) to ceil((i+1)*S/n), as in PyTorch.
    """
    spatial = tuple(input.array.shape[2:])
    if all(n and s % n == 0 for s, n in zip(spatial, output_size, strict=True)):
        if output_size == (1,) * len(spatial):
            mean = _mean(widened(input), tuple(range(2, input.array.ndim)), True)
            return in_dtype(mean, input.kind.dtype)
        size = tuple(s // n for s, n in zip(spatial, output_size, strict=True))
        return avg_pool(input, size, size, (0,) * len(size))
    for dim, (full_size, count) in enumerate(zip(spatial, output_size, strict=True), 2):
        input = _means_along(input, dim, full_size, count)
    return input


def _means_along(input: Any, dim: int, size: int, count: int) -> Any:
    front = (slice(None),) * dim
    if not count:
        return getitem(input, (*front, slice(0, 0)))
    spans = [slice(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
    means = [_mean(getitem(widened(input), (*front, span)), (dim,), True) for span in spans]
    return in_dtype(cat(*means, dim=dim), input.kind.dtype)


@adaptive_avg_pool.examples
def _(make):
    yield case(make(2, 3, 4, 6), output_size=(2, 3))
    yield case(make(2, 3, 5, 7), output_size=(3, 2))
    yield case(make(2, 3, 4, 6), output_size=(1, 1))
    yield case(make(2, 3, 5), output_size=(4,))
    yield case(make(1, 2, 3, 4, 5), output_size=(2, 2, 5))
    yield case(make(2, 3, 2, 2), output_size=(3, 4))
    yield fails(make(2, 3, 4), output_size=(2, 2), error="as many spatial")


def _adapted_twice(op: str, inputs: Any, params: tuple) -> list:
    return [_adapted(op, inputs, params)] * 2


@composite(dtype=(only_floating, index64), shape=_adapted_twice, eager=True, placement=PICTURES)
def adaptive_max_pool(input, output_size: Plain):
    """Largest element, and its flat place in the plane, of windows as those of `adaptive_avg_pool`.

    Shapes: input (N, C, *S) -> (N, C, *output_size), (N, C, *output_size)
    """
    device, starts, lengths = input.kind.device, [], []
    for size, count in zip(input.array.shape[2:], output_size, strict=True):
        lengths.append(
            max((-(-(i + 1) * size // count) - i * size // count for i in range(count)), default=1)
        )
        starts.append(_shared_starts(size, count, lengths[-1], device))
    return largest_of_windows(input, starts, tuple(lengths))


def _shared_starts(size: int, count: int, length: int, device: Any) -> Any:
    """Places (1, 1, count, length) of all windows; a shorter one ends with its last place again and again."""
    first = floor_divide(arange(0, size, count, "int64", device), max(count, 1))
    last = floor_divide(arange(size + count - 1, size, count, "int64", device), max(count, 1)) - 1
    steps = arange(0, 1, length, "int64", device)
    column = (1, 1, count, 1)
    return minimum(as_shape(first, column) + steps, as_shape(last, column))


def largest_of_windows(input: Any, starts: list[Any], size: Sizes) -> tuple[Any, Any]:
    """Largest element and its flat place in the plane, of windows at places that tensors name.

    Shapes: input (N, C, *S); per dim (N, C, P), the windows' first places, or all of their places (N, C, P,
    size); N and C may be 1 -> (N, C, *P), (N, C, *P)
    """
    shape, count = input.array.shape, len(size)
    flat: Any = None
    for dim, (first, length) in enumerate(zip(starts, size, strict=True)):
        places = first
        if first.array.ndim == 3:
            places = first.unsqueeze(-1) + arange(0, 1, length, "int64", input.kind.device)
        lead, windows_, length = places.array.shape[:2], places.array.shape[2], places.array.shape[3]
        laid = [1] * (2 * count)
        laid[dim], laid[count + dim] = windows_, length
        places = as_shape(places, (*lead, *laid))
        flat = places if flat is None else flat * shape[2 + dim] + places
    outside = tuple(flat.array.shape[2 : 2 + count])
    each = math.prod(flat.array.shape[2 + count :])
    flat = expand(flat, (*shape[:2], *flat.array.shape[2:]))
    flat = as_shape(flat, (*shape[:2], math.prod(outside) * each))
    seen = as_shape(gather(planes(input), flat, 2), (*shape[:2], math.prod(outside), each))
    winner = argmax(seen.detach(), 3, True)
    chosen = gather(as_shape(flat, (*shape[:2], math.prod(outside), each)), winner, 3)
    values = gather(seen, winner, 3)
    return as_shape(values, (*shape[:2], *outside)), as_shape(chosen, (*shape[:2], *outside))


@adaptive_max_pool.examples
def _(make):
    yield case(make(2, 3, 4, 6, distinct=True), output_size=(2, 3))
    yield case(make(2, 3, 5, 7, distinct=True), output_size=(3, 2))
    yield case(make(2, 3, 5, distinct=True), output_size=(4,))
    yield case(make(1, 2, 3, 4, 5, distinct=True), output_size=(2, 2, 5))
    yield fails(make(2, 3, 4), output_size=(2, 2), error="as many spatial")
