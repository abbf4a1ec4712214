"""Adding rows at indices without NumPy's slow `add.at`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from devtensor.backend.protocol import Kernel

ROUNDS = 8
WIDE = 64
"""Numbers of a row from which on rows are added one by one."""


def refuse_outside(index: ndarray, dim: int, size: int) -> None:
    """Refuse indices that are not in [0, size): seen without a sign, negative ones are the largest."""
    if index.size and np.maximum.reduce(index.view(np.uint64), None) >= size:
        low, high = int(index.min()), int(index.max())
        bad = low if low < 0 else high
        raise ValueError(f"index {bad} is out of bounds for dimension {dim} with size {size}")


def add_at(target: ndarray, index: Any, values: Any) -> None:
    """What NumPy's `add.at` does, in the forms about which it is slow by others."""
    places = index if isinstance(index, tuple) else (index,)
    arrays = [place for place in places if isinstance(place, ndarray)]
    values, dim = np.asarray(values), len(places) - 1
    if within(target.shape, places):
        if len(arrays) == 1 and places[dim] is arrays[0] and target.size >= WIDE * target.shape[dim]:
            return add_rows(target, dim, arrays[0], values)
        if len(arrays) == target.ndim > 1 and target.flags.c_contiguous:
            return add_numbers(target, arrays, values)
    return np.add.at(target, index, values)


def within(shape: tuple[int, ...], places: tuple[Any, ...]) -> bool:
    """Whether no index is out of range, nor counted from the end."""
    return all(
        place.size and 0 <= place.min() <= place.max() < size
        for place, size in zip(places, shape, strict=False)
        if isinstance(place, ndarray)
    )


def add_rows(target: ndarray, dim: int, index: ndarray, values: ndarray) -> None:
    """Add slices to those that `index` names along a dim."""
    shape = (*target.shape[:dim], *index.shape, *target.shape[dim + 1 :])
    rows = np.broadcast_to(values, shape).reshape(*shape[:dim], index.size, *target.shape[dim + 1 :])
    lines = np.moveaxis(target, dim, 0)
    for place, row in zip(index.reshape(-1).tolist(), np.moveaxis(rows, dim, 0), strict=True):
        line = lines[place]
        np.add(line, row, line)


def add_numbers(target: ndarray, arrays: list[ndarray], values: ndarray) -> None:
    """Add numbers to elements by their places in C order: NumPy is quick about one index."""
    line = np.zeros((), np.int64)
    for size, array in zip(target.shape, arrays, strict=True):
        line = line * size + array
    np.add.at(target.reshape(-1), line.reshape(-1), np.broadcast_to(values, line.shape).reshape(-1))


def embedding_grad(generic: Kernel) -> Kernel:
    """Rows of `g` added up by index: the generic kernel checks the indices, and does the small cases."""

    def kernel(g: ndarray, index: ndarray, rows: int) -> ndarray:
        if g.ndim != index.ndim + 1 or index.size < 32 or index.min() < 0 or index.max() >= rows:
            return generic(g, index, rows)
        return added_rows(g.reshape(index.size, -1), index.reshape(-1), rows)

    return kernel


def added_rows(g: ndarray, index: ndarray, rows: int) -> ndarray:
    """Sum of the rows of `g` by index.

    Each round adds one occurrence of every index, with no index twice; what is left of frequent indices is
    summed run by run.
    """
    result = np.zeros((rows, g.shape[1]), g.dtype)
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    is_first = np.ones(index.size, np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    firsts = np.flatnonzero(is_first)
    rank = np.arange(index.size) - np.repeat(firsts, np.diff(firsts, append=index.size))
    for occurrence in range(ROUNDS):
        chosen = np.flatnonzero(rank == occurrence)
        if not chosen.size:
            return result
        result[ordered[chosen]] += g[order[chosen]]
    rest = np.flatnonzero(rank >= ROUNDS)
    if rest.size:
        starts = np.flatnonzero(rank[rest] == ROUNDS)
        result[ordered[rest[starts]]] += np.add.reduceat(g[order[rest]], starts, axis=0)
    return result
