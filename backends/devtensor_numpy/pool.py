"""Maximum pooling by cheap passes over what the windows see at each place."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy import ndarray

from devtensor.backend.arraylib.windows import Sizes, taps, window_count
from devtensor.backend.protocol import Kernel
from devtensor_numpy.blocks import spans

total: Any = np.add.reduce
SMALL = 1 << 12
"""Elements up to which the number of calls is what costs."""
PLANES = 1 << 16
"""Elements of input in a block of planes."""


def max_pool(generic: Kernel) -> Kernel:
    """Pooling without padding, and without NaN, by its own way; all else by the generic kernel."""

    def kernel(
        x: ndarray, size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
    ) -> tuple[ndarray, ndarray]:
        if any(padding) or ceil_mode or math.prod(size) > 255 or not x.size:
            return generic(x, size, stride, padding, dilation, ceil_mode)
        counts = tuple(map(window_count, x.shape[2:], size, stride, padding, dilation))
        small = x.size <= SMALL and x.flags.c_contiguous
        values, winners = (pooled_at_once if small else pooled)(x, size, stride, dilation, counts)
        # A sum is NaN if any value is, or if infinities of both signs meet.
        if x.dtype.kind == "f" and math.isnan(total(values, None)) and np.isnan(values).any():
            return generic(x, size, stride, padding, dilation, ceil_mode)
        offsets, starts = plane_positions(x.shape[2:], size, stride, dilation, counts)
        places = offsets[winners]
        places += starts
        return values, places

    return kernel


def pooled_at_once(
    x: ndarray, size: Sizes, stride: Sizes, dilation: Sizes, counts: Sizes
) -> tuple[ndarray, ndarray]:
    """The same as `pooled` from one copy of all windows, which costs few calls."""
    batch, plane, *steps = x.strides
    across = [step * apart for step, apart in zip(steps, stride, strict=True)]
    inside = [step * apart for step, apart in zip(steps, dilation, strict=True)]
    lead = (*x.shape[:2], *counts)
    seen = ndarray((*lead, *size), x.dtype, x, 0, (batch, plane, *across, *inside))
    seen = seen.reshape(*lead, math.prod(size))
    return np.maximum.reduce(seen, -1), seen.argmax(-1)


def pooled(x: ndarray, size: Sizes, stride: Sizes, dilation: Sizes, counts: Sizes) -> tuple[ndarray, ndarray]:
    """Maximum of each window, and the number of the place inside it where that was seen first."""
    samples, channels = x.shape[:2]
    values = np.empty((samples, channels, *counts), x.dtype)
    winners = np.zeros(values.shape, np.uint8)
    for block in spans(samples, max(1, PLANES // max(x[0].size, 1))):
        best, winner = values[block], winners[block]
        for number, (_, cut) in enumerate(taps(size, counts, stride, dilation)):
            seen = x[block][cut]
            if number == 0:
                best[...] = seen
                continue
            better = np.greater(seen, best).view(np.uint8)
            np.maximum(best, seen, out=best)
            np.maximum(winner, better * np.uint8(number), out=winner)
    return values, winners


@lru_cache(64)
def plane_positions(
    spatial: Sizes, size: Sizes, stride: Sizes, dilation: Sizes, counts: Sizes
) -> tuple[ndarray, ndarray]:
    """Flat indices in the plane: offsets of a window's places from its first element, and where that lies."""
    steps = [math.prod(spatial[axis + 1 :]) for axis in range(len(spatial))]
    starts = sum(
        np.arange(n).reshape((-1,) + (1,) * (len(counts) - axis - 1)) * (stride[axis] * steps[axis])
        for axis, n in enumerate(counts)
    )
    offsets = [
        sum(k * d * step for k, d, step in zip(place, dilation, steps, strict=True))
        for place in np.ndindex(*size)
    ]
    return np.array(offsets, np.int64), np.asarray(starts)
