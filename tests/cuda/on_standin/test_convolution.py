"""Convolution by the backend's own kernels: which run, what they give, what is left to generic ones."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import devtensor as torch
from devtensor.nn.functional import conv1d, conv2d, conv3d, conv_transpose2d
from devtensor_cupy import windows
from devtensor_cupy.launching import launcher

pytestmark = pytest.mark.usefixtures("compiler")

LIMITS = {torch.float64: 1e-11, torch.float32: 2e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}
LAYERS = {
    "plain": ((2, 4, 7, 8), (6, 4, 3, 3), {}),
    "strides": ((2, 4, 9, 8), (3, 4, 3, 2), {"stride": (2, 3), "padding": (1, 2)}),
    "dilated groups": ((3, 4, 9, 9), (6, 2, 3, 3), {"dilation": 2, "groups": 2, "padding": 2}),
    "single elements": ((2, 4, 5, 6), (3, 4, 1, 1), {}),
    "single elements apart": ((2, 4, 5, 6), (3, 4, 1, 1), {"stride": 2}),
    "depthwise": ((2, 3, 7, 6), (3, 1, 3, 3), {"groups": 3, "padding": 1}),
    "two filters each": ((2, 3, 7, 6), (6, 1, 3, 2), {"groups": 3, "stride": 2}),
    "channels inside": ((2, 4, 7, 8), (6, 4, 3, 3), {"padding": 1}),
}


def wide(tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()


def reference(x, w, stride=1, padding=0, dilation=1, groups=1) -> np.ndarray:
    """In float64, one output after the other."""
    (s, t), (p, q), (d, e) = ((a, a) if isinstance(a, int) else a for a in (stride, padding, dilation))
    x = np.pad(x, [(0, 0), (0, 0), (p, p), (q, q)])
    height, width = w.shape[2:]
    rows = (x.shape[2] - d * (height - 1) - 1) // s + 1
    columns = (x.shape[3] - e * (width - 1) - 1) // t + 1
    out = np.zeros((x.shape[0], w.shape[0], rows, columns))
    each, outputs = x.shape[1] // groups, w.shape[0] // groups
    for o, i, j in itertools.product(range(w.shape[0]), range(rows), range(columns)):
        first = o // outputs * each
        seen = x[:, first : first + each, i * s : i * s + d * height : d, j * t : j * t + e * width : e]
        out[:, o, i, j] = (seen[:, :, :height, :width] * w[o]).sum((1, 2, 3))
    return out


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("name", LAYERS)
def test_layers_and_their_gradients(name, dtype, launched):
    image, window, options = LAYERS[name]
    rng = np.random.default_rng(0)
    x, w = (torch.tensor(rng.normal(size=size)).to(dtype).cuda() for size in (image, window))
    if name == "channels inside":
        x = x.to(memory_format=torch.channels_last)
    x.requires_grad_(), w.requires_grad_()
    out = conv2d(x, w, **options)
    limit = LIMITS[dtype] * math.prod(window[1:]) ** 0.5
    np.testing.assert_allclose(wide(out), reference(wide(x), wide(w), **options), limit, limit)
    g = torch.tensor(rng.normal(size=out.shape)).to(dtype).cuda()
    out.backward(g)
    here, there = (t.detach().cpu().double().requires_grad_() for t in (x, w))
    conv2d(here, there, **options).backward(g.cpu().double())
    for found, wanted in ((x.grad, here.grad), (w.grad, there.grad)):
        near = limit * max(1.0, math.sqrt(out.numel() / w.shape[0]) / 4)
        np.testing.assert_allclose(wide(found), wide(wanted), near, near)
    assert out.dtype is dtype and x.grad.dtype is dtype


USED = {
    "plain": {"image_to_columns", "columns_to_image"},
    "single elements": set(),
    "depthwise": {"depthwise", "gradient_depthwise_image", "gradient_depthwise_taps"},
    "two filters each": {"depthwise", "gradient_depthwise_image", "gradient_depthwise_taps"},
}


@pytest.mark.parametrize("name", USED)
def test_which_kernels_run(name, launched, counts):
    image, window, options = LAYERS[name]
    x, w = (torch.randn(size, device="cuda", requires_grad=True) for size in (image, window))
    counts.clear()
    conv2d(x, w, **options).sum().backward()
    assert set(launched) == USED[name] and counts["synchronisations"] == 0


def test_one_dim_and_transposed(launched):
    x, w = torch.randn(2, 3, 9), torch.randn(4, 3, 3)
    found, wanted = conv1d(x.cuda(), w.cuda(), padding=1), conv1d(x, w, padding=1)
    np.testing.assert_allclose(wide(found), wide(wanted), 1e-5, 1e-5)
    x, w = torch.randn(2, 3, 5, 4), torch.randn(3, 4, 3, 3)
    options = {"stride": 2, "padding": 1, "output_padding": 1}
    found, wanted = conv_transpose2d(x.cuda(), w.cuda(), **options), conv_transpose2d(x, w, **options)
    np.testing.assert_allclose(wide(found), wide(wanted), 1e-5, 1e-5)
    assert launched == ["image_to_columns", "columns_to_image"]


def test_what_is_left_to_the_generic_kernels(launched):
    x, w = torch.randn(1, 2, 4, 4, 4), torch.randn(2, 2, 2, 2, 2)
    np.testing.assert_allclose(wide(conv3d(x.cuda(), w.cuda())), wide(conv3d(x, w)), 1e-5, 1e-5)
    x, w = torch.arange(32).reshape(1, 2, 4, 4), torch.arange(8).reshape(1, 2, 2, 2)
    assert torch.equal(conv2d(x.cuda(), w.cuda()).cpu(), conv2d(x, w))
    nothing, w = torch.ones(0, 2, 4, 4, device="cuda"), torch.ones(3, 2, 2, 2, device="cuda")
    assert conv2d(nothing, w).shape == (0, 3, 3, 3)
    assert launched == []


def test_many_samples_are_done_in_parts(monkeypatch, launched):
    x, w = torch.randn(5, 2, 6, 6), torch.randn(3, 2, 3, 3)
    monkeypatch.setattr(windows, "LIMIT", 2 * 2 * 9 * 16 * 4)
    here, there = (t.cuda().requires_grad_() for t in (x, w))
    out = conv2d(here, there)
    assert len(launched) == 3
    out.square().sum().backward()
    x.requires_grad_(), w.requires_grad_()
    conv2d(x, w).square().sum().backward()
    for found, wanted in ((here.grad, x.grad), (there.grad, w.grad)):
        np.testing.assert_allclose(wide(found), wide(wanted), 1e-4, 1e-4)


def test_without_a_compiler_the_generic_kernels_serve(monkeypatch, launched):
    monkeypatch.setattr(launcher, "kernels", lambda entry: None)
    x, w = torch.randn(2, 2, 5, 5).half(), torch.randn(3, 2, 3, 3).half()
    found = conv2d(x.cuda(), w.cuda())
    np.testing.assert_allclose(wide(found), reference(wide(x), wide(w)), 1e-2, 1e-2)
    assert launched == [] and found.dtype is torch.float16


def test_attention_is_two_products_of_batches():
    q, k, v = (torch.randn(2, 4, 5, 8) for _ in range(3))
    attend = torch.nn.functional.scaled_dot_product_attention
    for dtype, limit in ((torch.float32, 1e-5), (torch.bfloat16, 3e-2)):
        found = attend(*(t.to(dtype).cuda() for t in (q, k, v)), is_causal=True)
        np.testing.assert_allclose(wide(found), wide(attend(q, k, v, is_causal=True)), limit, limit)


EMPTY = {"no samples": ((0, 2, 4, 4), (3, 2, 2, 2)), "no channels": ((1, 0, 4, 4), (3, 0, 2, 2))}
VOLUMES = {"volumes": ((1, 2, 4, 4, 4), (3, 2, 2, 2, 2))}


@pytest.mark.parametrize("name", VOLUMES | EMPTY)
def test_gradients_that_are_left_to_the_generic_kernels(name, launched):
    convolve = conv3d if name in VOLUMES else conv2d
    given = [torch.randn(size) for size in (VOLUMES | EMPTY)[name]]
    found = [[t.to(device).requires_grad_() for t in given] for device in ("cuda", "cpu")]
    for pair in found:
        convolve(*pair).square().sum().backward()
    for here, there in zip(*found, strict=True):
        np.testing.assert_allclose(wide(here.grad), wide(there.grad), 1e-5, 1e-5)
    assert launched == []
