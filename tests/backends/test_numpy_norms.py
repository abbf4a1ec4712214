"""The CPU's group norm against float64, over one block and over many, and dtypes that meet in norms."""

from __future__ import annotations

import numpy as np
import pytest

from devtensor_numpy import group_norms
from half_runs import HALF_TYPES
from kernel_runs import cpu

rng = np.random.default_rng(3)
KINDS = {"float32": np.dtype(np.float32), "float64": np.dtype(np.float64), **HALF_TYPES}
ERRORS = {"float64": 1e-12, "float32": 2e-5, "float16": 2**-10, "bfloat16": 2**-7}
SHAPES = {"planes": (5, 6, 7, 3), "a line": (40, 6), "a channel each": (4, 3, 50), "one number each": (3, 3)}
EPS = 1e-3


@pytest.fixture(params=[1 << 17, 40, 1], ids=["one block", "some rows", "a row"])
def _blocks(request, monkeypatch):
    monkeypatch.setattr(group_norms, "STEP", request.param)


def standardised(x, groups):
    """Each group's numbers less their mean over their deviation, and one over that."""
    rows = x.reshape(x.shape[0], groups, -1)
    inverse = 1 / np.sqrt(rows.var(2, keepdims=True) + EPS)
    return (rows - rows.mean(2, keepdims=True)) * inverse, inverse


def drawn(shape, affine, dtype):
    """An upstream gradient, numbers far from 0, and weights, as the kernel gets them and in float64."""
    parts = rng.normal(size=shape), rng.normal(2, 3, shape)
    weights = rng.normal(size=(2, shape[1])) if affine else (None, None)
    given = [None if part is None else part.astype(KINDS[dtype]) for part in (*parts, *weights)]
    return given, [None if part is None else part.astype(np.float64) for part in given]


def per_channel(part, shape):
    return part.reshape(-1, *(1,) * (len(shape) - 2))


def close(found, wanted, dtype):
    size = np.abs(wanted).max() + 1
    np.testing.assert_allclose(found.astype(np.float64), wanted, rtol=0, atol=ERRORS[dtype] * size)


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("name", SHAPES)
def test_group_norm(name, dtype, affine):
    shape, groups = SHAPES[name], 3
    (_, x, weight, bias), (_, exact, scale, shift) = drawn(shape, affine, dtype)
    wanted = standardised(exact, groups)[0].reshape(shape)
    if affine:
        wanted = wanted * per_channel(scale, shape) + per_channel(shift, shape)
    kernel = cpu.specialise("group_norm", cpu.kernels["group_norm"], dtype)
    found = kernel(x, weight, bias, groups, EPS)
    assert (found.dtype, found.shape) == (KINDS[dtype], shape)
    close(found, wanted, dtype)


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("name", SHAPES)
def test_gradient_of_group_norm(name, dtype, affine):
    shape, groups = SHAPES[name], 3
    (g, x, weight, _), (upstream, exact, scale, _) = drawn(shape, affine, dtype)
    standard, inverse = standardised(exact, groups)
    weighted = upstream * per_channel(scale, shape) if affine else upstream
    rows = weighted.reshape(standard.shape)
    slope = rows - rows.mean(2, keepdims=True) - standard * (rows * standard).mean(2, keepdims=True)
    kernel = cpu.specialise("group_norm_gradient", cpu.kernels["group_norm_gradient"], dtype)
    found, along, total = kernel(g, x, weight, groups, EPS)
    sums = np.dtype(np.float64 if dtype == "float64" else np.float32)
    assert (found.dtype, along.dtype, total.dtype) == (KINDS[dtype], sums, sums)
    close(found, (slope * inverse).reshape(shape), dtype)
    dims = (0, *range(2, len(shape)))
    close(along, (upstream * standard.reshape(shape)).sum(dims), sums.name)
    close(total, upstream.sum(dims), sums.name)


@pytest.mark.parametrize("half", HALF_TYPES)
@pytest.mark.parametrize("name", ["layer_norm_gradient", "group_norm_gradient"])
def test_upstream_of_float32_beside_halves(name, half):
    g, x = rng.normal(size=(2, 70, 90)).astype(np.float32)
    x = x.astype(HALF_TYPES[half])
    kernel = cpu.specialise(name, cpu.kernels[name], half)
    found, wanted = kernel(g, x, None, 1, EPS), kernel(g, x.astype(np.float32), None, 1, EPS)
    for part, expected in zip(found, wanted, strict=True):
        assert part.dtype == np.float32
        np.testing.assert_array_equal(part, expected)


@pytest.mark.parametrize("shape", [(0, 6, 4), (2, 6, 0), (2, 0, 4)])
def test_nothing_to_normalise(shape):
    x, weight = np.ones(shape, np.float32), np.ones(shape[1], np.float32)
    assert cpu.kernels["group_norm"](x, weight, weight, 3, EPS).shape == shape
    found, along, total = cpu.kernels["group_norm_gradient"](x, x, weight, 3, EPS)
    assert found.shape == shape
    assert along.tolist() == total.tolist() == [0] * shape[1]
