"""Cases of the softmaxes and their gradients, by warp, by block and along other dims than the last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cuda_sources.running import Case
from cuda_sources.tensor_cases import DTYPES, TOLERANCE, draw

ROW_SHAPES = {"warp": (7, 45), "block": (3, 530)}
HEADS = {"warp": (2, 3, 4, 45), "block": (2, 1, 2, 530)}
"""Batches, heads, queries and keys of scores."""
MASK_KINDS = {"bool": 1, "float16": 2, "bfloat16": 3, "float32": 4, "float64": 5}


def softmax(x: np.ndarray) -> np.ndarray:
    """In float64, along the last dim; zeros where all is minus infinity."""
    scores = x.astype(np.float64)
    peak = scores.max(-1, keepdims=True)
    parts = np.exp(scores - np.where(np.isneginf(peak), 0, peak))
    total = parts.sum(-1, keepdims=True)
    return parts / np.where(total == 0, 1, total)


def row_cases(kind: str, dtype: str) -> Iterator[Case]:
    rows, columns = ROW_SHAPES[kind]
    x, g = draw(dtype, rows, columns, seed=1), draw(dtype, rows, columns, seed=2)
    hidden = x.copy()
    hidden[1] = -np.inf
    forms = [
        ("softmax", x, softmax(x), 0.05), ("safe_softmax", hidden, softmax(hidden), 0.05),
        ("log_softmax", x, np.log(softmax(x)), 1.0),
    ]  # fmt: skip
    for name, given, wanted, size in forms:
        out, entry = np.zeros_like(given), f"{kind}_{name}_{dtype}"
        values = [given, out, rows, columns]
        yield Case(entry, entry, values, rows, [(out, wanted)], TOLERANCE[dtype] * 2, size)
    for name, y, wanted, rest in gradients(x, g):
        result, entry = np.zeros_like(x), f"{kind}_{name}_backward_{dtype}"
        values = [y, g, result, rows, columns, *rest]
        yield Case(entry, entry, values, rows, [(result, wanted)], TOLERANCE[dtype] * 2, 0.5)


def gradients(x: np.ndarray, g: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray, list[float]]]:
    """Of softmax, for half the scores, and of its logarithm: an output, and the gradient of what gave it."""
    upstream = g.astype(np.float64)
    shares = softmax(x).astype(x.dtype)
    wide = shares.astype(np.float64)
    yield "softmax", shares, 0.5 * wide * (upstream - (wide * upstream).sum(-1, keepdims=True)), [0.5]
    logarithms = np.log(softmax(x)).astype(x.dtype)
    total = upstream.sum(-1, keepdims=True)
    yield "log_softmax", logarithms, upstream - np.exp(logarithms.astype(np.float64)) * total, []


def along_cases(dtype: str) -> Iterator[Case]:
    """The same along the middle one of three dims."""
    outer, columns, inner = 3, 5, 7
    rows, near = outer * inner, TOLERANCE[dtype] * 2
    # Drawn with the dim at the end, where the references want it.
    x, g = draw(dtype, outer, inner, columns, seed=1), draw(dtype, outer, inner, columns, seed=2)
    hidden = x.copy()
    hidden[1, 2] = -np.inf
    forms = [
        ("softmax", x, softmax(x), 0.05), ("safe_softmax", hidden, softmax(hidden), 0.05),
        ("log_softmax", x, np.log(softmax(x)), 1.0),
    ]  # fmt: skip
    for name, given, wanted, size in forms:
        given, wanted = (np.ascontiguousarray(part.swapaxes(1, 2)) for part in (given, wanted))
        out, entry = np.zeros_like(given), f"along_{name}_{dtype}"
        values = [given, out, rows, columns, inner]
        yield Case(entry, entry, values, rows, [(out, wanted)], near, size)
    for name, y, wanted, rest in gradients(x, g):
        y, upstream, wanted = (np.ascontiguousarray(part.swapaxes(1, 2)) for part in (y, g, wanted))
        result, entry = np.zeros_like(y), f"along_{name}_backward_{dtype}"
        values = [y, upstream, result, rows, columns, inner, *rest]
        yield Case(entry, entry, values, rows, [(result, wanted)], near, 0.5)


def masks(shape: tuple[int, ...]) -> Iterator[tuple[str, np.ndarray | None]]:
    """Masks of every dtype that broadcast along some dims; of each a query sees nothing."""
    batches, heads, queries, keys = shape
    yield "none", None
    seen = np.random.default_rng(6).random((batches, 1, queries, keys)) < 0.6
    seen[0, 0, 1] = False
    yield "bool", seen
    padding = np.ones((batches, 1, 1, keys), bool)
    padding[0, ..., -3:], padding[1] = False, False
    yield "bool", padding
    leads = [(1, heads), (1, 1), (batches, heads), (batches, 1)]
    for seed, (dtype, lead) in enumerate(zip(DTYPES, leads, strict=True)):
        added = draw(dtype, *lead, queries, keys, seed=seed)
        added[-1, -1, 0] = -np.inf
        yield dtype, added


def masked_cases(kind: str, dtype: str) -> Iterator[Case]:
    """Scores beside masks that are read where they lie, with and without later keys hidden."""
    shape = batches, heads, queries, keys = HEADS[kind]
    scores, entry = draw(dtype, *shape, seed=1), f"{kind}_masked_softmax_{dtype}"
    rows = batches * heads * queries
    for place, (name, mask) in enumerate(masks(shape)):
        causal, scale = place % 2 == 0, -0.5 if place == 3 else 0.25
        wide = scores.astype(np.float64) * scale
        if mask is not None:
            wide = wide + (np.where(mask, 0, -np.inf) if name == "bool" else mask.astype(np.float64))
        if causal:
            wide = np.where(np.tri(queries, keys, dtype=bool), wide, -np.inf)
        out = np.zeros_like(scores)
        values: list[Any] = [scores, mask, out, MASK_KINDS.get(name, 0), int(causal), rows, keys, heads]
        values += [queries, *steps(mask, shape), scale]
        yield Case(
            f"{entry} {place}", entry, values, rows, [(out, softmax(wide))], TOLERANCE[dtype] * 2, 0.05
        )


def steps(mask: np.ndarray | None, shape: tuple[int, ...]) -> tuple[int, ...]:
    """How far a mask goes on with each batch, head, query and key."""
    if mask is None:
        return 0, 0, 0, 0
    return tuple(stride // mask.itemsize for stride in np.broadcast_to(mask, shape).strides)


def cases() -> Iterator[Case]:
    """All of them."""
    for dtype in DTYPES:
        for kind in ROW_SHAPES:
            yield from row_cases(kind, dtype)
            yield from masked_cases(kind, dtype)
        yield from along_cases(dtype)
