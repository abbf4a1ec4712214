"""Average pooling as one addition per place inside a window."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import numpy as np
from numpy import ndarray
from numpy.lib.stride_tricks import sliding_window_view

from devtensor.backend.arraylib.windows import Sizes, inner_planes, taps, window_count

FEW = 64
"""Places inside a window up to which adding them one by one is faster than a sum over a view of windows."""


def avg_pool(
    x: ndarray,
    size: Sizes,
    stride: Sizes,
    padding: Sizes,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> ndarray:
    """Shapes: x (N, C, *S) -> (N, C, *P)."""
    spatial, near = x.shape[2:], (1,) * len(size)
    counts = tuple(
        window_count(n, k, s, p, 1, ceil_mode)
        for n, k, s, p in zip(spatial, size, stride, padding, strict=True)
    )
    rows = zip(spatial, size, stride, padding, counts, strict=True)
    after = [max(0, (c - 1) * s + k - n - p) for n, k, s, p, c in rows]
    sums = _sums(_bordered(x, padding, after), size, counts, stride, near)
    sums /= divisor_override or _divisor(spatial, size, stride, padding, counts, count_include_pad, x.dtype)
    return sums


def _bordered(x: ndarray, before: Sizes, after: Any) -> ndarray:
    """x with zeros around its planes."""
    if not any(before) and not any(after):
        return x
    whole = [n + b + a for n, b, a in zip(x.shape[2:], before, after, strict=True)]
    result = np.zeros((*x.shape[:2], *whole), x.dtype)
    result[inner_planes(x.shape[2:], before)] = x
    return result


def _sums(x: ndarray, size: Sizes, counts: Sizes, stride: Sizes, near: Sizes) -> ndarray:
    if math.prod(size) > FEW:
        axes = tuple(range(2, 2 + len(size)))
        seen = sliding_window_view(x, size, axis=axes)
        kept = tuple(slice(0, (n - 1) * s + 1, s) for n, s in zip(counts, stride, strict=True))
        return seen[(slice(None), slice(None), *kept)].sum(tuple(range(-len(size), 0)))
    result = np.zeros((*x.shape[:2], *counts), x.dtype)
    for _, cut in taps(size, counts, stride, near):
        result += x[cut]
    return result


def _divisor(
    spatial: Sizes, size: Sizes, stride: Sizes, padding: Sizes, counts: Sizes, counted: bool, dtype: Any
) -> ndarray:
    """How many elements each window averages: those inside the planes, or inside their padding as well."""
    lengths = []
    for n, k, s, p, c in zip(spatial, size, stride, padding, counts, strict=True):
        starts = np.arange(c) * s - p
        ends = np.minimum(starts + k, n + p if counted else n)
        lengths.append(ends - (starts if counted else np.maximum(starts, 0)))
    return reduce(np.multiply.outer, lengths).astype(dtype)
