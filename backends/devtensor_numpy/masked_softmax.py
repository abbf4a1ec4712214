"""Softmax of masked scores, some matrices or rows at a time: what is made of these stays in the cache."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy import ndarray

from devtensor_numpy.blocks import BLOCK, spans
from devtensor_numpy.softmax import safe_softmax_rows, softmax_rows


def masked_softmax(scores: ndarray, mask: ndarray | None, is_causal: bool, scale: float) -> ndarray:
    """Softmax of scores * scale plus the mask; beside a mask rows that see nothing are zeros."""
    result = np.empty(scores.shape, scores.dtype)
    if not scores.size:
        return result
    queries, keys = scores.shape[-2:]
    future = ~np.tri(queries, keys, dtype=bool) if is_causal else None
    share = softmax_rows if mask is None else safe_softmax_rows
    beside = None if mask is None else numbers(mask, scores.dtype)
    if scores.size <= BLOCK:
        hide(scores, scale, future, beside, result)
        share(table := result.reshape(-1, keys), table)
        return result
    source, target = scores.reshape(-1, queries, keys), result.reshape(-1, queries, keys)
    beside = None if beside is None else by_matrix(beside, scores)
    for matrices, rows in blocks(*source.shape):
        made, past = target[matrices, rows], None if future is None else future[rows]
        hide(source[matrices, rows], scale, past, part_of(beside, matrices, rows), made)
        share(table := made.reshape(-1, keys), table)
    return result


def hide(
    scores: ndarray, scale: float, future: ndarray | None, beside: ndarray | None, result: ndarray
) -> None:
    """scores * scale, minus infinity in the future, plus what is beside them, into `result`."""
    np.multiply(scores, scores.dtype.type(scale), out=result)
    if future is not None:
        np.copyto(result, -np.inf, where=future)
    if beside is not None:
        np.add(result, beside, out=result, casting="same_kind")


def numbers(mask: ndarray, dtype: np.dtype) -> ndarray:
    """What a mask adds: the numbers that it has, or minus infinity where it is False."""
    if mask.dtype.kind not in "biu":
        return mask
    return np.where(mask, dtype.type(0), dtype.type(-np.inf))


def by_matrix(mask: ndarray, scores: ndarray) -> ndarray:
    """(M, L, S): the mask for each matrix of the scores, or one for all; L and S may be 1, as they are."""
    mask = mask.reshape((1,) * (scores.ndim - mask.ndim) + mask.shape)
    own = mask.shape[-2:]
    if mask.size == own[0] * own[1]:
        return mask.reshape(1, *own)
    return np.broadcast_to(mask, (*scores.shape[:-2], *own)).reshape(-1, *own)


def part_of(mask: ndarray | None, matrices: slice, rows: slice) -> ndarray | None:
    """Of what `by_matrix` gives, that for some matrices and rows."""
    if mask is None:
        return None
    mask = mask[matrices] if len(mask) > 1 else mask
    return mask[:, rows] if mask.shape[1] > 1 else mask


def blocks(count: int, queries: int, keys: int) -> Iterator[tuple[slice, slice]]:
    """Whole matrices, as many as fit, or rows of one after the other: each time all in one piece."""
    if queries * keys <= BLOCK:
        for matrices in spans(count, BLOCK // (queries * keys)):
            yield matrices, slice(None)
        return
    for place in range(count):
        for rows in spans(queries, max(BLOCK // keys, 1)):
            yield slice(place, place + 1), rows
