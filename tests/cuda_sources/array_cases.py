"""Cases of the kernels over single arrays: casts, random words, rows, windows, scattered rows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product
from typing import Any

import numpy as np

from cuda_sources.running import Case
from cuda_sources.tensor_cases import DTYPES, TOLERANCE, draw

ROW_SHAPES = {"warp": (7, 45), "block": (3, 530)}


def telling_values(dtype: str) -> np.ndarray:
    """Every half there is; of float32, those at, just below and just above each tie between halves."""
    if dtype != "float32":
        return np.arange(2**16, dtype=np.uint16).view(DTYPES[dtype])
    rng = np.random.default_rng(0)
    ties = np.concatenate([halfway(other) for other in ("float16", "bfloat16")])
    ties = rng.choice(ties, 4000, replace=False)
    edges = np.array(
        [0.0, 65504, 65519.996, 65520, 2.0**-25, 2.0**-24, 3.3895e38, 3.3961776e38, np.inf, np.nan]
    )
    nans = np.array([0x7F800001, 0x7FFFFFFF, 0xFFFFFFFF], np.uint32).view(np.float32)
    near = [
        nans,
        ties,
        np.nextafter(ties, np.float32(np.inf)),
        np.nextafter(ties, np.float32(0)),
        edges,
        -edges,
    ]
    with np.errstate(over="ignore"):
        return np.concatenate([each.astype(np.float32) for each in near])


def halfway(dtype: str) -> np.ndarray:
    """The float32 values in the middle between finite neighbours of a half type."""
    bits = np.arange(2**16, dtype=np.uint16)
    with np.errstate(invalid="ignore", over="ignore"):
        values = bits.view(DTYPES[dtype]).astype(np.float64)
        middle = ((values[:-1] + values[1:]) / 2)[np.isfinite(values[:-1]) & np.isfinite(values[1:])]
    return middle.astype(np.float32)


def cast_cases() -> Iterator[Case]:
    for given, wanted in permutations(("float32", "float16", "bfloat16"), 2):
        values = telling_values(given)
        with np.errstate(over="ignore", invalid="ignore"):
            result = values.astype(np.float32).astype(DTYPES[wanted])
        out = np.zeros(values.size, DTYPES[wanted])
        entry = f"cast_{given}_to_{wanted}"
        yield Case(entry, entry, [values, out, values.size], values.size, [(out, result)])


def philox_cases() -> Iterator[Case]:
    for seed, offset, count in [(0, 4, 1), (1234, 5, 1000), (-1, 2**40 + 7, 1026), (7, 11, 1021)]:
        block, past = divmod(offset, 4)
        key, counter = [seed % 2**64, 0], [block - 1, 0, 0, 0]
        generator = np.random.Philox(key=np.array(key, np.uint64), counter=np.array(counter, np.uint64))
        words = generator.random_raw(count + past)[past:]
        out = np.zeros(count, np.uint64)
        values = [np.array([seed, offset]), out, count]
        yield Case(f"philox {seed} {offset}", "philox_words", values, count, [(out, words)])


def softmax(x: np.ndarray, queries: int, scale: float) -> np.ndarray:
    """In float64, later keys masked if there are `queries`."""
    scores = x.astype(np.float64) * scale
    if queries:
        later = np.arange(x.shape[1]) > (np.arange(x.shape[0]) % queries)[:, None]
        scores[later] = -np.inf
    parts = np.exp(scores - scores.max(1, keepdims=True))
    return parts / parts.sum(1, keepdims=True)


def row_cases(kind: str, dtype: str) -> Iterator[Case]:
    rows, columns = ROW_SHAPES[kind]
    near = dict(tolerance=TOLERANCE[dtype] * 2, size=0.05)
    x, g = draw(dtype, rows, columns, seed=1), draw(dtype, rows, columns, seed=2)
    for queries, scale in [(0, 1.0), (3, 0.25)]:
        out, entry = np.zeros_like(x), f"{kind}_softmax_{dtype}"
        values = [x, out, rows, columns, queries, scale]
        yield Case(f"{entry} {queries}", entry, values, rows, [(out, softmax(x, queries, scale))], **near)
    y, result, entry = (
        softmax(x, 0, 1.0).astype(x.dtype),
        np.zeros_like(x),
        f"{kind}_softmax_backward_{dtype}",
    )
    wide, upstream = y.astype(np.float64), g.astype(np.float64)
    wanted = 0.5 * wide * (upstream - (wide * upstream).sum(1, keepdims=True))
    yield Case(entry, entry, [y, g, result, rows, columns, 0.5], rows, [(result, wanted)], **near)
    yield from other_softmaxes(kind, dtype)
    for weight, bias in [(draw(dtype, columns, seed=3), draw(dtype, columns, seed=4)), (None, None)]:
        yield layer_norm_case(kind, dtype, x, weight, bias)
        yield layer_norm_backward_case(kind, dtype, x, g, weight)


def other_softmaxes(kind: str, dtype: str) -> Iterator[Case]:
    """Logarithms, and shares of rows of which some hold nothing but minus infinity."""
    rows, columns = ROW_SHAPES[kind]
    x = draw(dtype, rows, columns, seed=5)
    logarithms = np.log(softmax(x, 0, 1.0))
    hidden, shares = x.copy(), softmax(x, 0, 1.0)
    hidden[1], shares[1] = -np.inf, 0
    for name, given, wanted in [("log_softmax", x, logarithms), ("safe_softmax", hidden, shares)]:
        out, entry = np.zeros_like(given), f"{kind}_{name}_{dtype}"
        size = 1.0 if name == "log_softmax" else 0.05
        values = [given, out, rows, columns, 0, 1.0]
        yield Case(entry, entry, values, rows, [(out, wanted)], TOLERANCE[dtype] * 2, size)


def along_cases(dtype: str) -> Iterator[Case]:
    """Softmaxes along the middle one of three dims."""
    outer, columns, inner = 3, 5, 7
    near = TOLERANCE[dtype] * 2
    x, g = draw(dtype, outer, columns, inner, seed=1), draw(dtype, outer, columns, inner, seed=2)
    rows = outer * inner

    by_row = softmax(x.swapaxes(1, 2).reshape(rows, columns), 0, 1.0)
    shares = by_row.reshape(outer, inner, columns).swapaxes(1, 2)
    hidden, safe = x.copy(), shares.copy()
    hidden[1, :, 2], safe[1, :, 2] = -np.inf, 0
    forms = [
        ("softmax", x, shares, 0.05), ("safe_softmax", hidden, safe, 0.05),
        ("log_softmax", x, np.log(shares), 1.0),
    ]  # fmt: skip
    for name, given, wanted, size in forms:
        out, entry = np.zeros_like(x), f"along_{name}_{dtype}"
        values = [given, out, rows, columns, inner]
        yield Case(entry, entry, values, rows, [(out, wanted)], near, size)
    y, result, entry = shares.astype(x.dtype), np.zeros_like(x), f"along_softmax_backward_{dtype}"
    wide, upstream = y.astype(np.float64), g.astype(np.float64)
    wanted = wide * (upstream - (wide * upstream).sum(1, keepdims=True))
    values = [y, g, result, rows, columns, inner]
    yield Case(entry, entry, values, rows, [(result, wanted)], near, 0.05)


def layer_norm_case(kind: str, dtype: str, x: np.ndarray, weight: Any, bias: Any) -> Case:
    wide, eps = x.astype(np.float64), 1e-5
    mean, scale = wide.mean(1), 1 / np.sqrt(wide.var(1) + eps)
    wanted = (wide - mean[:, None]) * scale[:, None]
    if weight is not None:
        wanted = wanted * weight.astype(np.float64) + bias.astype(np.float64)
    out, means, scales = np.zeros_like(x), np.zeros(len(x)), np.zeros(len(x))
    entry = f"{kind}_layer_norm_{dtype}"
    values = [x, weight, bias, out, means, scales, *x.shape, eps]
    expected = [(out, wanted), (means, mean), (scales, scale)]
    return Case(f"{entry} {weight is None}", entry, values, len(x), expected, TOLERANCE[dtype] * 2)


def layer_norm_backward_case(kind: str, dtype: str, x: np.ndarray, g: np.ndarray, weight: Any) -> Case:
    wide, eps = x.astype(np.float64), 1e-5
    mean, scale = wide.mean(1, keepdims=True), 1 / np.sqrt(wide.var(1, keepdims=True) + eps)
    standard, upstream = (wide - mean) * scale, g.astype(np.float64)
    if weight is not None:
        upstream = upstream * weight.astype(np.float64)
    along = (upstream * standard).mean(1, keepdims=True)
    wanted = (upstream - upstream.mean(1, keepdims=True) - standard * along) * scale
    out, means, scales = np.zeros_like(x), np.zeros(len(x)), np.zeros(len(x))
    entry = f"{kind}_layer_norm_backward_{dtype}"
    values = [g, x, weight, out, means, scales, *x.shape, eps]
    expected = [(out, wanted), (means, mean[:, 0]), (scales, scale[:, 0])]
    return Case(f"{entry} {weight is None}", entry, values, len(x), expected, TOLERANCE[dtype] * 2)


def row_part_cases(dtype: str) -> Iterator[Case]:
    rows, columns, chunk, chunks = 11, 37, 4, 3
    g, x = draw(dtype, rows, columns, seed=1), draw(dtype, rows, columns, seed=2)
    means, scales = np.linspace(-1, 1, rows), np.linspace(0.5, 2, rows)
    standard = (x.astype(np.float64) - means[:, None]) * scales[:, None]
    terms, wide = g.astype(np.float64) * standard, np.float64 if dtype == "float64" else np.float32
    wanted = np.add.reduceat(terms, range(0, rows, chunk))
    parts, near = np.zeros((chunks, columns), wide), 1e-13 if dtype == "float64" else 2e-6
    entry = f"layer_norm_weight_parts_{dtype}"
    values = [g, x, means, scales, parts, rows, columns, chunk]
    yield Case(entry, entry, values, parts.size, [(parts, wanted)], near)
    given, out, entry = wanted.astype(wide), np.zeros(columns, x.dtype), f"sum_of_parts_{dtype}"
    expected = [(out, given.astype(np.float64).sum(0))]
    yield Case(entry, entry, [given, out, chunks, columns], columns, expected, TOLERANCE[dtype])


WINDOW_KERNELS = (
    "image_to_columns", "columns_to_image", "depthwise", "gradient_depthwise_image",
    "gradient_depthwise_taps",
)  # fmt: skip
GEOMETRIES = [
    dict(image=(2, 3, 5, 6), window=(3, 2), stride=(1, 1), padding=(0, 0), dilation=(1, 1)),
    dict(image=(1, 2, 7, 8), window=(3, 3), stride=(2, 1), padding=(1, 2), dilation=(1, 2)),
]


def spots(geometry: dict[str, Any]) -> tuple[int, int]:
    """Height and width of what a convolution gives."""
    steps = [geometry[name] for name in ("window", "stride", "padding", "dilation")]
    sizes = zip(geometry["image"][2:], *steps, strict=True)
    height, width = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sizes)
    return height, width


def window_case(name: str, dtype: str, geometry: dict[str, Any]) -> Case:
    """One of the three window kernels, against slices of a padded image."""
    batch, channels, height, width = geometry["image"]
    (tall, broad), (down, right), (top, left), (apart, aside) = (
        geometry[k] for k in ("window", "stride", "padding", "dilation")
    )
    rows, columns = spots(geometry)
    image = draw(dtype, *geometry["image"], seed=1)
    padded = np.pad(image.astype(np.float64), [(0, 0), (0, 0), (top, top), (left, left)])
    shape = batch, channels, tall, broad, rows, columns
    taken = np.zeros(shape)
    spread, back = draw(dtype, *shape, seed=2), np.zeros_like(padded)
    for i, j in product(range(tall), range(broad)):
        part = np.s_[
            :, :, i * apart : i * apart + down * (rows - 1) + 1 : down,
            j * aside : j * aside + right * (columns - 1) + 1 : right,
        ]  # fmt: skip
        taken[:, :, i, j] = padded[part]
        back[part] += spread[:, :, i, j].astype(np.float64)
    sizes = [*geometry["image"], tall, broad, down, right, top, left, apart, aside, rows, columns]
    entry, near = f"{name}_{dtype}", TOLERANCE[dtype] * 4
    if name == "image_to_columns":
        out = np.zeros(shape, image.dtype)
        return Case(entry, entry, [image, out, *sizes], out.size, [(out, taken.astype(image.dtype))])
    if name == "columns_to_image":
        out, wanted = np.zeros_like(image), back[:, :, top : top + height, left : left + width]
        return Case(entry, entry, [spread, out, *sizes], out.size, [(out, wanted)], near)
    if name == "depthwise":
        return depthwise_case(entry, image, taken, sizes, near, with_bias=down == 1)
    return depthwise_gradient_case(entry, image, taken, sizes, near, geometry)


def depthwise_case(
    entry: str, image: np.ndarray, taken: np.ndarray, sizes: list[int], near: float, with_bias: bool
) -> Case:
    dtype, multiplier = image.dtype.name, 2
    batch, channels, tall, broad, rows, columns = taken.shape
    weight = draw(dtype, channels * multiplier, 1, tall, broad, seed=3)
    bias = draw(dtype, channels * multiplier, seed=4) if with_bias else None
    taps = weight.astype(np.float64).reshape(channels, multiplier, tall, broad)
    wanted = np.einsum("bcijyx,cmij->bcmyx", taken, taps).reshape(batch, -1, rows, columns)
    if bias is not None:
        wanted = wanted + bias.astype(np.float64)[:, None, None]
    out = np.zeros(wanted.shape, image.dtype)
    return Case(entry, entry, [image, weight, bias, out, multiplier, *sizes], out.size, [(out, wanted)], near)


def depthwise_gradient_case(
    entry: str, image: np.ndarray, taken: np.ndarray, sizes: list[int], near: float, geometry: dict[str, Any]
) -> Case:
    dtype, multiplier = image.dtype.name, 2
    batch, channels, tall, broad, rows, columns = taken.shape
    weight = draw(dtype, channels * multiplier, 1, tall, broad, seed=3)
    g = draw(dtype, batch, channels * multiplier, rows, columns, seed=5)
    taps = weight.astype(np.float64).reshape(channels, multiplier, tall, broad)
    upstream = g.astype(np.float64).reshape(batch, channels, multiplier, rows, columns)
    work = [multiplier, *sizes]
    if "taps" in entry:
        wanted = np.einsum("bcmyx,bcijyx->cmij", upstream, taken).reshape(weight.shape)
        out = np.zeros_like(weight)
        return Case(entry, entry, [g, image, out, *work], out.size, [(out, wanted)], near)
    (down, right), (top, left) = geometry["stride"], geometry["padding"]
    apart, aside = geometry["dilation"]
    height, width = image.shape[2:]
    back = np.zeros((batch, channels, height + 2 * top, width + 2 * left))
    for i, j in product(range(tall), range(broad)):
        part = np.s_[
            :, :, i * apart : i * apart + down * (rows - 1) + 1 : down,
            j * aside : j * aside + right * (columns - 1) + 1 : right,
        ]  # fmt: skip
        back[part] += np.einsum("bcmyx,cm->bcyx", upstream, taps[:, :, i, j])
    out, wanted = np.zeros_like(image), back[:, :, top : top + height, left : left + width]
    return Case(entry, entry, [g, weight, out, *work], out.size, [(out, wanted)], near)


def add_rows_case(dtype: str) -> Case:
    rows, size, skipped = draw(dtype, 90, 5), 6, 2
    index = np.random.default_rng(3).integers(0, size, 90)
    index[[0, 89]] = -1, size
    sums = np.ones((size, 5), np.float64 if dtype == "float64" else np.float32)
    wanted = np.ones((size, 5))
    kept = (index >= 0) & (index < size) & (index != skipped)
    np.add.at(wanted, index[kept], rows[kept].astype(np.float64))
    near = 1e-13 if dtype == "float64" else 2e-6
    entry = f"add_rows_{dtype}"
    values = [rows, index, sums, 90, 5, size, skipped]
    return Case(entry, entry, values, rows.size, [(sums, wanted)], near)


def cases() -> Iterator[Case]:
    """All of them."""
    yield from cast_cases()
    yield from philox_cases()
    for dtype in DTYPES:
        for kind in ROW_SHAPES:
            yield from row_cases(kind, dtype)
        yield from along_cases(dtype)
        yield from row_part_cases(dtype)
        for name, geometry in product(WINDOW_KERNELS, GEOMETRIES):
            yield window_case(name, dtype, geometry)
        yield add_rows_case(dtype)
