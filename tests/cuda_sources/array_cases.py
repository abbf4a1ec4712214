"""Cases of the kernels over single arrays: casts, random words, windows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product
from typing import Any

import numpy as np

from cuda_sources.running import Case
from cuda_sources.tensor_cases import DTYPES, TOLERANCE, draw
from devtensor.backend.arraylib.random import UNIFORM_BITS


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
        for dtype, bits in UNIFORM_BITS.items():
            numbers = (words >> np.uint64(64 - bits)).astype(np.float64) * 2.0**-bits
            made = np.zeros(count, DTYPES[dtype])
            entry = f"philox_uniform_{dtype}"
            yield Case(
                f"{entry} {seed} {offset}", entry, [values[0], made, count], count,
                [(made, numbers.astype(made.dtype))],
            )  # fmt: skip


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


def cases() -> Iterator[Case]:
    """All of them."""
    yield from cast_cases()
    yield from philox_cases()
    for dtype in DTYPES:
        for name, geometry in product(WINDOW_KERNELS, GEOMETRIES):
            yield window_case(name, dtype, geometry)
