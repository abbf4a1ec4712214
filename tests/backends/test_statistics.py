"""Batch normalisation's kernels: many blocks of samples give what the formulas give."""

from __future__ import annotations

import numpy as np
import pytest

import devtensor
from devtensor.ops.batch_norm import moments_gradient, running_average
from devtensor_numpy import statistics
from half_runs import HALF_TYPES
from kernel_runs import cpu

rng = np.random.default_rng(0)
KINDS = {"float32": np.dtype(np.float32), "float64": np.dtype(np.float64), **HALF_TYPES}
SUMS = {"float64": 1e-12, "float32": 2e-6, "float16": 2e-6, "bfloat16": 2e-6}
VALUES = {"float64": 1e-14, "float32": 2e-7, "float16": 2**-10, "bfloat16": 2**-7}
LAYOUTS = {
    "rows": lambda x: x,
    "channels last": lambda x: np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "every other": lambda x: x[::2, :, :, ::-1],
}


@pytest.fixture(params=["one block", "many"])
def blocks(request, monkeypatch):
    if request.param == "many":
        monkeypatch.setattr(statistics, "BLOCK", 1000)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", KINDS)
def test_gradient_of_batch_norm(blocks, dtype, layout):
    kind, wide = KINDS[dtype], np.dtype(np.float64 if dtype == "float64" else np.float32)
    g, x = (LAYOUTS[layout](rng.normal(size=(30, 5, 7, 6)).astype(kind)) for _ in range(2))
    mean, scale = rng.normal(size=(2, 5)).astype(wide)
    kernel = cpu.specialise("batch_norm_gradient", cpu.kernels["batch_norm_gradient"], dtype)
    exact_g, exact_x, m, s = (part.astype(np.float64) for part in (g, x, mean, scale))
    m, s = m.reshape(5, 1, 1), s.reshape(5, 1, 1)
    slope, total, along = kernel(g, x, mean, scale)
    assert (slope.dtype, total.dtype, along.dtype) == (kind, wide, wide)
    np.testing.assert_allclose(slope.astype(np.float64), exact_g * s, rtol=VALUES[dtype], atol=1e-7)
    for found, terms in ((total, exact_g), (along, exact_g * (exact_x - m))):
        size = np.abs(terms).sum((0, 2, 3))
        assert (np.abs(found - terms.sum((0, 2, 3))) <= SUMS[dtype] * size).all()


def test_gradient_of_batch_norm_of_several_dtypes():
    g, x = (rng.normal(size=(4, 3)).astype(np.float16) for _ in range(2))
    mean, scale = rng.normal(size=(2, 3)).astype(np.float16)
    one = cpu.kernels["batch_norm_gradient"](g, x, mean.astype(np.float64), scale)
    other = cpu.kernels["batch_norm_gradient"](g, x, mean, scale)
    for found, expected in zip(one, other, strict=True):
        np.testing.assert_allclose(found.astype(float), expected.astype(float), rtol=1e-6, atol=1e-6)
    empty = cpu.kernels["batch_norm_gradient"](g[:0], x[:0], mean, scale)
    assert [part.shape for part in empty] == [(0, 3), (3,), (3,)] and not empty[1].any()


@pytest.mark.parametrize("dims", [(0, 2, 3), (0,), (1, 2), (0, 1, 2, 3), (3,)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_moments_over_many_blocks(blocks, dtype, dims):
    x = rng.normal(3, 2, (30, 5, 7, 6)).astype(dtype)
    mean, var = cpu.kernels["moments"](x, dims)
    exact = x.astype(np.float64)
    assert mean.dtype == var.dtype == x.dtype and mean.flags.c_contiguous
    np.testing.assert_allclose(mean, exact.mean(dims), rtol=10 * np.finfo(dtype).eps)
    np.testing.assert_allclose(var, exact.var(dims), rtol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dims", [(0, 2, 3), (0,), (1, 2), (0, 1, 2, 3)])
@pytest.mark.parametrize("dtype", KINDS)
def test_gradient_of_moments_over_many_blocks(blocks, dtype, dims):
    x = rng.normal(size=(30, 5, 7, 6)).astype(KINDS[dtype])
    kept = [1 if d in dims else size for d, size in enumerate(x.shape)]
    rest = [size for d, size in enumerate(x.shape) if d not in dims]
    mean, mean_slope, var_slope = rng.normal(size=(3, *kept)).astype(np.float32)
    kernel = cpu.specialise("moments_gradient", cpu.kernels["moments_gradient"], dtype)
    found = kernel(x, *(part.reshape(rest) for part in (mean, mean_slope, var_slope)), dims)
    count = x.size // mean.size
    apart = x.astype(np.float64) - mean
    wanted = apart * var_slope * (2 / count) + mean_slope.astype(np.float64) / count
    assert found.dtype == x.dtype
    single = max(VALUES[dtype], VALUES["float32"])
    np.testing.assert_allclose(found.astype(np.float64), wanted, rtol=single, atol=4 * single / count)


@pytest.mark.parametrize("dtype", HALF_TYPES)
def test_halves_beside_float32_are_rounded_once(dtype):
    wide = rng.normal(size=(3, 4000)).astype(np.float32)
    small, other, third = (devtensor.tensor(part) for part in wide)
    x, half = small.to(getattr(devtensor, dtype)), HALF_TYPES[dtype]
    exact, others, thirds = np.array(x.tolist()), *wide[1:].astype(np.float64)
    slope = moments_gradient(x.reshape(2, 2000), other[:2], third[:2], other[2:4], 1)
    apart = exact.reshape(2, 2000) - others[:2, None]
    found = {
        slope: apart * others[2:4, None] / 1000 + thirds[:2, None] / 2000,
        running_average(x, other, 0.1, 1.5): exact * 0.9 + others * 0.15,
        running_average(other.to(x.dtype), x, 0.1): others.astype(half).astype(np.float64) * 0.9
        + exact * 0.1,
    }
    for result, wanted in found.items():
        assert result.dtype is x.dtype
        # Half the distance to the next number of the dtype, and what float32 leaves out.
        largest = 0.5 * VALUES[dtype] * 2.0 ** np.floor(np.log2(np.abs(wanted))) + 1e-6
        assert (np.abs(np.array(result.tolist()) - wanted) <= largest).all()


def test_running_statistics_keep_their_dtype_beside_wider_ones():
    running, found = rng.normal(size=(2, 3))
    moved = cpu.kernels["running_average"](running.astype(np.float32), found, 0.1, 1.0)
    assert moved.dtype == np.float32
    np.testing.assert_allclose(moved, running * 0.9 + found * 0.1, rtol=1e-5)


def test_moments_of_nothing_are_nan():
    with np.errstate(all="ignore"):
        mean, var = cpu.kernels["moments"](np.zeros((0, 3), np.float32), (0,))
    assert np.isnan(mean).all() and np.isnan(var).all() and mean.shape == (3,)
