"""Convolution in which every channel has a window of its own: a multiplication and an addition per place.

Blocks of planes stay in the cache while all places of the window pass over them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy import ndarray

from devtensor.backend.arraylib.windows import Sizes, inner_planes, output_counts, taps
from devtensor_numpy.blocks import spans

BLOCK = 1 << 15
"""Elements of planes in a block."""

Block = tuple[slice, slice]


def is_depthwise(weight_shape: Sizes, groups: int) -> bool:
    """Whether a weight (O, C/groups, *K) has one output for each channel, and none beside it."""
    return groups > 1 and weight_shape[0] == groups and weight_shape[1] == 1


def blocks(shape: Sizes) -> Iterator[Block]:
    """Samples and channels of each block of planes (N, C, *S)."""
    samples, channels, *spatial = shape
    planes = max(1, BLOCK // max(math.prod(spatial), 1))
    for chosen in spans(channels, planes):
        for some in spans(samples, max(1, planes // (chosen.stop - chosen.start))):
            yield some, chosen


def bordered(x: ndarray, padding: Sizes) -> ndarray:
    """x with zeros around its planes."""
    if not any(padding):
        return x
    spatial = [n + 2 * p for n, p in zip(x.shape[2:], padding, strict=True)]
    result = np.zeros((*x.shape[:2], *spatial), x.dtype)
    result[inner_planes(x.shape[2:], padding)] = x
    return result


def factors(w: ndarray, channels: slice, place: Sizes) -> ndarray:
    """What the windows of these channels hold at a place, to meet (N, C, *P)."""
    return w[(channels, 0, *place)].reshape(-1, *(1,) * len(place))


def convolution(x: ndarray, w: ndarray, stride: Sizes, padding: Sizes, dilation: Sizes) -> ndarray:
    """Shapes: x (N, C, *S), w (C, 1, *K) -> (N, C, *P)."""
    counts = output_counts(x.shape[2:], w.shape[2:], stride, padding, dilation)
    seen = bordered(x, padding)
    result = np.empty((*x.shape[:2], *counts), x.dtype)
    for block in blocks(seen.shape):
        planes, made = seen[block], result[block]
        term = np.empty(made.shape, x.dtype)
        for number, (place, cut) in enumerate(taps(w.shape[2:], counts, stride, dilation)):
            np.multiply(planes[cut], factors(w, block[1], place), out=term if number else made)
            if number:
                made += term
    return result


def convolution_grad_input(
    g: ndarray, w: ndarray, input_shape: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> ndarray:
    """Gradient for x."""
    spatial = tuple(n + 2 * p for n, p in zip(input_shape[2:], padding, strict=True))
    result = np.zeros((*input_shape[:2], *spatial), g.dtype)
    for block in blocks(result.shape):
        planes, given = result[block], g[block]
        term = np.empty(given.shape, g.dtype)
        for place, cut in taps(w.shape[2:], g.shape[2:], stride, dilation):
            planes[cut] += np.multiply(given, factors(w, block[1], place), out=term)
    return result[inner_planes(input_shape[2:], padding)].copy() if any(padding) else result


def convolution_grad_weight(
    g: ndarray, x: ndarray, weight_shape: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> ndarray:
    """Gradient for w."""
    seen = bordered(x, padding)
    result = np.zeros(weight_shape, x.dtype)
    over = (0, *range(2, g.ndim))
    for block in blocks(seen.shape):
        planes, given = seen[block], g[block]
        term = np.empty(given.shape, x.dtype)
        for place, cut in taps(weight_shape[2:], g.shape[2:], stride, dilation):
            np.multiply(planes[cut], given, out=term)
            result[(block[1], 0, *place)] += np.add.reduce(term, over)
    return result
