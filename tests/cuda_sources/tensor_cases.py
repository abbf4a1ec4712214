"""Cases of the multi-tensor kernels: unscaling, norms, clipping and steps, against float64 NumPy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np

from cuda_sources.running import Case, Table
from devtensor_cupy.compile.multi_steps import CENTERED, DECOUPLED, MAXIMIZE, NESTEROV

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
        for places in ([np.array([norm], np.float32), None], [None, np.array([norm])]):
            yield table_case(
                f"{norm} {places}", f"multi_clip_{dtype}", Table([clipped], CHUNK), [*places, largest],
                expected, tolerance=TOLERANCE[dtype], size=1e-3,
            )  # fmt: skip


def advance_cases() -> Iterator[Case]:
    for found in (None, 0.0, 1.0):
        steps = [np.array([float(k)], np.float32) for k in range(300)]
        flag = None if found is None else np.array([found], np.float32)
        expected = [(step, step + (0 if found else 1)) for step in steps]
        yield Case(f"steps_advance {found}", "steps_advance", [Addresses(steps), 300, flag], 300, expected)


def adapt_cases() -> Iterator[Case]:
    limit = np.finfo(np.float32).max
    for found, scale, count, wanted, after in [
        (0.0, 8.0, 1, 8.0, 2),
        (0.0, 8.0, 2, 20.0, 0),
        (0.0, limit, 2, limit, 0),
        (1.0, 8.0, 2, 2.4, 0),
        (math.nan, 8.0, 0, 2.4, 0),
    ]:
        flag, held, tracker = (np.array([x], np.float32) for x in (found, scale, count))
        tracker = tracker.astype(np.int32)
        expected = [(held, np.array([wanted])), (tracker, np.array([after]))]
        values = [flag, held, tracker, 2.5, 0.3, 3]
        yield Case(f"scale_adapt {found} {scale} {count}", "scale_adapt", values, 1, expected)


class Addresses(Table):
    """The bare addresses of small tensors, without a table's other parts."""

    def __init__(self, arrays: list[np.ndarray]) -> None:
        super().__init__([arrays], 0)

    def content(self, addresses: list[list[int]]) -> bytes:
        return np.array(addresses[0], np.int64).tobytes()


def norm_of_sums_cases() -> Iterator[Case]:
    sums = np.abs(draw("float64", 700))
    for dtype, near in (("float32", 1e-7), ("float64", 1e-13)):
        norm = np.zeros(1, dtype)
        places = [norm, None] if dtype == "float32" else [None, norm]
        expected = [(norm, np.sqrt(sums.sum(keepdims=True)))]
        yield Case(f"norm_of_sums {dtype}", "norm_of_sums", [sums, 700, *places], 1, expected, near)


DEFAULTS: dict[str, Any] = dict(
    momentum=0.0, dampening=0.0, decay=0.0, flags=0, scale=None, step=1.0, found=None, lr=0.05, lr_at=None,
    beta1=0.9, beta2=0.99, alpha=0.9, eps=1e-3, lr_decay=0.0, peaks=False,
)  # fmt: skip
SGD_SETTINGS = [
    dict(),
    dict(decay=0.1, flags=MAXIMIZE),
    dict(momentum=0.9, decay=0.01, lr=7.0, lr_at=0.05),
    dict(momentum=0.9, flags=NESTEROV, scale=4.0),
    dict(momentum=0.9, dampening=0.5, step=1.0),
    dict(momentum=0.9, dampening=0.5, step=2.0, found=0.0),
    dict(momentum=0.9, dampening=0.5, step=2.0, found=1.0),
]


def sgd_case(dtype: str, told: dict[str, Any]) -> Case:
    h = DEFAULTS | told
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
        expected.append((p, p.astype(np.float64) - rate_of(h) * way))
        if h["momentum"]:
            expected.append((v, velocity))
    return step_case("sgd", dtype, told, lists, h, ["momentum", "dampening"], expected)


ADAM_SETTINGS = [
    dict(step=1.0),
    dict(step=7.0, decay=0.1, flags=MAXIMIZE),
    dict(step=7.0, decay=0.1, flags=DECOUPLED, scale=2.0, lr=7.0, lr_at=0.05),
    dict(step=3.0, peaks=True, found=0.0),
    dict(step=3.0, decay=0.1, peaks=True, flags=DECOUPLED, found=1.0, scale=2.0),
]


def adam_case(dtype: str, told: dict[str, Any]) -> Case:
    h = DEFAULTS | told
    p, g, m = (tensors(dtype, seed) for seed in (1, 2, 3))
    v, top = tensors(dtype, 4, positive=True), tensors(dtype, 5, positive=True)
    lists = [p, g, m, v, counts_of(h), top if h["peaks"] else []]
    expected = []
    for k in range(len(SIZES)):
        decoupled = h["flags"] & DECOUPLED
        value = p[k].astype(np.float64)
        gradient = given_gradient(g[k], h) + (0 if decoupled else h["decay"]) * value
        mean = h["beta1"] * m[k].astype(np.float64) + (1 - h["beta1"]) * gradient
        square = h["beta2"] * v[k].astype(np.float64) + (1 - h["beta2"]) * gradient**2
        expected += [(m[k], mean), (v[k], square)]
        if h["peaks"]:
            square = np.maximum(square, top[k].astype(np.float64))
            expected.append((top[k], square))
        root = np.sqrt(square / (1 - h["beta2"] ** h["step"])) + h["eps"]
        shrunk = value * (1 - rate_of(h) * h["decay"]) if decoupled else value
        expected.append((p[k], shrunk - rate_of(h) * mean / (1 - h["beta1"] ** h["step"]) / root))
    return step_case("adam", dtype, told, lists, h, ["beta1", "beta2", "eps"], expected)


ADAGRAD_SETTINGS = [
    dict(),
    dict(step=5.0, lr_decay=0.1, decay=0.1, flags=MAXIMIZE, lr_at=0.02, found=0.0),
    dict(step=5.0, lr_decay=0.1, scale=4.0),
    dict(step=5.0, found=1.0),
]


def adagrad_case(dtype: str, told: dict[str, Any]) -> Case:
    h = DEFAULTS | told
    p, g, sums = tensors(dtype, 1), tensors(dtype, 2), tensors(dtype, 3, positive=True)
    expected = []
    for value, gradient, total in zip(p, g, sums, strict=True):
        pull = given_gradient(gradient, h) + h["decay"] * value.astype(np.float64)
        after = total.astype(np.float64) + pull**2
        length = rate_of(h) / (1 + (h["step"] - 1) * h["lr_decay"])
        way = length * pull / (np.sqrt(after) + h["eps"])
        expected += [(total, after), (value, value.astype(np.float64) - way)]
    return step_case("adagrad", dtype, told, [p, g, sums, counts_of(h)], h, ["lr_decay", "eps"], expected)


RMSPROP_SETTINGS = [
    dict(),
    dict(momentum=0.9, decay=0.1, flags=MAXIMIZE, lr_at=0.02, found=0.0),
    dict(flags=CENTERED, scale=4.0, eps=0.5),
    dict(momentum=0.9, flags=CENTERED, eps=0.5),
    dict(momentum=0.9, flags=CENTERED, found=1.0),
]


def rmsprop_case(dtype: str, told: dict[str, Any]) -> Case:
    h = DEFAULTS | told
    p, g, velocities, means = (tensors(dtype, seed) for seed in (1, 2, 3, 4))
    # A mean is at most as large as the root of the mean square.
    squares = [(np.square(mean.astype(np.float64)) + 0.5).astype(mean.dtype) for mean in means]
    momentum, centered = h["momentum"], h["flags"] & CENTERED
    expected = []
    for value, gradient, velocity, mean, square in zip(p, g, velocities, means, squares, strict=True):
        pull = given_gradient(gradient, h) + h["decay"] * value.astype(np.float64)
        after = root = h["alpha"] * square.astype(np.float64) + (1 - h["alpha"]) * pull**2
        expected.append((square, after))
        if centered:
            middle = h["alpha"] * mean.astype(np.float64) + (1 - h["alpha"]) * pull
            root = after - middle**2
            expected.append((mean, middle))
        way = pull / (np.sqrt(root) + h["eps"])
        if momentum:
            way = momentum * velocity.astype(np.float64) + way
            expected.append((velocity, way))
        expected.append((value, value.astype(np.float64) - rate_of(h) * way))
    lists = [p, g, squares, velocities if momentum else [], means if centered else []]
    return step_case("rmsprop", dtype, told, lists, h, ["alpha", "eps", "momentum"], expected)


def rate_of(h: dict[str, Any]) -> float:
    return h["lr"] if h["lr_at"] is None else h["lr_at"]


def counts_of(h: dict[str, Any]) -> list[np.ndarray]:
    return [np.array([h["step"]], np.float32) for _ in SIZES]


def given_gradient(g: np.ndarray, h: dict[str, Any]) -> np.ndarray:
    divided = g.astype(np.float64) / (h["scale"] or 1.0)
    return -divided if h["flags"] & MAXIMIZE else divided


def step_case(
    rule: str, dtype: str, told: Any, lists: Any, h: dict[str, Any], own: list[str], expected: Any
) -> Case:
    """A step; one that is skipped changes no bit. A scale divides the gradients for good."""
    found, scale = (None if h[k] is None else np.array([h[k]], np.float32) for k in ("found", "scale"))
    place = None if h["lr_at"] is None else np.array([h["lr_at"]])
    values = [place, h["lr"], found, scale, *(h[name] for name in own), h["decay"], h["flags"]]
    if scale is not None:
        expected = [*expected, *((g, g.astype(np.float64) / h["scale"]) for g in lists[1])]
    entry, table = f"multi_{rule}_{dtype}", Table(lists, CHUNK)
    if h["found"]:
        return table_case(f"{told}", entry, table, values, [(a, a.copy()) for a, _ in expected])
    return table_case(f"{told}", entry, table, values, expected, tolerance=TOLERANCE[dtype])


def cases() -> Iterator[Case]:
    """All of them."""
    yield from advance_cases()
    yield from norm_of_sums_cases()
    yield from adapt_cases()
    for dtype in DTYPES:
        yield from unscale_cases(dtype)
        yield from norm_cases(dtype)
        yield from (sgd_case(dtype, told) for told in SGD_SETTINGS)
        yield from (adam_case(dtype, told) for told in ADAM_SETTINGS)
        yield from (adagrad_case(dtype, told) for told in ADAGRAD_SETTINGS)
        yield from (rmsprop_case(dtype, told) for told in RMSPROP_SETTINGS)
