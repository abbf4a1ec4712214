"""NumPy's kernels of order and of sums by index, against the plain way to the same places."""

from __future__ import annotations

import numpy as np
import pytest

from devtensor_numpy import index, sorting

DTYPES = ("float16", "float32", "float64", "int8", "uint8", "int16", "int32", "int64", "uint64", "bool")
SHAPES = ((1,), (7,), (3, 5), (5, 3, 2), (5000,), (4, 2000), (2000, 3), (0, 3))
rng = np.random.default_rng(0)


def drawn(shape: tuple[int, ...], dtype: str, kind: str) -> np.ndarray:
    """Numbers with ties, with spans that half an int64 does not hold, or with NaN and both zeros."""
    if dtype == "bool":
        return rng.random(shape) < 0.5
    limit = 4 if kind == "ties" else min(np.iinfo("int64").max, float(top(dtype)))
    low = 0 if np.dtype(dtype).kind == "u" else -limit
    x = (rng.random(shape) * (limit - low) * 0.9 + low).astype(dtype)
    if kind == "special" and x.dtype.kind == "f":
        x[rng.random(shape) < 0.1] = np.nan
        x[rng.random(shape) < 0.1] = -np.nan
        x[rng.random(shape) < 0.1] = -0.0
        x[rng.random(shape) < 0.1] = 0.0
        x[rng.random(shape) < 0.1] = -np.inf
    return x


def top(dtype: str) -> float:
    return 1e4 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max


def stable(x: np.ndarray, dim: int, descending: bool) -> np.ndarray:
    """The order by NumPy's stable sort, of the flipped input if descending."""
    if not descending:
        return x.argsort(dim, kind="stable")
    return np.flip(x.shape[dim] - 1 - np.flip(x, dim).argsort(dim, kind="stable"), dim)


@pytest.mark.parametrize("kind", ["ties", "wide", "special"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_order_is_stable_and_selection_is_a_part_of_it(dtype, kind):
    for shape in SHAPES:
        x = drawn(shape, dtype, kind)
        for dim in range(x.ndim):
            size = shape[dim]
            for descending in (False, True):
                order = stable(x, dim, descending)
                values, places = sorting.sort(x, dim, descending)
                np.testing.assert_array_equal(places, order)
                assert values.tobytes() == np.take_along_axis(x, order, dim).tobytes()
                middle = size // 2
                for first, last in ((0, 0), (0, min(3, size)), (middle, min(middle + 1, size)), (0, size)):
                    values, places = sorting.ranked(x, dim, first, last, descending)
                    part = np.take(order, range(first, last), dim)
                    np.testing.assert_array_equal(places, part)
                    assert values.tobytes() == np.take_along_axis(x, part, dim).tobytes()


def test_selection_sorts_few_numbers(monkeypatch):
    seen = []
    order_of = sorting.order_of
    monkeypatch.setattr(sorting, "order_of", lambda x, d: seen.append(x.size) or order_of(x, d))
    x = rng.normal(size=(10, 10_000)).astype(np.float32)
    for first, last in ((0, 5), (4999, 5000), (9_990, 10_000)):
        sorting.ranked(x, 1, first, last, True)
    assert seen and max(seen) < x.size // 20


ADDED = {
    "wide rows": ((50, 100), (rng.integers(0, 50, 30),), (30, 100)),
    "wide rows by a table": ((50, 100), (rng.integers(0, 50, (5, 6)),), (5, 6, 100)),
    "columns": ((100, 50), (slice(None), rng.integers(0, 50, 30)), (100, 30)),
    "one row for all": ((50, 100), (rng.integers(0, 50, 30),), (100,)),
    "numbers": ((6, 7), (rng.integers(0, 6, 40), rng.integers(0, 7, 40)), (40,)),
    "numbers by grids": ((6, 7), (np.arange(6).reshape(6, 1), rng.integers(0, 7, (6, 9))), (6, 9)),
    "one number for all": ((6, 7), (rng.integers(0, 6, 40), rng.integers(0, 7, 40)), ()),
    "from the end": ((50, 100), (rng.integers(-50, 0, 30),), (30, 100)),
    "narrow rows": ((50, 3), (rng.integers(0, 50, 30),), (30, 3)),
    "between slices": ((4, 50, 80), (slice(None), rng.integers(0, 50, 9), slice(None)), (4, 9, 80)),
    "nothing": ((50, 100), (np.zeros(0, np.int64),), (0, 100)),
}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "int16", "complex64", "bool"])
@pytest.mark.parametrize("name", ADDED)
def test_sums_by_index_are_those_of_add_at(name, dtype, turned):
    shape, places, wanted = ADDED[name]
    target = rng.integers(0, 9, shape).astype(dtype)
    found = np.asfortranarray(target) if turned else target.copy()
    values = rng.integers(0, 9, wanted).astype(dtype)
    np.add.at(target, places, values)
    index.add_at(found, places, values)
    np.testing.assert_array_equal(found, target)


def test_an_index_out_of_range_writes_nothing():
    target = np.zeros((50, 100), np.float32)
    with pytest.raises(IndexError, match="index 50 is out of bounds"):
        index.add_at(target, (np.array([1, 50]),), np.ones((2, 100), np.float32))
    assert not target.any()
