"""Order along a dim: one sort of integers that hold value and place, and selection where few are wanted."""

from __future__ import annotations

import numpy as np
from numpy import ndarray

PLACES = 1 << 31
"""Places and spans of values below this fit into half of an int64 each."""
SMALLEST_BLOCK, LARGEST_BLOCK = 4, 64
"""Of so many values one champion is found: where few are wanted, most values are behind a champion's."""
SELECTING = 4096
"""Fewer numbers are sorted, whatever is wanted of them."""


def packed(lines: ndarray) -> ndarray | None:
    """Integers in the order of the values along the last dim, equal values in the order of their places,
    which are the lower half; None where values have no such integers.

    NumPy sorts them many at a time, and, as no two are equal, it does not matter that this is not stable.
    """
    size = lines.shape[-1]
    if size >= PLACES or not lines.size:
        return None
    if lines.dtype == np.float32:
        # The sum makes one zero of two.
        bits = np.asarray(lines + np.float32(0)).view(np.int32)
        if np.isnan(lines).any():
            return None
        keys = ((bits >> 31) & np.int32(0x7FFFFFFF)) ^ bits
    elif lines.dtype == np.int32 or (
        lines.dtype == np.int64 and lines.min() >= -PLACES and lines.max() < PLACES
    ):
        keys = lines
    else:
        return None
    result = keys.astype(np.int64)
    result <<= 32
    result |= np.arange(size)
    return result


def order_of(lines: ndarray, descending: bool) -> ndarray:
    """The places, along the last dim, that values in order come from; equal values keep their order."""
    if descending and lines.dtype.kind in "iu":
        return order_of(~lines, False)
    if descending and lines.dtype.kind == "f" and not np.isnan(lines).any():
        return order_of(-lines, False)
    if descending:
        order = order_of(lines[..., ::-1], False)
        return (lines.shape[-1] - 1 - order)[..., ::-1]
    keys = packed(lines)
    if keys is None:
        return lines.argsort(-1, "stable")
    keys.sort(-1)
    keys &= PLACES * 2 - 1
    return keys


def sort(x: ndarray, dim: int, descending: bool) -> tuple[ndarray, ndarray]:
    """All values in order, and where they came from."""
    if x.ndim == 0:
        return x.copy(), np.zeros((), np.int64)
    lines = x if dim == x.ndim - 1 else x.swapaxes(dim, -1)
    return taken(lines, order_of(lines, descending), dim)


def taken(lines: ndarray, order: ndarray, dim: int) -> tuple[ndarray, ndarray]:
    """The values at places along the last dim of lines, which was `dim` before, and the places."""
    if lines.ndim == 1:
        values = lines[order]
    else:
        grids = [
            np.arange(n).reshape(-1, *(1,) * (lines.ndim - 1 - d)) for d, n in enumerate(order.shape[:-1])
        ]
        values = lines[(*grids, order)]
    if dim != lines.ndim - 1:
        values, order = values.swapaxes(dim, -1), order.swapaxes(dim, -1)
    return np.ascontiguousarray(values), np.ascontiguousarray(order, np.int64)


def ranked(x: ndarray, dim: int, first: int, last: int, descending: bool) -> tuple[ndarray, ndarray]:
    """The values that rank from `first` to before `last`; where few are wanted, most are never sorted."""
    if x.ndim == 0:
        return sort(x, dim, descending)
    lines = x if dim == x.ndim - 1 else x.swapaxes(dim, -1)
    size = lines.shape[-1]
    if lines.size < SELECTING or (last - first) * 4 > size or last == first:
        order = order_of(lines, descending)[..., first:last]
    else:
        order = selected(lines.reshape(-1, size), first, last, descending)
        order = order.reshape(*lines.shape[:-1], last - first)
    return taken(lines, order, dim)


def selected(lines: ndarray, first: int, last: int, descending: bool) -> ndarray:
    """The places of the values that rank from `first` to before `last` in each line."""
    size = lines.shape[1]
    if lines.dtype.kind == "f" and np.isnan(lines).any():
        return order_of(lines, descending)[:, first:last]
    block = min(LARGEST_BLOCK, size // (4 * last))
    if block >= SMALLEST_BLOCK:
        wanted, ahead = not_behind(lines, last, descending, block), 0
    else:
        wanted, ahead = between(lines, first, last, descending)
    counts = np.count_nonzero(wanted, axis=1)
    longest = int(counts.max())
    if longest * 4 > size:
        return order_of(lines, descending)[:, first:last]
    line, place = np.divmod(np.flatnonzero(wanted), size)
    slot = np.arange(line.size) - np.repeat(np.cumsum(counts) - counts, counts)
    # What fills up short lines ranks last, and behind what equals it.
    values = np.full((len(lines), longest), last_of(lines.dtype, descending), lines.dtype)
    places = np.zeros(values.shape, np.int64)
    values[line, slot], places[line, slot] = lines[line, place], place
    order = order_of(values, descending)
    ranks = np.arange(first, last) - np.reshape(ahead, (-1, 1))
    return np.take_along_axis(places, np.take_along_axis(order, ranks, 1), 1)


def last_of(dtype: np.dtype, descending: bool) -> float | int | bool:
    """What ranks last of all numbers of a dtype."""
    if dtype.kind == "f":
        return -np.inf if descending else np.inf
    if dtype.kind == "b":
        return not descending
    return np.iinfo(dtype).min if descending else np.iinfo(dtype).max


def not_behind(lines: ndarray, count: int, descending: bool, block: int) -> ndarray:
    """Where a value is not behind the champions of `count` blocks of its line."""
    blocks = lines.shape[1] // block
    champion = np.maximum if descending else np.minimum
    best = champion.reduce(lines[:, : blocks * block].reshape(len(lines), blocks, block), 2)
    rank = blocks - count if descending else count - 1
    bound = np.partition(best, rank, 1)[:, rank, None]
    return lines >= bound if descending else lines <= bound


def between(lines: ndarray, first: int, last: int, descending: bool) -> tuple[ndarray, ndarray]:
    """Where a value is wanted, from the outermost to the other, and how many rank ahead of these."""
    size = lines.shape[1]
    low, high = (size - last, size - first - 1) if descending else (first, last - 1)
    parted = np.partition(lines, (low, high), 1)
    lowest, highest = parted[:, low, None], parted[:, high, None]
    ahead = np.count_nonzero(lines > highest if descending else lines < lowest, axis=1)
    return (lines >= lowest) & (lines <= highest), ahead


def extreme_places(x: ndarray, dim: int, largest: bool) -> ndarray:
    """Where the running extreme was last met, by two passes that run along."""
    if x.ndim == 0:
        return np.zeros((), np.int64)
    extreme = (np.maximum if largest else np.minimum).accumulate(x, dim)
    met = extreme == x
    if x.dtype.kind == "f":
        met |= np.isnan(x)
    places = np.arange(x.shape[dim]).reshape(-1, *(1,) * (x.ndim - dim - 1))
    return np.ascontiguousarray(np.maximum.accumulate(np.where(met, places, 0), dim))
