"""The CPU's softmax of masked scores and the softmaxes' gradients against float64, over many blocks."""

from __future__ import annotations

import numpy as np
import pytest

from devtensor_numpy import masked_softmax, softmax
from half_runs import HALF_TYPES
from kernel_runs import cpu

rng = np.random.default_rng(5)
SHAPE = (2, 3, 7, 5)
KINDS = {"float32": np.dtype(np.float32), "float64": np.dtype(np.float64), **HALF_TYPES}
ERRORS = {"float64": 1e-14, "float32": 4e-7, "float16": 2**-11, "bfloat16": 2**-8}
MASKS = {"all": SHAPE, "queries": (7, 1), "keys": (2, 1, 1, 5), "heads": (3, 7, 5), "one": ()}


@pytest.fixture(params=[1 << 16, 80, 12], ids=["one block", "matrices", "rows"])
def _blocks(request, monkeypatch):
    monkeypatch.setattr(masked_softmax, "BLOCK", request.param)
    monkeypatch.setattr(softmax, "BLOCK", request.param)


def shares(scores, beside):
    """Softmax of rows in float64; beside a mask, zeros where nothing is seen."""
    top = scores.max(-1, keepdims=True)
    powers = np.exp(scores - np.where(np.isneginf(top) & beside, 0, top))
    total = powers.sum(-1, keepdims=True)
    return powers / np.where((total == 0) & beside, 1, total)


def mask_of(kind, shape):
    """What a mask adds in float64, and the mask."""
    if kind in KINDS:
        mask = rng.normal(size=shape).astype(KINDS[kind])
        return mask.astype(np.float64), mask
    seen = rng.random(shape) < 0.6
    return np.where(seen, 0, -np.inf), np.asarray(seen).astype(kind)


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("kind", ["bool", "int64", *KINDS])
@pytest.mark.parametrize("place", MASKS)
def test_masks(place, kind, causal):
    scores = rng.normal(0, 3, SHAPE).astype(np.float32)
    added, mask = mask_of(kind, MASKS[place])
    before = scores.copy(), mask.copy()
    exact = scores.astype(np.float64) * 0.5
    exact = np.where(np.tri(7, 5, dtype=bool), exact, -np.inf) if causal else exact
    found = cpu.kernels["masked_softmax"](scores, mask, causal, 0.5)
    np.testing.assert_allclose(found, shares(exact + added, True), rtol=0, atol=ERRORS["float32"])
    for array, copy in zip((scores, mask), before, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("masked", [True, False])
def test_scores_of_every_dtype(dtype, masked):
    scores = rng.normal(0, 3, SHAPE).astype(KINDS[dtype])
    added, mask = mask_of(dtype, (7, 5)) if masked else (0.0, None)
    kernel = cpu.specialise("masked_softmax", cpu.kernels["masked_softmax"], dtype)
    found = kernel(scores, mask, False, -1.5)
    assert found.dtype == KINDS[dtype]
    wanted = shares(scores.astype(np.float64) * -1.5 + added, masked)
    np.testing.assert_allclose(found.astype(np.float64), wanted, rtol=0, atol=ERRORS[dtype])


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("dim", [0, 2, 3])
@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("name", ["softmax_gradient", "log_softmax_gradient"])
def test_gradients(name, dtype, dim):
    g = rng.normal(size=SHAPE).astype(KINDS[dtype])
    output = -np.abs(rng.normal(size=SHAPE)).astype(KINDS[dtype])
    upstream, out = g.astype(np.float64), output.astype(np.float64)
    if name == "softmax_gradient":
        wanted = out * (upstream - (upstream * out).sum(dim, keepdims=True))
    else:
        wanted = upstream - np.exp(out) * upstream.sum(dim, keepdims=True)
    found = cpu.specialise(name, cpu.kernels[name], dtype)(g, output, dim)
    assert (found.dtype, found.flags.c_contiguous) == (KINDS[dtype], True)
    size = np.abs(wanted).max() + 1
    np.testing.assert_allclose(found.astype(np.float64), wanted, rtol=0, atol=8 * size * ERRORS[dtype])
