"""Choosing between two arrays by their bits: NumPy's own `where` goes from element to element."""

from __future__ import annotations

import numpy as np
from numpy import asarray, ndarray

from devtensor_numpy.blocks import BLOCK, spans

# Integers as wide as the elements, by their bytes.
WORDS = {1: np.int8, 2: np.int16, 4: np.int32, 8: np.int64}
SMALL = 8192
"""Elements up to which NumPy's own costs less than several passes."""


def where(mask: ndarray, x: ndarray, y: ndarray) -> ndarray:
    """`x` where the mask holds, else `y`."""
    if mask.size <= SMALL or x.itemsize not in WORDS or not mask.flags.c_contiguous:
        return asarray(np.where(mask, x, y))
    left, right = as_one(x), as_one(y)
    for part in (left, right):
        if part.ndim and not (part.shape == mask.shape and part.flags.c_contiguous):
            return asarray(np.where(mask, x, y))
    return selected(mask, left, right)


def as_one(x: ndarray) -> ndarray:
    """An array that repeats one element, as gradients of sums do, as that element; else the array."""
    if x.ndim and x.size and not any(x.strides) and x.shape != (1,) * x.ndim:
        return x[(*(0,) * x.ndim, ...)]
    return x


def selected(mask: ndarray, x: ndarray, y: ndarray) -> ndarray:
    """The same in rows, block by block: y ^ ((x ^ y) & m), where m has all bits set or none."""
    word = WORDS[x.itemsize]
    result = np.empty(mask.shape, x.dtype)
    target, truths = result.reshape(-1).view(word), mask.reshape(-1).view(np.int8)
    left, right = x.reshape(-1).view(word), y.reshape(-1).view(word)
    step = BLOCK // x.itemsize
    chosen = np.empty(min(step, mask.size), word)
    for span in spans(mask.size, step):
        m, found = chosen[: span.stop - span.start], target[span]
        np.negative(truths[span], out=m, dtype=word)
        a, b = left[span] if x.ndim else left, right[span] if y.ndim else right
        if not y.ndim and b[0] == 0:
            np.bitwise_and(a, m, out=found)
            continue
        np.bitwise_xor(a, b, out=found)
        found &= m
        found ^= b
    return result
