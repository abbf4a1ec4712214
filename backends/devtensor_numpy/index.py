"""Adding rows at indices without NumPy's slow `add.at`."""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from devtensor.backend.protocol import Kernel

ROUNDS = 8


def refuse_outside(index: ndarray, dim: int, size: int) -> None:
    """Refuse indices that are not in [0, size): seen without a sign, negative ones are the largest."""
    if index.size and np.maximum.reduce(index.view(np.uint64), None) >= size:
        low, high = int(index.min()), int(index.max())
        bad = low if low < 0 else high
        raise ValueError(f"index {bad} is out of bounds for dimension {dim} with size {size}")


def sort(x: ndarray, dim: int, descending: bool) -> tuple[ndarray, ndarray]:
    """Stable in both directions: descending is the ascending order of the flipped input, flipped."""
    if x.ndim == 0:
        return x.copy(), np.zeros((), np.int64)
    lines = x if dim == x.ndim - 1 else x.swapaxes(dim, -1)
    if descending:
        order = lines[..., ::-1].argsort(-1, "stable")
        order = (x.shape[dim] - 1 - order)[..., ::-1]
    else:
        order = lines.argsort(-1, "stable")
    grids = [np.arange(size).reshape(-1, *(1,) * (x.ndim - 1 - d)) for d, size in enumerate(lines.shape[:-1])]
    values = lines[(*grids, order)]
    if lines is not x:
        values, order = values.swapaxes(dim, -1), order.swapaxes(dim, -1)
    return np.ascontiguousarray(values), np.ascontiguousarray(order, np.int64)


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
