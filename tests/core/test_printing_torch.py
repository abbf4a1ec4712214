"""Random tensors print as they do in PyTorch: an optional run (--oracle torch)."""

from __future__ import annotations

import re

import numpy as np
import pytest

import devtensor

SPECIAL = [np.inf, -np.inf, np.nan, 0.0, -0.0]
NAMES = [
    "float32",
    "float64",
    "float16",
    "bfloat16",
    "int64",
    "int8",
    "uint8",
    "bool",
    "complex64",
    "complex128",
]


def some_shape(rng):
    """A shape of up to four dims, now and then large enough for dots."""
    sizes = [1, 2, 3, 6, 7, 9, 20, 40, 90] if rng.random() < 0.15 else [0, 1, 1, 2, 3, 4, 5, 7, 8]
    return tuple(int(n) for n in rng.choice(sizes, size=rng.choice([0, 1, 1, 2, 2, 3, 4])))


def some_floats(rng, shape):
    """Numbers of one size, of many, whole ones, and ones among infinities, NaN and zeros."""
    numbers, kind = rng.standard_normal(shape), rng.integers(0, 6)
    if kind == 0:
        numbers = numbers * 10.0 ** rng.integers(-8, 10)
    elif kind == 1:
        numbers = np.round(numbers * rng.choice([1, 5, 50, 5000]))
    elif kind == 2:
        numbers = numbers * 10.0 ** rng.integers(-6, 6, size=shape)
    elif kind == 3:
        numbers = np.where(rng.random(shape) < 0.4, rng.choice(SPECIAL, size=shape), np.round(numbers * 10))
    elif kind == 4:
        numbers = rng.choice(SPECIAL, size=shape)
    return np.asarray(numbers)


def some_numbers(rng, name, shape):
    """A NumPy array for the dtype of this name."""
    if name == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    if "int" in name:
        limits = np.iinfo(name)
        most = int(rng.choice([1, 9, 100, 2**15, 2**62]))
        return np.asarray(rng.integers(max(limits.min, -most), min(limits.max, most), size=shape, dtype=name))
    if "complex" in name:
        return np.asarray(some_floats(rng, shape) + 1j * some_floats(rng, shape))
    return some_floats(rng, shape)


def some_options(rng):
    """Printing options, mostly the usual ones."""
    if rng.random() < 0.7:
        return {"profile": str(rng.choice(["default", "short", "full"]))}
    return {
        "precision": int(rng.choice([0, 1, 2, 4, 8])),
        "threshold": int(rng.choice([0, 5, 50, 1000])),
        "edgeitems": int(rng.choice([0, 1, 2, 5])),
        "linewidth": int(rng.choice([20, 40, 80, 120])),
        "sci_mode": [None, True, False][rng.integers(3)],
    }


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.filterwarnings("ignore")  # NumPy's, on numbers that half types cannot hold
def test_random_tensors(seed, torch):
    rng = np.random.default_rng(seed)
    kept = torch._tensor_str.get_printoptions()
    try:
        for _ in range(25):
            name, shape, options = str(rng.choice(NAMES)), some_shape(rng), some_options(rng)
            numbers = some_numbers(rng, name, shape)
            torch.set_printoptions(**options)
            theirs = repr(torch.tensor(numbers).to(getattr(torch, name)))
            with devtensor.printoptions(**options):
                ours = repr(devtensor.tensor(numbers).to(getattr(devtensor, name)))
            # The longer name may move a suffix to a line of its own.
            assert re.sub(r"\s+dtype", " dtype", ours) == re.sub(
                r"\s+dtype", " dtype", theirs.replace("torch.", "devtensor.")
            ), (name, shape, options)
    finally:
        torch.set_printoptions(**kept)
