"""The softmaxes and their gradients by kernels of our own: launches, values, odd sizes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

import devtensor as torch
from cuda_sources.drawn import LIMITS, assert_close, drawn, wide
from devtensor.core.plan import forget
from devtensor.ops.attention import safe_softmax
from devtensor.ops.index import embedding_grad
from devtensor.ops.softmax import log_softmax_gradient, softmax_gradient
from devtensor_cupy import softmaxes
from devtensor_cupy.arrays_in_rows import extents
from devtensor_cupy.launching import launcher

pytestmark = pytest.mark.usefixtures("compiler")

FRESH = 1
"""What the stand-in counts for memory that it fills with poison; a device launches nothing for it."""
SHAPES = [(5, 7), (3, 1), (2, 3, 48), (6, 1024), (2, 1500), (1, 70_000), (9,)]


def softmax_slope(g, y, dim):
    return y * (g - (y * g).sum(dim, keepdims=True))


def log_softmax_slope(g, y, dim):
    return g - np.exp(y) * g.sum(dim, keepdims=True)


GRADIENTS = {
    "softmax": (softmax_gradient, softmax_slope, lambda x, dim: x.softmax(dim)),
    "log_softmax": (log_softmax_gradient, log_softmax_slope, lambda x, dim: x.log_softmax(dim)),
}
FORMS = {
    "softmax": (lambda x, dim: x.softmax(dim), special.softmax),
    "log_softmax": (lambda x, dim: x.log_softmax(dim), special.log_softmax),
    "safe_softmax": (safe_softmax, special.softmax),
}


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("form", FORMS)
def test_softmaxes_of_rows_are_one_launch(form, dtype, launched, counts):
    run, reference = FORMS[form]
    for shape in SHAPES:
        x = drawn(shape, dtype)
        run(x, -1)
        launched.clear(), counts.clear()
        found = run(x, -1)
        assert launched == [f"{'warp' if shape[-1] <= 1024 else 'block'}_{form}"]
        assert counts["launches"] == 1 + FRESH
        size = 12.0 if form == "log_softmax" else 1 / shape[-1]
        assert_close(found, reference(wide(x), -1), dtype, size)


@pytest.mark.parametrize("dtype", LIMITS)
def test_softmaxes_along_other_dims_are_one_launch(dtype, launched):
    x, g = drawn((3, 5, 4, 2), dtype), drawn((3, 5, 4, 2), dtype, 1)
    for dim in range(3):
        for run, reference in FORMS.values():
            assert_close(run(x, dim), reference(wide(x), dim), dtype)
        for run, reference, forward in GRADIENTS.values():
            y = forward(x, dim)
            assert_close(run(g, y, dim), reference(wide(g), wide(y), dim), dtype, 4.0)
    assert {name.partition("_")[0] for name in launched} == {"along"} and len(launched) == 21


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("form", GRADIENTS)
def test_gradients_of_softmaxes_are_one_launch(form, dtype, launched, counts):
    run, reference, forward = GRADIENTS[form]
    for shape in SHAPES:
        g, y = drawn(shape, dtype), forward(drawn(shape, dtype, 1), -1)
        run(g, y, g.ndim - 1)
        launched.clear(), counts.clear()
        found = run(g, y, g.ndim - 1)
        assert launched == [f"{'warp' if shape[-1] <= 1024 else 'block'}_{form}_backward"]
        assert counts["launches"] == 1 + FRESH
        size = 1 / shape[-1] if form == "softmax" else math.sqrt(shape[-1])
        assert_close(found, reference(wide(g), wide(y), -1), dtype, size)


def test_a_scaled_softmax_has_a_scaled_gradient(launched):
    g, y = drawn((3, 4, 5), torch.float64), drawn((3, 4, 5), torch.float64, 1).softmax(1)
    for dim in (1, 2):
        wanted = 0.25 * softmax_slope(wide(g), wide(y), dim)
        assert_close(softmax_gradient(g, y, dim, 0.25), wanted, torch.float64)
    assert launched == ["along_softmax", "along_softmax_backward", "warp_softmax_backward"]


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("offset", [1, 2, 3])
def test_rows_that_begin_anywhere(dtype, offset):
    count = 4 * 21
    x = drawn((count + offset,), dtype)[offset:].reshape(4, 21)
    g = drawn((count + 5,), dtype, 1)[5 : 5 + count].reshape(4, 21)
    assert_close(x.softmax(1), special.softmax(wide(x), 1), dtype)
    y = x.softmax(1)
    assert_close(softmax_gradient(g, y, 1), softmax_slope(wide(g), wide(y), 1), dtype)


def test_arrays_not_in_rows():
    x = drawn((6, 10), torch.float32)
    for seen in (x.T, x[::2], x[:, ::3], x.flip(1), x[:1].expand(4, 10)):
        assert_close(seen.softmax(1), special.softmax(wide(seen), 1), torch.float32)
    y = x.T.softmax(1)
    g = drawn((10,), torch.float32, 1)[:, None].expand(10, 6)
    assert_close(softmax_gradient(g, y, 1), softmax_slope(wide(g), wide(y), 1), torch.float32)


def test_empty_arrays_launch_nothing(launched):
    for shape in ((0, 5), (5, 0), (2, 0, 3)):
        x = torch.ones(shape, device="cuda")
        for dim in range(len(shape)):
            for run, _ in FORMS.values():
                assert run(x, dim).shape == shape
            assert softmax_gradient(x, x, dim).shape == shape
            assert log_softmax_gradient(x, x, dim).shape == shape
    assert launched == []


def test_numbers_without_dims():
    x = torch.tensor(3.0, device="cuda")
    found = [run(x, 0) for run, _ in FORMS.values()]
    assert [(out.item(), out.ndim) for out in found] == [(1.0, 0), (0.0, 0), (1.0, 0)]


def test_infinities_and_nan():
    inf, nan = math.inf, math.nan
    x = torch.tensor([[-inf, -inf], [-inf, 0.0], [inf, 0.0], [nan, 0.0]], device="cuda")
    np.testing.assert_equal(wide(x.softmax(1)), [[nan, nan], [0, 1], [nan, nan], [nan, nan]])
    np.testing.assert_equal(wide(safe_softmax(x, 1)), [[0, 0], [0, 1], [nan, nan], [nan, nan]])
    np.testing.assert_equal(wide(x.log_softmax(1)), [[nan, nan], [-inf, 0], [nan, nan], [nan, nan]])
    for run, _ in FORMS.values():
        np.testing.assert_equal(wide(run(x, 1)), wide(run(x.T.contiguous(), 0)).T)


def test_training_by_rows_gives_the_cpu_s_gradients(launched):
    torch.manual_seed(0)
    modules = torch.nn.Embedding(11, 8), torch.nn.LayerNorm(8), torch.nn.Linear(8, 5)
    model, tokens = torch.nn.Sequential(*modules).double(), torch.randint(11, (4, 6))

    def gradients(device):
        model.to(device).zero_grad()
        model(tokens.to(device)).softmax(-1).square().sum().backward()
        return [wide(parameter.grad) for parameter in model.parameters()]

    wanted = gradients("cpu")
    for found, expected in zip(gradients("cuda"), wanted, strict=True):
        np.testing.assert_allclose(found, expected, 1e-10, 1e-12)
    names = {
        "warp_layer_norm",
        "warp_layer_norm_backward",
        "warp_softmax",
        "warp_softmax_backward",
        "add_elements",
    }
    assert names <= set(launched)


def test_each_device_loads_its_own_kernels():
    x = torch.randn(3, 4, device="cuda:1")
    assert_close(x.softmax(1), special.softmax(wide(x), 1), torch.float32)
    assert x.softmax(1).device.index == 1


def test_without_a_compiler_bodies_serve(monkeypatch, launched):
    monkeypatch.setattr(launcher, "kernels", lambda entry: None)
    forget("cuda")
    x, g = drawn((4, 9), torch.float16), drawn((4, 9), torch.float16, 1)
    assert_close(x.softmax(1), special.softmax(wide(x), 1), torch.float16)
    found = embedding_grad(g, torch.tensor([1, 1, 0, 1]).cuda(), 2)
    assert_close(found, np.stack([wide(g)[2], wide(g)[[0, 1, 3]].sum(0)]), torch.float16, 2.0)
    assert launched == []
    monkeypatch.undo()
    forget("cuda")


def along_dim_one():
    x = drawn((3, 5, 4), torch.float32)
    assert_close(x.softmax(1), special.softmax(wide(x), 1), torch.float32)


def columns_far_apart(shape, dim):
    count, columns, inner = extents(shape, dim)
    return count, columns, max(1, inner // 2)


FAULTS = {
    "rows are not brought in order": ("in_rows", lambda array: array, test_arrays_not_in_rows),
    "rows lie where they do not": ("extents", columns_far_apart, along_dim_one),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name, reddens):
    reddens(softmaxes, *FAULTS[name])
