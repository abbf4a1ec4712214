"""Cases of layer norm, RMS norm, group norm and their gradients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cuda_sources.running import Case
from cuda_sources.tensor_cases import DTYPES, TOLERANCE, draw

EPS = 0.01
TABLES = {"warp": (8, 205), "block": (4, 528)}
GROUPS = 2
"""Rows are those of this many groups in turn."""
INNER = {205: 5, 528: 8}
"""How many numbers of a row one of its channels is, by the row's length."""


def statistics(name: str, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each row's mean, which counts as 0 for RMS norm, and inverse deviation."""
    wide = x.astype(np.float64)
    mean = np.zeros((len(x), 1)) if name == "rms_norm" else wide.mean(1, keepdims=True)
    return mean, 1 / np.sqrt(((wide - mean) ** 2).mean(1, keepdims=True) + EPS)


def weights_of(name: str, dtype: str, rows: int, columns: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A weight as it is given, and what it is for each element."""
    if name != "group_norm":
        weight = draw(dtype, columns, seed=seed)
        return weight, np.broadcast_to(weight, (rows, columns)).astype(np.float64)
    weight = draw(dtype, GROUPS * columns // INNER[columns], seed=seed)
    every = np.repeat(weight.reshape(GROUPS, -1), INNER[columns], 1)
    return weight, np.tile(every, (rows // GROUPS, 1)).astype(np.float64)


def forward_case(name: str, kind: str, dtype: str, with_weights: bool) -> Case:
    rows, columns = TABLES[kind]
    x = draw(dtype, rows, columns, seed=1)
    mean, scale = statistics(name, x)
    wanted, given = (x.astype(np.float64) - mean) * scale, []
    for seed in range(3, 4 if name == "rms_norm" else 5):
        weight, every = weights_of(name, dtype, rows, columns, seed)
        given.append(weight if with_weights else None)
        if with_weights:
            wanted = wanted * every if seed == 3 else wanted + every
    out, entry = np.zeros_like(x), f"{kind}_{name}_{dtype}"
    values: list[Any] = [x, *given, out, rows, columns, *rest_of(name, columns), EPS]
    return Case(f"{entry} {with_weights}", entry, values, rows, [(out, wanted)], TOLERANCE[dtype] * 2)


def rest_of(name: str, columns: int) -> tuple[int, ...]:
    return (GROUPS, INNER[columns]) if name == "group_norm" else ()


def backward_case(name: str, kind: str, dtype: str, with_weights: bool) -> Case:
    rows, columns = TABLES[kind]
    x, g = draw(dtype, rows, columns, seed=1), draw(dtype, rows, columns, seed=2)
    mean, scale = statistics(name, x)
    standard, upstream = (x.astype(np.float64) - mean) * scale, g.astype(np.float64)
    weight, every = weights_of(name, dtype, rows, columns, 3)
    if with_weights:
        upstream = upstream * every
    shared = standard * (upstream * standard).mean(1, keepdims=True)
    if name != "rms_norm":
        shared = shared + upstream.mean(1, keepdims=True)
    out, means, scales = np.zeros_like(x), np.full(rows, 9.0), np.zeros(rows)
    entry = f"{kind}_{name}_backward_{dtype}"
    values = [
        g,
        x,
        weight if with_weights else None,
        out,
        means,
        scales,
        rows,
        columns,
        *rest_of(name, columns),
        EPS,
    ]
    expected = [(out, (upstream - shared) * scale), (means, mean[:, 0]), (scales, scale[:, 0])]
    return Case(f"{entry} {with_weights}", entry, values, rows, expected, TOLERANCE[dtype] * 2)


def part_cases(dtype: str) -> Iterator[Case]:
    rows, columns, chunk, chunks = 11, 37, 4, 3
    g, x = draw(dtype, rows, columns, seed=1), draw(dtype, rows, columns, seed=2)
    means, scales = np.linspace(-1, 1, rows), np.linspace(0.5, 2, rows)
    standard = (x.astype(np.float64) - means[:, None]) * scales[:, None]
    terms, wide = g.astype(np.float64) * standard, np.float64 if dtype == "float64" else np.float32
    wanted = np.add.reduceat(terms, range(0, rows, chunk))
    parts, near = np.zeros((chunks, columns), wide), 1e-13 if dtype == "float64" else 2e-6
    entry = f"norm_weight_parts_{dtype}"
    values = [g, x, means, scales, parts, rows, columns, chunk]
    yield Case(entry, entry, values, parts.size, [(parts, wanted)], near)
    given, out, entry = wanted.astype(wide), np.zeros(columns, wide), f"sum_of_parts_{dtype}"
    expected = [(out, given.astype(np.float64).sum(0))]
    yield Case(entry, entry, [given, out, chunks, columns], columns, expected, near)


def cases() -> Iterator[Case]:
    """All of them."""
    for dtype in DTYPES:
        for kind in TABLES:
            for name in ("layer_norm", "rms_norm", "group_norm"):
                for with_weights in (True, False):
                    yield forward_case(name, kind, dtype, with_weights)
                    yield backward_case(name, kind, dtype, with_weights)
        yield from part_cases(dtype)
