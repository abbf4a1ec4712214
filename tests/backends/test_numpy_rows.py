"""The CPU's kernels of rows and steps against float64 and the generic kernels, also over many blocks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from devtensor.backend import arraylib
from devtensor.backend.arraylib import recurrent
from devtensor_numpy import activations, lstm, random, row_norms, row_sums, slopes

rng = np.random.default_rng(7)
LIBRARY = arraylib.Library(np)


@pytest.mark.parametrize(
    ("shape", "dims"),
    [
        ((300, 40), (0,)),
        ((300, 40), (1,)),
        ((6, 50, 40), (0, 1)),
        ((6, 50, 40), (1, 0)),
        ((6, 50, 40), (1, 2)),
        ((6, 50, 40), (0, 2)),
        ((6, 50, 40), (1,)),
        ((6, 50, 40), (0, 1, 2)),
        ((3, 5000), (1,)),
        ((5000, 3), (0,)),
        ((70000, 20), (0,)),
        ((2, 3), (1,)),
        ((5000,), ()),
    ],
)
@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_sums_over_dims(shape, dims, keepdim, dtype):
    x = (rng.normal(size=shape) * 8).astype(dtype)
    wanted = x.astype(np.float64).sum(dims, keepdims=keepdim)
    found = row_sums.sum_over(x, dims, keepdim)
    assert (found.shape, found.dtype) == (wanted.shape, x.dtype)
    scale = np.abs(x.astype(np.float64)).sum(dims, keepdims=keepdim)
    error = np.abs(found - wanted) / (scale + 1)
    assert error.max() <= (4e-6 if dtype == "float32" else 1e-14)


def test_what_is_not_finite_reaches_its_own_sums_alone():
    x = np.ones((100, 50), np.float32)
    x[3, 4], x[5, 6], x[5, 7] = np.nan, np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        rows, columns = row_sums.sum_over(x, (1,), False), row_sums.sum_over(x, (0,), False)
    assert np.flatnonzero(np.isnan(rows)).tolist() == [3, 5]
    assert np.flatnonzero(np.isnan(columns)).tolist() == [4]
    assert columns[6] == np.inf and columns[7] == -np.inf


@pytest.mark.parametrize("shape", [(3, 7), (900, 300), (40, 9000), (7, 1)])
@pytest.mark.parametrize("affine", [True, False])
def test_layer_norm(shape, affine):
    x = rng.normal(2, 3, shape)
    weight, bias = (rng.normal(size=shape[1]) if affine else None for _ in range(2))
    wanted = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-3)
    wanted = wanted * weight + bias if affine else wanted
    singles = [None if part is None else part.astype(np.float32) for part in (x, weight, bias)]
    np.testing.assert_allclose(row_norms.layer_norm(x, weight, bias, 1, 1e-3), wanted, rtol=0, atol=1e-12)
    np.testing.assert_allclose(row_norms.layer_norm(*singles, 1, 1e-3), wanted, rtol=0, atol=2e-5)


@pytest.mark.parametrize("shape", [(3, 7), (900, 300)])
@pytest.mark.parametrize("affine", [True, False])
def test_layer_norm_gradient(shape, affine):
    g, x = rng.normal(size=shape), rng.normal(size=shape)
    weight = rng.normal(size=shape[1]) if affine else None
    standard = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-3)
    weighted = g if weight is None else g * weight
    slope = weighted - weighted.mean(1, keepdims=True)
    slope -= standard * (weighted * standard).mean(1, keepdims=True)
    slope /= np.sqrt(x.var(1, keepdims=True) + 1e-3)
    found, along = row_norms.layer_norm_gradient(g, x, weight, 1, 1e-3)
    np.testing.assert_allclose(found, slope, rtol=0, atol=1e-12)
    np.testing.assert_allclose(along, (g * standard).sum(0), rtol=0, atol=1e-10)


@pytest.mark.parametrize("slope", [0.01, 1.0, 0.0, -0.5, 2.0])
@pytest.mark.parametrize("count", [5, 200_000])
def test_leaky_relu(slope, count):
    x = rng.normal(size=count).astype(np.float32)
    x[:5] = [np.nan, np.inf, -np.inf, 0.0, -0.0]
    with np.errstate(invalid="ignore"):
        wanted, found = np.where(x > 0, x, x * np.float32(slope)), activations.leaky_relu(x, slope)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("count", [5, 200_000])
def test_silu(count):
    x = rng.normal(0, 5, count)
    np.testing.assert_allclose(activations.silu(x), x / (1 + np.exp(-x)), rtol=1e-14)
    turned = np.broadcast_to(x[:5], (3, 5)).T
    assert activations.silu(turned).tolist() == (turned / (1 + np.exp(-turned))).tolist()


@pytest.mark.parametrize("count", [5, 200_000])
def test_gradient_of_silu(count):
    g, x = rng.normal(0, 5, (2, count))
    gate = 1 / (1 + np.exp(-x))
    wanted = g * (gate * (x * (1 - gate) + 1))
    np.testing.assert_allclose(slopes.silu_gradient(g, x), wanted, rtol=1e-13, atol=1e-15)
    turned = slopes.silu_gradient(g[::2].copy(), x[::2])
    np.testing.assert_allclose(turned, wanted[::2], rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("slope", [0.01, -0.5, 2.0])
@pytest.mark.parametrize("count", [5, 200_000])
def test_gradient_of_leaky_relu(slope, count):
    g, x = rng.normal(size=(2, count)).astype(np.float32)
    x[:4] = [np.nan, np.inf, -np.inf, 0.0]
    wanted = np.where(x > 0, g, g * np.float32(slope))
    np.testing.assert_array_equal(slopes.leaky_relu_gradient(g, x, slope), wanted)


SIZES = [(6, 2, 3), (40, 16, 8), (5, 1, 200), (4, 3, 1), (2, 2, 3)]


@pytest.mark.parametrize(("count", "batch", "size"), SIZES)
@pytest.mark.parametrize("backward", [False, True])
def test_lstm_of_even_steps(count, batch, size, backward):
    def made(*shape):
        return rng.normal(0, 0.3, shape)

    steps = tuple((place * batch, batch) for place in range(count))
    steps = steps[::-1] if backward else steps
    rows = count * batch
    given = made(rows, 4 * size), made(batch, size), made(batch, size), made(4 * size, size), None, steps
    wanted = recurrent.lstm_layer(LIBRARY, *given)
    for a, b in zip(lstm.lstm_layer(*given), wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)
    _, cells, gates = wanted
    for own in (made(rows, 4 * size), np.zeros((rows, 4 * size))):
        met = made(rows, size), made(rows, size), own, cells, gates, *given[2:]
        slopes = recurrent.lstm_layer_grad(LIBRARY, *met)
        for a, b in zip(lstm.lstm_layer_grad(*met), slopes, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-11)


def test_steps_that_are_not_even():
    even = ((0, 2), (2, 2), (4, 2), (6, 2))
    assert lstm.is_even(even) and lstm.is_even(even[::-1])
    for steps in (
        even[:3],
        ((0, 3), (3, 2), (5, 1), (6, 1)),
        ((0, 2), (4, 2), (2, 2), (6, 2)),
        ((0, 0),) * 4,
    ):
        assert not lstm.is_even(steps)


KERNELS = random.random_kernels()
GENERIC = arraylib.random.kernels(LIBRARY)
DRAWS = [
    ("random_normal", ("float32",)),
    ("random_normal", ("float64",)),
    ("random_normal", ("bfloat16",)),
    ("random_uniform", ("float32",)),
    ("random_integers", (-5, 900)),
]


@pytest.mark.parametrize(("name", "params"), DRAWS)
def test_draws_are_the_generic_ones_bit_for_bit(name, params):
    # Small draws one after the other, some from where others were, a large one between, another seed.
    places = [(5, n * 6) for n in range(200)]
    places += [(5, 1200), (5, 1206), (5, 3), (-9, 1206), (-9, 1212), (-9, 1218), (-9, 1200), (5, 6), (5, 12)]
    for seed, offset in places:
        state = np.array([seed, offset], np.int64)
        for shape in ((2, 3), (), (0,), (65,)) if offset % 7 == 3 else ((2, 3),):
            found = KERNELS[name](state, shape, *params)
            assert found.shape == shape
            assert found.tobytes() == GENERIC[name](state, shape, *params).tobytes()


def test_a_draw_is_memory_of_its_own():
    state = np.array([1, 0], np.int64)
    for place in range(4):
        state[1] = 2 * place
        drawn = KERNELS["random_uniform"](state, (2,), "float32")
        before = drawn.copy()
        drawn[...] = math.nan
        assert np.array_equal(KERNELS["random_uniform"](state, (2,), "float32"), before)
