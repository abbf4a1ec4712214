"""Cases of the multi-tensor kernels: unscaling, norms, clipping, the next scale, against float64 NumPy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np

from cuda_sources.running import Case, Table
from devtensor_cupy.compile.loss_scale import FLAGS

DTYPES: dict[str, Any] = {
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float32": np.float32,
    "float64": np.float64,
}
TOLERANCE = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2e-6, "float64": 1e-13}
SIZES = 1, 130, 700
CHUNK = 300
OVERFLOW = {
    "float16": (40000.0, 2.0),
    "bfloat16": (3.3895e38, 1.003),
    "float32": (3e38, 2.0),
    "float64": (1.5e308, 2.0),
}
"""A gradient and a factor whose product is too large: for half types, only once it is rounded to them."""


def draw(dtype: str, *shape: int, seed: int = 0) -> np.ndarray:
    """Normal numbers in a dtype."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(DTYPES[dtype])


def tensors(dtype: str, seed: int = 0, positive: bool = False) -> list[np.ndarray]:
    """A tensor of each size."""
    drawn = [draw(dtype, size, seed=seed) for size in SIZES]
    return [np.abs(each) for each in drawn] if positive else drawn


def pieces(table: Table) -> list[tuple[int, int, int]]:
    """Tensor, begin and end of each block's chunk."""
    return [
        (k, i, min(i + table.chunk, n)) for k, n in enumerate(table.sizes()) for i in range(0, n, table.chunk)
    ]


def table_case(name: str, entry: str, table: Table, values: list[Any], expected: Any, **more: Any) -> Case:
    """A case over a table; exact unless it gives a tolerance."""
    return Case(f"{entry} {name}", entry, [table, *values], len(pieces(table)), expected, **more)


def unscale_cases(dtype: str) -> Iterator[Case]:
    big, growth = OVERFLOW[dtype]
    for name, planted, inverse, found in [
        ("finite", 0.0, 0.125, 0.0),
        ("overflows", big, growth, 1.0),
        ("infinite", math.inf, 0.5, 1.0),
        ("nan", math.nan, 0.5, 1.0),
    ]:
        gradients = tensors(dtype)
        # The last of the last tensor: a bound that is one too small misses it, and two threads find them.
        gradients[-1][-2:] = planted
        yield unscale_case(name, dtype, gradients, inverse, found, CHUNK)
    # A thread takes many elements, of which the first is infinite.
    long = draw(dtype, 2500)
    long[0] = math.inf
    yield unscale_case("long", dtype, [long], 0.25, 1.0, 2200)


def unscale_case(
    name: str, dtype: str, gradients: list[np.ndarray], inverse: float, found: float, chunk: int
) -> Case:
    """What becomes of gradients, and of the flag."""
    work = np.float64 if dtype == "float64" else np.float32
    with np.errstate(over="ignore"):
        results = [(g.astype(work) * work(np.float32(inverse))).astype(g.dtype) for g in gradients]
    flag = np.zeros(1, np.float32)
    expected = [*zip(gradients, results, strict=True), (flag, np.array([found]))]
    given = [np.array([inverse], np.float32), flag]
    return table_case(name, f"multi_unscale_{dtype}", Table([gradients], chunk), given, expected)


ORDERS = 2.0, 1.0, 3.0, 0.5, -1.5, 0.0, math.inf, -math.inf
PLANTED = 0.0, math.nan, math.inf


def share(values: np.ndarray, order: float) -> float:
    """What some elements add to a norm of this order; of infinite orders the largest, or minus the least."""
    sizes = np.abs(values.astype(np.float64))
    if math.isinf(order):
        return sizes.max() if order > 0 else -sizes.min()
    with np.errstate(divide="ignore"):
        return float((sizes != 0).sum()) if order == 0 else (sizes**order).sum()


def norm_part_cases(dtype: str) -> Iterator[Case]:
    near = {"float64": 1e-13}.get(dtype, 4e-6)
    for order in ORDERS:
        for planted in PLANTED:
            given = tensors(dtype)
            given[-1][-1] = planted
            table = Table([given], CHUNK)
            parts = np.zeros(len(pieces(table)))
            wanted = [share(given[k][begin:end], order) for k, begin, end in pieces(table)]
            yield table_case(
                f"{order} {planted}", f"multi_norm_parts_{dtype}", table, [order, parts],
                [(parts, np.array(wanted))], tolerance=near,
            )  # fmt: skip


def norm_of_parts_cases() -> Iterator[Case]:
    """Parts of tensors of one chunk and of many, some of which are 0."""
    table = Table([[np.zeros(size, np.float32) for size in (5, 900, 1, 3 * 256 * 7, 12)]], 7)
    blocks = len(pieces(table))
    for order in ORDERS:
        for planted in PLANTED:
            parts = np.where(np.arange(blocks) % 5 < 2, np.abs(draw("float64", blocks)), 0.0)
            parts[-1] = planted
            parts = -parts if order == -math.inf else parts
            wanted = whole(parts, order, [k for k, _, _ in pieces(table)])
            for dtype, near in (("float32", 1e-6), ("float64", 1e-13)):
                norm = np.zeros(1, dtype)
                places = [norm, None] if dtype == "float32" else [None, norm]
                values = [table, parts, order, *places]
                yield Case(
                    f"norm_of_parts {order} {planted} {dtype}", "norm_of_parts", values, 1,
                    [(norm, np.array([wanted]))], near,
                )  # fmt: skip


def whole(parts: np.ndarray, order: float, owners: list[int]) -> float:
    """The norm of parts; of order 0 the tensors that have one that is not 0."""
    if math.isinf(order):
        return float(parts.max() if order > 0 else -parts.max())
    if order == 0:
        return len({owner for owner, part in zip(owners, parts, strict=True) if part != 0})
    with np.errstate(divide="ignore"):
        return float(parts.sum() ** (1 / order))


def clip_cases(dtype: str) -> Iterator[Case]:
    for norm, largest in [(4.0, 1.0), (0.5, 1.0)]:
        clipped = tensors(dtype)
        factor = min(1.0, largest / (norm + 1e-6))
        expected = [(g, g.astype(np.float64) * factor) for g in clipped]
        for places in ([np.array([norm], np.float32), None], [None, np.array([norm])]):
            yield table_case(
                f"{norm} {places}", f"multi_clip_{dtype}", Table([clipped], CHUNK), [*places, largest],
                expected, tolerance=TOLERANCE[dtype], size=1e-3,
            )  # fmt: skip


def clamp_cases(dtype: str) -> Iterator[Case]:
    for limit in (0.5, 0.3, -0.25, math.inf):
        given = tensors(dtype)
        given[-1][:3] = math.nan, math.inf, -math.inf
        bound = given[0].dtype.type(limit)
        expected = [(g, np.minimum(np.maximum(g, -bound), bound)) for g in given]
        yield table_case(f"{limit}", f"multi_clamp_{dtype}", Table([given], CHUNK), [limit], expected)


def adapt_cases() -> Iterator[Case]:
    limit = np.finfo(np.float32).max
    for found, scale, count, wanted, after in [
        ((0.0,), 8.0, 1, 8.0, 2),
        ((0.0,), 8.0, 2, 20.0, 0),
        ((0.0, 0.0), limit, 2, limit, 0),
        ((1.0,), 8.0, 2, 2.4, 0),
        ((math.nan,), 8.0, 0, 2.4, 0),
        *(([0.0] * place + [1.0] + [0.0] * (FLAGS - 1 - place), 8.0, 2, 2.4, 0) for place in range(FLAGS)),
    ]:
        flags = [np.array([x], np.float32) for x in found]
        held, tracker = np.array([scale], np.float32), np.array([count], np.int32)
        expected = [(held, np.array([wanted])), (tracker, np.array([after]))]
        values = [*flags, *[None] * (FLAGS - len(flags)), held, tracker, 2.5, 0.3, 3]
        yield Case(f"scale_adapt {found} {scale} {count}", "scale_adapt", values, 1, expected)


def cases() -> Iterator[Case]:
    """All of them."""
    yield from norm_of_parts_cases()
    yield from adapt_cases()
    for dtype in DTYPES:
        for made in (unscale_cases, norm_part_cases, clip_cases, clamp_cases):
            yield from made(dtype)
