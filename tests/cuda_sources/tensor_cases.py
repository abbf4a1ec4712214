"""Cases of the multi-tensor kernels: unscaling, norms, clipping and steps, against float64 NumPy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np

from cuda_sources.running import Case, Table
from devtensor_cupy.compile.multi_steps import AMSGRAD, DECOUPLED, MAXIMIZE, NESTEROV

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


def wide(arrays: list[np.ndarray]) -> list[np.ndarray]:
    return [each.astype(np.float64) for each in arrays]


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
        work = np.float64 if dtype == "float64" else np.float32
        with np.errstate(over="ignore"):
            results = [(g.astype(work) * work(np.float32(inverse))).astype(g.dtype) for g in gradients]
        flag = np.zeros(1, np.float32)
        expected = [*zip(gradients, results, strict=True), (flag, np.array([found]))]
        factor = np.array([inverse], np.float32)
        table = Table([gradients], CHUNK)
        yield table_case(name, f"multi_unscale_{dtype}", table, [factor, flag], expected)


def norm_cases(dtype: str) -> Iterator[Case]:
    gradients = tensors(dtype)
    table = Table([gradients], CHUNK)
    sums = np.zeros(len(pieces(table)))
    wanted = [np.square(wide(gradients)[k][begin:end]).sum() for k, begin, end in pieces(table)]
    near = 1e-13 if dtype == "float64" else 2e-6
    yield table_case(
        "", f"multi_square_sums_{dtype}", table, [sums], [(sums, np.array(wanted))], tolerance=near
    )
    for norm, largest in [(4.0, 1.0), (0.5, 1.0)]:
        clipped = tensors(dtype)
        factor = min(1.0, largest / (norm + 1e-6))
        expected = [(g, g.astype(np.float64) * factor) for g in clipped]
        values = [np.array([norm]), largest]
        yield table_case(
            f"{norm}", f"multi_clip_{dtype}", Table([clipped], CHUNK), values, expected,
            tolerance=TOLERANCE[dtype], size=1e-3,
        )  # fmt: skip


def advance_cases() -> Iterator[Case]:
    for found in (None, 0.0, 1.0):
        steps = [np.array([float(k)], np.float32) for k in range(300)]
        flag = None if found is None else np.array([found], np.float32)
        expected = [(step, step + (0 if found else 1)) for step in steps]
        yield Case(f"steps_advance {found}", "steps_advance", [Addresses(steps), 300, flag], 300, expected)


class Addresses(Table):
    """The bare addresses of small tensors, without a table's other parts."""

    def __init__(self, arrays: list[np.ndarray]) -> None:
        super().__init__([arrays], 0)

    def content(self, addresses: list[list[int]]) -> bytes:
        return np.array(addresses[0], np.int64).tobytes()


def norm_of_sums_case() -> Case:
    sums, norm = np.abs(draw("float64", 700)), np.zeros(1)
    expected = [(norm, np.sqrt(sums.sum(keepdims=True)))]
    return Case("norm_of_sums", "norm_of_sums", [sums, 700, norm], 1, expected, 1e-13)


SGD_SETTINGS = [
    dict(),
    dict(decay=0.1, flags=MAXIMIZE),
    dict(momentum=0.9, decay=0.01),
    dict(momentum=0.9, flags=NESTEROV, inverse=0.25),
    dict(momentum=0.9, dampening=0.5, step=1.0),
    dict(momentum=0.9, dampening=0.5, step=2.0, found=0.0),
    dict(momentum=0.9, dampening=0.5, step=2.0, found=1.0),
]


def sgd_case(dtype: str, told: dict[str, Any]) -> Case:
    h = (
        dict(momentum=0.0, dampening=0.0, decay=0.0, flags=0, inverse=None, step=1.0, found=None, lr=0.05)
        | told
    )
    values, gradients, velocities = tensors(dtype, 1), tensors(dtype, 2), tensors(dtype, 3)
    lists = [values, gradients]
    if h["momentum"]:
        lists.append(velocities)
    if h["dampening"]:
        lists.append([np.array([h["step"]], np.float32) for _ in SIZES])
    expected = []
    for p, g, v in zip(values, gradients, velocities, strict=True):
        gradient = given_gradient(g, h) + h["decay"] * p.astype(np.float64)
        velocity = v * np.float64(h["momentum"]) + gradient * (1 if h["step"] == 1 else 1 - h["dampening"])
        way = velocity if h["momentum"] else gradient
        if h["flags"] & NESTEROV:
            way = gradient + h["momentum"] * velocity
        expected.append((p, p.astype(np.float64) - h["lr"] * way))
        if h["momentum"]:
            expected.append((v, velocity))
    arguments = [h["momentum"], h["dampening"], h["decay"], h["flags"]]
    return step_case("sgd", dtype, told, lists, h, arguments, expected)


ADAM_SETTINGS = [
    dict(step=1.0),
    dict(step=7.0, decay=0.1, flags=MAXIMIZE),
    dict(step=7.0, decay=0.1, flags=DECOUPLED, inverse=0.5),
    dict(step=3.0, flags=AMSGRAD, found=0.0),
    dict(step=3.0, decay=0.1, flags=AMSGRAD | DECOUPLED, found=1.0),
]


def adam_case(dtype: str, told: dict[str, Any]) -> Case:
    h = dict(beta1=0.9, beta2=0.99, eps=1e-3, decay=0.0, flags=0, inverse=None, found=None, lr=0.05) | told
    p, g, m = (tensors(dtype, seed) for seed in (1, 2, 3))
    v, top = tensors(dtype, 4, positive=True), tensors(dtype, 5, positive=True)
    lists = [p, g, m, v, [np.array([h["step"]], np.float32) for _ in SIZES]]
    if h["flags"] & AMSGRAD:
        lists.append(top)
    expected = []
    for k in range(len(SIZES)):
        decoupled = h["flags"] & DECOUPLED
        value = p[k].astype(np.float64)
        gradient = given_gradient(g[k], h) + (0 if decoupled else h["decay"]) * value
        mean = h["beta1"] * m[k].astype(np.float64) + (1 - h["beta1"]) * gradient
        square = h["beta2"] * v[k].astype(np.float64) + (1 - h["beta2"]) * gradient**2
        expected += [(m[k], mean), (v[k], square)]
        if h["flags"] & AMSGRAD:
            square = np.maximum(square, top[k].astype(np.float64))
            expected.append((top[k], square))
        root = np.sqrt(square / (1 - h["beta2"] ** h["step"])) + h["eps"]
        shrunk = value * (1 - h["lr"] * h["decay"]) if decoupled else value
        expected.append((p[k], shrunk - h["lr"] * mean / (1 - h["beta1"] ** h["step"]) / root))
    arguments = [h["beta1"], h["beta2"], h["eps"], h["decay"], h["flags"]]
    return step_case("adam", dtype, told, lists, h, arguments, expected)


def given_gradient(g: np.ndarray, h: dict[str, Any]) -> np.ndarray:
    scaled = g.astype(np.float64) * (1.0 if h["inverse"] is None else h["inverse"])
    return -scaled if h["flags"] & MAXIMIZE else scaled


def step_case(
    rule: str, dtype: str, told: Any, lists: Any, h: dict[str, Any], arguments: list[Any], expected: Any
) -> Case:
    """A step; one that is skipped changes no bit."""
    found, inverse = (None if h[k] is None else np.array([h[k]], np.float32) for k in ("found", "inverse"))
    values = [np.array([h["lr"]]), found, inverse, *arguments]
    entry, table = f"multi_{rule}_{dtype}", Table(lists, CHUNK)
    if h["found"]:
        return table_case(f"{told}", entry, table, values, [(a, a.copy()) for a, _ in expected])
    return table_case(f"{told}", entry, table, values, expected, tolerance=TOLERANCE[dtype])


def cases() -> Iterator[Case]:
    """All of them."""
    yield from advance_cases()
    yield norm_of_sums_case()
    for dtype in DTYPES:
        yield from unscale_cases(dtype)
        yield from norm_cases(dtype)
        yield from (sgd_case(dtype, told) for told in SGD_SETTINGS)
        yield from (adam_case(dtype, told) for told in ADAM_SETTINGS)
