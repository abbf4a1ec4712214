"""The CPU's own ways, each against NumPy's plain one: choosing, windows, orders, draws, strides of views."""

from __future__ import annotations

import math

import numpy as np
import pytest

import devtensor
from devtensor.backend.arraylib.windows import taps
from devtensor.core.op import OPS
from devtensor.core.tensor import spec_of
from devtensor_numpy import choosing, depthwise, pool, row_norms
from devtensor_numpy.devices import NumpyBackend
from devtensor_numpy.index import refuse_outside
from devtensor_numpy.losses import cross_entropy
from devtensor_numpy.random import Source
from devtensor_numpy.sorting import sort
from kernel_runs import cpu

rng = np.random.default_rng(5)


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "float16", "int32", "float32", "float64", "complex64", "complex128"]
)
@pytest.mark.parametrize("size", [7, 3 * 8192])
def test_where(dtype, size):
    x, y = (rng.normal(size=size).astype(dtype) for _ in range(2))
    x[:3] = np.array([np.nan, np.inf, -0.0]).astype(dtype) if dtype.startswith("float") else x[:3]
    mask, one, zero = rng.random(size) < 0.5, np.ones((), dtype), np.zeros((), dtype)
    wide = np.broadcast_to(one, size)
    for a, b in ((x, y), (x, zero), (zero, y), (one, y), (x, one), (wide, y), (x[::-1], y), (one, zero)):
        found, wanted = choosing.where(mask, a, b), np.where(mask, a, b)
        assert found.dtype == wanted.dtype and found.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("shape", [(2, 5, 9, 8), (1, 40, 30, 31), (3, 4, 17)])
@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 0, 1), (2, 1, 1), (1, 2, 2)])
def test_depthwise_convolution(shape, stride, padding, dilation):
    count = len(shape) - 2
    facts = [(value,) * count for value in (stride, padding, dilation)]
    x, w = rng.normal(size=shape), rng.normal(size=(shape[1], 1, *(3,) * count))
    widths = ((0, 0), (0, 0), *((padding, padding),) * count)
    padded = np.pad(x, widths)
    counts = tuple((n - 2 * dilation - 1) // stride + 1 for n in padded.shape[2:])
    pairs = list(taps((3,) * count, counts, facts[0], facts[2]))
    found = depthwise.convolution(x, w, *facts)
    made = sum(padded[cut] * w[(slice(None), 0, *place)].reshape(-1, *(1,) * count) for place, cut in pairs)
    np.testing.assert_allclose(found, made, rtol=1e-12, atol=1e-12)
    g = rng.normal(size=found.shape)
    # Both gradients are adjoint to the convolution, which is linear in each argument.
    into_x = depthwise.convolution_grad_input(g, w, x.shape, *facts)
    into_w = depthwise.convolution_grad_weight(g, x, w.shape, *facts)
    assert math.isclose((into_x * x).sum(), (g * found).sum(), rel_tol=1e-9)
    assert math.isclose((into_w * w).sum(), (g * found).sum(), rel_tol=1e-9)


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("descending", [False, True])
def test_sort_is_stable(dim, descending):
    x = rng.integers(0, 4, (5, 6, 7)).astype(np.float64)
    values, order = sort(x, dim, descending)
    wanted = np.argsort(-x if descending else x, dim, kind="stable")
    assert np.array_equal(order, wanted) and order.flags.c_contiguous
    assert np.array_equal(values, np.take_along_axis(x, wanted, dim)) and values.flags.c_contiguous


def test_small_and_large_pooling_agree():
    x = rng.normal(size=(2, 3, 9, 10))
    facts = (3, 2), (2, 2), (1, 2), (4, 4)
    for small, large in zip(pool.pooled_at_once(x, *facts), pool.pooled(x, *facts), strict=True):
        assert np.array_equal(small, large)


def test_draws_one_after_the_other_are_one_draw():
    whole = Source().words(3, 5, 40)
    source = Source()
    parts = [source.words(3, 5 + start, 8) for start in range(0, 40, 8)]
    assert np.array_equal(np.concatenate(parts), whole)
    assert np.array_equal(source.words(3, 7, 6), whole[2:8])


@pytest.mark.parametrize(("index", "fits"), [([0, 3], True), ([4], False), ([-1], False), ([], True)])
def test_indices_outside_are_refused(index, fits):
    array = np.array(index, np.int64)
    if fits:
        refuse_outside(array, 0, 4)
        return
    with pytest.raises(ValueError, match=f"index {index[0]} is out of bounds for dimension 0 with size 4"):
        refuse_outside(array, 0, 4)


def test_layer_norm_gradient_over_many_blocks():
    g, x, weight = rng.normal(size=(600, 300)), rng.normal(size=(600, 300)), rng.normal(size=300)
    slope, along = row_norms.layer_norm_gradient(g, x, weight, 1, 1e-5)
    step = 1e-6
    for place in ((0, 0), (599, 299), (321, 7)):
        moved = x.copy()
        moved[place] += step
        rise = row_norms.layer_norm(moved, weight, None, 1, 1e-5) - row_norms.layer_norm(
            x, weight, None, 1, 1e-5
        )
        assert math.isclose((rise * g).sum() / step, slope[place], rel_tol=1e-4, abs_tol=1e-6)
    standard = row_norms.layer_norm(x, None, None, 1, 1e-5)
    np.testing.assert_allclose(along, (g * standard).sum(0), rtol=1e-9)


def test_targets_ignored_and_weighed():
    x, weight = rng.normal(size=(6, 4, 3)), rng.uniform(1, 2, 4)
    target = rng.integers(0, 4, (6, 3))
    target[2, 1] = -100
    logs = x - np.log(np.exp(x).sum(1, keepdims=True))
    total = shares = 0.0
    for n, k in zip(*np.nonzero(target != -100), strict=True):
        kind = target[n, k]
        total -= 0.9 * weight[kind] * logs[n, kind, k] + 0.1 / 4 * (weight * logs[n, :, k]).sum()
        shares += weight[kind]
    assert math.isclose(cross_entropy(x, target, weight, "mean", -100, 0.1), total / shares, rel_tol=1e-12)


def sources():
    whole = devtensor.arange(24.0).reshape(2, 3, 4)
    return [whole, whole[1:], whole[0, 0, 0], devtensor.ones(1), devtensor.ones(1, 1), devtensor.ones(5, 1)]


PARAMETERS = {
    "getitem": [((),), ((None,),), ((None, None),), ((0, None),), ((slice(1, 2), None, slice(0, 1)),)],
    "expand": [((1, 1, 2, 3, 4),), ((7, 1, 2, 3, 4),), ((1, 1),), ((3, 1, 1),)],
    "permute": [((2, 0, 1),), ((1, 0),), ((0,),)],
    "reshape": [((1, 24),), ((6, 1, 4),), ((1, 1, 1),), ((5, 1, 1),), ((1,),)],
}


def fits(name, shape, params):
    """Whether the parameters suit a source of this shape."""
    (given,) = params
    if name == "permute":
        return sorted(given) == list(range(len(shape)))
    if name == "reshape":
        return math.prod(given) == math.prod(shape)
    if name == "getitem":
        return sum(part is not None for part in given) <= len(shape)
    tail = given[len(given) - len(shape) :]
    return len(given) >= len(shape) and all(n in (1, m) for n, m in zip(shape, tail, strict=True))


@pytest.mark.parametrize("name", sorted(NumpyBackend.exact_views))
def test_views_have_the_strides_of_their_rule(name):
    seen = 0
    for source in sources():
        for params in PARAMETERS[name]:
            if fits(name, source.array.shape, params):
                shape, strides = OPS[name].shape_rule(name, [spec_of(source)], params)
                found = cpu.kernels[name](source.array, *params)
                assert (found.shape, cpu.strides_of(found)) == (tuple(shape), tuple(strides)), params
                seen += 1
    assert seen >= 3


def test_shapes_that_fit_once_are_checked_once(monkeypatch):
    op, asked = OPS["cat"], []
    rule = op.shape_rule
    monkeypatch.setattr(op, "shape_rule", lambda *given: asked.append(given) or rule(*given))
    a, b = devtensor.ones(2, 31), devtensor.ones(5, 31)
    for _ in range(3):
        devtensor.cat([a, b])
    assert len(asked) <= 1
    for _ in range(2):
        with pytest.raises(RuntimeError, match="differ outside dim 1"):
            devtensor.cat([a, b], 1)
    assert len(asked) >= 2


@pytest.mark.parametrize("value", [0, 1.5, -0.0, math.nan, math.inf])
def test_filling_counts_as_a_write_and_keeps_the_number(value):
    tensor = devtensor.ones(3)
    view = tensor[1:]
    before = tensor._version
    view.fill_(value)
    assert tensor._version == before + 1
    wanted = np.ones(3, np.float32)
    wanted[1:] = value
    assert tensor.numpy().tobytes() == wanted.tobytes()


def test_filling_what_requires_grad_is_recorded_or_refused():
    leaf = devtensor.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        leaf.fill_(2.0)
    made = leaf * 2
    made.zero_()
    made.sum().backward()
    assert leaf.grad.tolist() == [0.0, 0.0, 0.0]
