"""Cases of the elementwise kernels: formulas in float64, broadcast inputs, and numbers beside halves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import special

from cuda_sources.running import Case
from cuda_sources.tensor_cases import DTYPES, TOLERANCE, draw
from devtensor_cupy.compile.elementwise import ARRAYS
from devtensor_cupy.compile.walks import steps_of, walk

SHAPE = (9, 5, 30)
DENSITY = 1 / np.sqrt(2 * np.pi)
BENT = np.sqrt(2 / np.pi)


def bent(x: np.ndarray) -> np.ndarray:
    """(1 + tanh(u)) / 2, of which nothing cancels far below 0."""
    return special.expit(2 * BENT * (x + 0.044715 * x**3))


def bent_slope(x: np.ndarray) -> np.ndarray:
    return bent(x) + 2 * x * bent(x) * bent(-x) * BENT * (1 + 0.134145 * x**2)


def mish_slope(x: np.ndarray) -> np.ndarray:
    inner = np.tanh(np.logaddexp(0, x))
    return inner + x * special.expit(x) * (1 - inner**2)


REFERENCES: dict[str, tuple[Callable[..., Any], tuple[float, ...]]] = {
    "gelu": (lambda x: x * special.ndtr(x), ()),
    "gelu_tanh": (lambda x: x * bent(x), ()),
    "gelu_gradient": (lambda g, x: g * (special.ndtr(x) + x * np.exp(-x * x / 2) * DENSITY), ()),
    "gelu_tanh_gradient": (lambda g, x: g * bent_slope(x), ()),
    "sigmoid_gradient": (lambda g, y: g * y * (1 - y), ()),
    "tanh_gradient": (lambda g, y: g * (1 - y * y), ()),
    "relu_gradient": (lambda g, y: np.where(y > 0, g, 0), ()),
    "silu_gradient": (lambda g, x: g * special.expit(x) * (1 + x * special.expit(-x)), ()),
    "mish_gradient": (lambda g, x: g * mish_slope(x), ()),
    "softplus_gradient": (lambda g, x, b, t: g * np.where(b * x > t, 1, special.expit(b * x)), (1.5, 2.0)),
    "elu_gradient": (
        lambda g, x, a, s, i: g * s * np.where(x > 0, 1, a * i * np.exp(np.minimum(x, 0) * i)),
        (1.7, 1.1, 0.6),
    ),
    "leaky_relu_gradient": (lambda g, x, slope: g * np.where(x > 0, 1, slope), (0.25,)),
    "hardtanh_gradient": (lambda g, x, low, high: np.where((x > low) & (x < high), g, 0), (-0.5, 1.5)),
    "hardswish_gradient": (lambda g, x: g * np.where(x < 3, np.where(x > -3, x / 3 + 0.5, 0), 1), ()),
    "sigmoid": (special.expit, ()),
    "silu": (lambda x: x * special.expit(x), ()),
    "mish": (lambda x: x * np.tanh(np.logaddexp(0, x)), ()),
    "softplus": (lambda x, b, t: np.where(b * x > t, x, np.logaddexp(0, b * x) / b), (1.5, 2.0)),
    "logsigmoid": (special.log_expit, ()),
    "elu": (lambda x, a, s, i: s * np.where(x > 0, x, a * np.expm1(np.minimum(x, 0) * i)), (1.7, 1.1, 0.6)),
    "leaky_relu": (lambda x, slope: np.where(x > 0, x, slope * x), (0.25,)),
    "hardtanh": (lambda x, low, high: np.clip(x, low, high), (-0.5, 1.5)),
    "hardsigmoid": (lambda x: np.clip(x + 3, 0, 6) / 6, ()),
    "hardswish": (lambda x: x * np.clip(x + 3, 0, 6) / 6, ()),
    "add_scaled": (lambda x, y, z: x + y * z, ()),
    "sub_scaled": (lambda x, y, z: x - y * z, ()),
    "addcmul": (lambda x, y, z, w: x + w * y * z, ()),
    "addcdiv": (lambda x, y, z, w: x + w * y / z, ()),
    "lerp": (lambda x, y, z: x + z * (y - x), ()),
    "clamp": (lambda x, y, z: np.minimum(np.maximum(x, y), z), ()),
}


def elementwise_case(name: str, dtype: str, how: str, inputs: list[np.ndarray], work: int) -> Case:
    """Inputs that broadcast to a shape; the result lies in rows. Blocks are as many as so much work wants."""
    reference, numbers = REFERENCES[name]
    spread = np.broadcast_arrays(*inputs)
    out, entry = np.zeros(spread[0].shape, DTYPES[dtype]), f"{name}_{dtype}"
    wide = sum(1 << k for k, x in enumerate(inputs) if x.dtype != out.dtype)
    way = walk(out.shape, (steps_of(out), *map(steps_of, spread)))
    # Arrays come to the device in rows, so they are given as they lie there.
    arrays = [*inputs, *[None] * (4 - len(inputs))]
    values = [out, *arrays, way, out.size, wide, *numbers, *[0.0] * (3 - len(numbers))]
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = reference(*(x.astype(np.float64) for x in inputs), *numbers)
    return Case(f"{entry} {how}", entry, values, work, [(out, wanted)], TOLERANCE[dtype] * 2, 0.05)


def drawn(name: str, dtype: str, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
    """Numbers on both sides of 0, divisors far from it."""
    inputs = [draw(dtype, *shape, seed=k) * DTYPES[dtype](3) for k, shape in enumerate(shapes)]
    if name == "addcdiv":
        inputs[2] = np.where(inputs[2] < 0, DTYPES[dtype](-2), DTYPES[dtype](1.5))
    return [np.asarray(x, DTYPES[dtype]) for x in inputs]


def cases() -> Iterator[Case]:
    """All of them."""
    for dtype in DTYPES:
        for name, count in ARRAYS.items():
            alike = drawn(name, dtype, [SHAPE] * count)
            alike[0][0, 0, 3] = np.nan
            yield elementwise_case(name, dtype, "alike", alike, 1)
            mixed = [SHAPE, (9, 1, 30), (5, 1), ()][:count]
            broadcast = drawn(name, dtype, mixed)
            if count > 2 and dtype in ("float16", "bfloat16"):
                # A number that no half holds.
                broadcast[-1] = np.array(0.3001, np.float32)
            yield elementwise_case(name, dtype, "broadcast", broadcast, alike[0].size)
