"""Cases of moments by channel, batch norm, its gradient, and the sums that group norm's weights want."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cuda_sources.running import Case
from cuda_sources.tensor_cases import DTYPES, TOLERANCE, draw

SHAPES = [(3, 4, 211), (7, 6, 1)]
"""Batch, channels, and the numbers of each: more and fewer than a block has threads."""
EPS = 0.01


def by_channel(values: np.ndarray) -> np.ndarray:
    return values[:, None]


def cases_of(dtype: str, shape: tuple[int, int, int]) -> Iterator[Case]:
    batch, channels, inner = shape
    wide, near = np.float64 if dtype == "float64" else np.float32, TOLERANCE[dtype] * 2
    exact = 1e-13 if dtype == "float64" else 2e-6
    x, g = draw(dtype, *shape, seed=1), draw(dtype, *shape, seed=2)
    seen, given = x.astype(np.float64), g.astype(np.float64)
    mean, var, weight, bias = (draw("float64", channels, seed=seed).astype(wide) for seed in range(3, 7))
    var = np.abs(var)

    def case(name: str, values: list, work: int, expected: list, tolerance: float, note: str = "") -> Case:
        entry = f"{name}_{dtype}"
        return Case(f"{entry} {shape} {note}", entry, values, work, expected, tolerance, 4.0)

    means, variances = np.zeros(channels, wide), np.zeros(channels, wide)
    found = [(means, seen.mean((0, 2))), (variances, seen.var((0, 2)))]
    yield case("channel_moments", [x, means, variances, *shape], channels, found, exact)

    standard = (seen - by_channel(mean)) / np.sqrt(by_channel(var.astype(np.float64)) + EPS)
    for parts in ((weight, bias), (None, None)):
        out, wanted = np.zeros_like(x), standard
        if parts[0] is not None:
            wanted = standard * by_channel(weight) + by_channel(bias)
        values = [x, mean, var, *parts, out, x.size, channels, inner, EPS]
        yield case("batch_norm", values, x.size, [(out, wanted)], near, f"{parts[0] is None}")

    inverse, total = 1 / np.sqrt(var.astype(np.float64) + EPS), given.sum((0, 2))
    product = (given * (seen - by_channel(mean))).sum((0, 2))
    for own in (weight, None):
        out, slopes, scale = np.zeros_like(x), np.zeros((4, channels), wide), inverse
        if own is not None:
            scale = inverse * own
        wanted = [-scale * total, scale * inverse**2 * product * -0.5, inverse * product, total]
        expected = [(out, given * by_channel(scale)), (slopes, np.stack(wanted))]
        values = [g, x, mean, var, own, out, slopes, *shape, EPS]
        yield case("channel_batch_norm_backward", values, channels, expected, near, f"{own is None}")

    out = np.zeros_like(x)
    wanted = (2 * (seen - by_channel(mean)) * by_channel(weight) + by_channel(bias)) / (batch * inner)
    values = [x, mean, bias, weight, out, *shape]
    yield case("moments_backward", values, x.size, [(out, wanted)], near)

    running, out = draw(dtype, channels, seed=8), np.zeros(channels, x.dtype)
    wanted = running.astype(np.float64) * 0.75 + mean.astype(np.float64) * 0.25 * 1.5
    values = [running, mean, out, channels, 0.25, 1.5]
    yield case("running_average", values, channels, [(out, wanted)], near)

    groups, totals, products = 2, np.zeros(channels, wide), np.zeros(channels, wide)
    centres, scales = np.linspace(-1, 1, batch * groups), np.linspace(0.5, 2, batch * groups)
    rows = seen.reshape(batch * groups, -1)
    apart = ((rows - centres[:, None]) * scales[:, None]).reshape(shape)
    expected = [(totals, total), (products, (given * apart).sum((0, 2)))]
    values = [g, x, centres, scales, totals, products, *shape, groups]
    yield case("channel_group_sums", values, channels, expected, exact)


def cases() -> Iterator[Case]:
    """All of them."""
    for dtype in DTYPES:
        for shape in SHAPES:
            yield from cases_of(dtype, shape)
