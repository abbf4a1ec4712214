"""Softmax, layer norm, their gradients and added rows by kernels of our own: launches, values, odd sizes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

import devtensor as torch
from devtensor.core.plan import forget
from devtensor.nn.functional import layer_norm
from devtensor.ops import norm
from devtensor.ops.attention import safe_softmax
from devtensor.ops.index import embedding_grad
from devtensor.ops.norm import layer_norm_gradient
from devtensor.ops.softmax import softmax_gradient
from devtensor_cupy import rows
from devtensor_cupy.launching import launcher
from devtensor_cupy.rows import extents

pytestmark = pytest.mark.usefixtures("compiler")

LIMITS = {torch.float64: 1e-12, torch.float32: 3e-6, torch.float16: 1.5e-3, torch.bfloat16: 1.2e-2}
FRESH = 1
"""What the stand-in counts for memory that it fills with poison; a device launches nothing for it."""
SHAPES = [(5, 7), (3, 1), (2, 3, 48), (6, 1024), (2, 1500), (1, 70_000), (9,)]


def drawn(shape, dtype, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(size=shape)).to(dtype).cuda()


def wide(tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()


def assert_close(found, wanted, dtype, size=1.0):
    assert found.dtype is dtype and tuple(found.shape) == wanted.shape
    smallest = 2.0**-25 if dtype is torch.float16 else 0.0
    np.testing.assert_allclose(wide(found), wanted, LIMITS[dtype], max(LIMITS[dtype] * size, smallest))


def softmax_slope(g, y, dim):
    return y * (g - (y * g).sum(dim, keepdims=True))


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
        y = x.softmax(dim)
        assert_close(softmax_gradient(g, y, dim), softmax_slope(wide(g), wide(y), dim), dtype)
    assert {name.partition("_")[0] for name in launched} == {"along"} and len(launched) == 15


@pytest.mark.parametrize("dtype", LIMITS)
def test_gradients_of_softmax_are_one_launch(dtype, launched, counts):
    for shape in SHAPES:
        g, y = drawn(shape, dtype), drawn(shape, dtype, 1).softmax(-1)
        softmax_gradient(g, y, g.ndim - 1)
        launched.clear(), counts.clear()
        found = softmax_gradient(g, y, g.ndim - 1)
        assert len(launched) == 1 and launched[0].endswith("softmax_backward")
        assert counts["launches"] == 1 + FRESH
        assert_close(found, softmax_slope(wide(g), wide(y), -1), dtype, 1 / shape[-1])


def standard(x, eps):
    scale = 1 / np.sqrt(x.var(-1, keepdims=True) + eps)
    return (x - x.mean(-1, keepdims=True)) * scale, scale


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("with_weight", [True, False])
def test_layer_norm_is_one_launch(dtype, with_weight, launched, counts):
    for shape in SHAPES:
        x, width = drawn(shape, dtype), shape[-1:]
        weight, bias = (drawn(width, dtype, seed) if with_weight else None for seed in (1, 2))
        layer_norm(x, width, weight, bias)
        launched.clear(), counts.clear()
        found = layer_norm(x, width, weight, bias)
        assert len(launched) == 1 and counts["launches"] == 1 + FRESH
        wanted = standard(wide(x), 1e-5)[0]
        wanted = wanted * wide(weight) + wide(bias) if with_weight else wanted
        assert_close(found, wanted, dtype, 4.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("with_weight", [True, False])
def test_gradients_of_layer_norm(dtype, with_weight, launched):
    for shape in [*SHAPES, (40, 3), (130, 1)]:
        g, x = drawn(shape, dtype), drawn(shape, dtype, 1)
        weight = drawn(shape[-1:], dtype, 2) if with_weight else None
        launched.clear()
        slope, along = layer_norm_gradient(g, x, weight, 1, 0.1)
        y, scale = standard(wide(x), 0.1)
        given = wide(g) * wide(weight) if with_weight else wide(g)
        apart = given - given.mean(-1, keepdims=True) - y * (given * y).mean(-1, keepdims=True)
        assert_close(slope, apart * scale, dtype, 10.0)
        total = (wide(g) * y).reshape(-1, shape[-1]).sum(0)
        assert_close(along, total, dtype, 10.0 * math.sqrt(x.numel() / shape[-1]))
        assert len(launched) == (2 if x.numel() == shape[-1] else 3)


def test_layer_norm_over_several_dims():
    x, weight, bias = drawn((2, 3, 4), torch.float32), *(drawn((3, 4), torch.float32, k) for k in (1, 2))
    wanted = standard(wide(x).reshape(2, 12), 1e-5)[0].reshape(2, 3, 4) * wide(weight) + wide(bias)
    assert_close(layer_norm(x, (3, 4), weight, bias), wanted, torch.float32, 4.0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_normalised_beside_wider_weights(dtype):
    x, weight = drawn((4, 9), dtype), drawn((9,), torch.float32, 1)
    assert_close(
        norm.layer_norm(x, weight, None, 1, 1e-5), standard(wide(x), 1e-5)[0] * wide(weight), dtype, 2.0
    )


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("offset", [1, 2, 3])
def test_rows_that_begin_anywhere(dtype, offset):
    count = 4 * 21
    x = drawn((count + offset,), dtype)[offset:].reshape(4, 21)
    g = drawn((count + 5,), dtype, 1)[5 : 5 + count].reshape(4, 21)
    assert_close(x.softmax(1), special.softmax(wide(x), 1), dtype)
    assert_close(layer_norm(x, (21,)), standard(wide(x), 1e-5)[0], dtype, 4.0)
    y = x.softmax(1)
    assert_close(softmax_gradient(g, y, 1), softmax_slope(wide(g), wide(y), 1), dtype)


def test_arrays_not_in_rows():
    x = drawn((6, 10), torch.float32)
    for seen in (x.T, x[::2], x[:, ::3], x.flip(1), x[:1].expand(4, 10)):
        width = seen.shape[-1]
        assert_close(seen.softmax(1), special.softmax(wide(seen), 1), torch.float32)
        assert_close(layer_norm(seen, (width,)), standard(wide(seen), 1e-5)[0], torch.float32, 4.0)
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
        assert layer_norm(x, shape[-1:]).shape == shape
        slope, along = layer_norm_gradient(x, x, None, 1, 1e-5)
        assert slope.shape == shape and along.tolist() == [0.0] * shape[-1]
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


@pytest.mark.parametrize("dtype", LIMITS)
def test_gradients_of_embeddings(dtype, launched):
    index = torch.tensor([[0, 3, 3], [5, 0, 3]])
    g = drawn((2, 3, 4), dtype)
    wanted = np.zeros((6, 4))
    np.add.at(wanted, index.numpy(), wide(g))
    assert_close(embedding_grad(g, index.cuda(), 6), wanted, dtype)
    assert launched == ["add_rows"]


def test_the_gradient_of_one_row(launched):
    g = drawn((4,), torch.float32)
    found = embedding_grad(g, torch.tensor(1, device="cuda"), 3)
    assert_close(found, np.stack([np.zeros(4), wide(g), np.zeros(4)]), torch.float32)


def test_gradients_of_embeddings_of_other_dtypes(launched):
    index, g = torch.tensor([1, 1, 0]), torch.tensor([[1], [2], [3]])
    for dtype in (torch.int64, torch.complex64):
        assert embedding_grad(g.to(dtype).cuda(), index.cuda(), 3).real.tolist() == [[3], [3], [0]]
    assert launched == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_added_at_indices(dtype, launched):
    x, source, index = drawn((4, 3), dtype), drawn((5, 3), dtype, 1), torch.tensor([0, -1, 2, 3, 0])
    wanted = wide(x)
    np.add.at(wanted, index.numpy(), wide(source))
    assert_close(x.index_put((index.cuda(),), source, accumulate=True), wanted, dtype)
    assert_close(x.index_add(0, (index % 4).cuda(), source), wanted, dtype)
    assert launched == ["add_rows"] * 2
    part = drawn((4, 6), dtype)[:, ::2]
    wanted = wide(part)
    np.add.at(wanted, index.numpy(), wide(source))
    assert_close(part.index_put((index.cuda(),), source, accumulate=True), wanted, dtype)


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
        "add_rows",
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
    assert_close(layer_norm(x, (9,)), standard(wide(x), 1e-5)[0], torch.float16, 4.0)
    found = embedding_grad(g, torch.tensor([1, 1, 0, 1]).cuda(), 2)
    assert_close(found, np.stack([wide(g)[2], wide(g)[[0, 1, 3]].sum(0)]), torch.float16, 2.0)
    assert launched == []
    monkeypatch.undo()
    forget("cuda")


def along_dim_one():
    x = drawn((3, 5, 4), torch.float32)
    assert_close(x.softmax(1), special.softmax(wide(x), 1), torch.float32)


def wider_weights():
    x, weight = drawn((4, 9), torch.float16), drawn((9,), torch.float32, 1)
    found = norm.layer_norm(x, weight, None, 1, 1e-5)
    assert_close(found, standard(wide(x), 1e-5)[0] * wide(weight), torch.float16, 2.0)


def normalised_rows():
    x = drawn((4, 9), torch.float32)
    assert_close(layer_norm(x, (9,)), standard(wide(x), 1e-5)[0], torch.float32, 4.0)


def added_rows():
    x, source, index = drawn((4, 3), torch.float32), drawn((2, 3), torch.float32, 1), torch.tensor([0, -1])
    wanted = wide(x)
    np.add.at(wanted, index.numpy(), wide(source))
    assert_close(x.index_put((index.cuda(),), source, accumulate=True), wanted, torch.float32)


def columns_far_apart(shape, dim):
    count, columns, inner = extents(shape, dim)
    return count, columns, max(1, inner // 2)


FAULTS = {
    "rows are not brought in order": ("in_rows", lambda array: array, test_arrays_not_in_rows),
    "rows lie where they do not": ("extents", columns_far_apart, along_dim_one),
    "wider weights are read as they are": ("common_dtype", lambda x, *others: x.dtype, wider_weights),
    "one row is left out": ("table_of", lambda x, count: (x.shape[0] - 1, x.shape[1]), normalised_rows),
    "rows are added nowhere": ("add_at", lambda *given: True, added_rows),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name, monkeypatch):
    where, fault, check = FAULTS[name]
    check()
    monkeypatch.setattr(rows, where, fault)
    with pytest.raises(AssertionError):
        check()
