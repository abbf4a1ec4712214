"""Layer, RMS, group and batch norm by kernels of our own: launches both ways, values, odd sizes."""

from __future__ import annotations

import math

import numpy as np
import pytest

import devtensor as torch
from cuda_sources.drawn import LIMITS, assert_close, drawn, wide
from devtensor.autograd import grad
from devtensor.nn import functional
from devtensor.ops import norm
from devtensor.ops.batch_norm import moments, moments_gradient, running_average
from devtensor.ops.group_norm import group_norm_gradient
from devtensor_cupy import channels, norms

pytestmark = pytest.mark.usefixtures("compiler")

START = 0.125
"""Where running means begin: a number that every dtype has."""
SHAPES = [(5, 7), (3, 1), (2, 3, 48), (2, 1500), (1, 70_000), (9,), (40, 3), (130, 1)]
FORWARD = {"layer_norm": norm.layer_norm, "rms_norm": norm.rms_norm}
BACKWARD = {"layer_norm": norm.layer_norm_gradient, "rms_norm": norm.rms_norm_gradient}


def standard(name, x, eps):
    mean = 0 if name == "rms_norm" else x.mean(-1, keepdims=True)
    scale = 1 / np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + eps)
    return (x - mean) * scale, scale


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("name", FORWARD)
@pytest.mark.parametrize("with_weight", [True, False])
def test_norms_of_rows_are_one_launch(name, dtype, with_weight, launched, worked):
    for shape in SHAPES:
        x, count = drawn(shape, dtype), 2 if name == "layer_norm" else 1
        parts = [drawn(shape[-1:], dtype, seed) if with_weight else None for seed in range(count)]
        launched.clear(), worked.clear()
        found = FORWARD[name](x, *parts, 1, 1e-5)
        assert worked == [name]
        assert launched == [f"{'warp' if shape[-1] <= 1024 else 'block'}_{name}"]
        wanted = standard(name, wide(x), 1e-5)[0]
        if with_weight:
            wanted = wanted * wide(parts[0]) + (wide(parts[1]) if count == 2 else 0)
        assert_close(found, wanted, dtype, 4.0)


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("name", BACKWARD)
@pytest.mark.parametrize("with_weight", [True, False])
def test_gradients_of_norms_of_rows(name, dtype, with_weight, launched):
    for shape in SHAPES:
        g, x = drawn(shape, dtype), drawn(shape, dtype, 1)
        weight = drawn(shape[-1:], dtype, 2) if with_weight else None
        launched.clear()
        slope, along = BACKWARD[name](g, x, weight, 1, 0.1)
        assert len(launched) == (2 if x.numel() == shape[-1] else 3)
        y, scale = standard(name, wide(x), 0.1)
        given = wide(g) * wide(weight) if with_weight else wide(g)
        shared = y * (given * y).mean(-1, keepdims=True)
        if name == "layer_norm":
            shared = shared + given.mean(-1, keepdims=True)
        assert_close(slope, (given - shared) * scale, dtype, 10.0)
        total, sums = (wide(g) * y).reshape(-1, shape[-1]).sum(0), torch.promote_types(dtype, torch.float32)
        assert_close(along, total, sums, 10.0 * math.sqrt(x.numel() / shape[-1]))


def layers(device, name, dtype):
    """A norm's result and gradients for numbers that are the same on each device."""
    shape, own = {"rms": ((4, 5, 6), (5, 6)), "layer": ((4, 5, 6), (5, 6))}.get(name, ((4, 6, 5, 3), (6,)))
    x, weight, bias = (
        drawn(s, dtype, k).to(device).requires_grad_() for k, s in enumerate((shape, own, own))
    )
    var = torch.ones(6, dtype=dtype, device=device)
    mean = var * START
    run = {
        "layer": lambda: functional.layer_norm(x, own, weight, bias),
        "rms": lambda: functional.rms_norm(x, own, weight, 1e-5),
        "group": lambda: functional.group_norm(x, 3, weight, bias),
        "instance": lambda: functional.instance_norm(x, None, None, weight, bias),
        "batch, trained": lambda: functional.batch_norm(x, mean, var, weight, bias, True),
        "batch, evaluated": lambda: functional.batch_norm(x, mean, var, weight, bias, False),
    }[name]
    inputs = [x, weight] if name == "rms" else [x, weight, bias]
    return run, inputs, drawn(shape, dtype, 5).to(device), (mean, var)


LAUNCHED = {
    "layer": (["layer_norm"], ["layer_norm_gradient", "sum"]),
    "rms": (["rms_norm"], ["rms_norm_gradient"]),
    "group": (["group_norm"], ["group_norm_gradient"]),
    "instance": (["group_norm"], ["group_norm_gradient"]),
    "batch, trained": (
        ["moments", *["running_average", "write"] * 2, "batch_norm"],
        ["batch_norm_gradients", "moments_gradient", "add"],
    ),
    "batch, evaluated": (["batch_norm"], ["batch_norm_gradients"]),
}


@pytest.mark.parametrize("name", LAUNCHED)
def test_what_a_layer_launches(name, worked):
    run, inputs, g, statistics = layers("cuda", name, torch.float32)
    run(), worked.clear()
    found = run()
    assert worked == LAUNCHED[name][0]
    worked.clear()
    slopes = grad(found, inputs, g)
    assert worked == LAUNCHED[name][1]
    run, inputs, g, expected = layers("cpu", name, torch.float64)
    run()
    wanted = run()
    assert_close(found, wide(wanted), torch.float32, 4.0)
    for slope, other in zip(slopes, grad(wanted, inputs, g), strict=True):
        assert_close(slope, wide(other), torch.float32, 20.0)
    for moved, other in zip(statistics, expected, strict=True):
        assert_close(moved, wide(other), torch.float32)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", LAUNCHED)
def test_halves_are_normalised_in_float32_and_rounded_once(name, dtype):
    run, inputs, g, _ = layers("cuda", name, dtype)
    found = run()
    slopes = grad(found, inputs, g)
    # The same rounded numbers, in float64.
    exact = [t.detach().cpu().double().requires_grad_() for t in inputs]
    wanted = reference_of(name, exact)
    assert_close(found, wide(wanted), dtype, 4.0)
    for slope, other in zip(slopes, grad(wanted, exact, g.cpu().double()), strict=True):
        assert_close(slope, wide(other), dtype, 20.0)


def reference_of(name, tensors):
    x, weight, *bias = tensors
    if name in ("layer", "rms"):
        by = functional.layer_norm if name == "layer" else functional.rms_norm
        return by(x, (5, 6), weight, *bias, 1e-5)
    if name in ("group", "instance"):
        return functional.group_norm(x, 3 if name == "group" else 6, weight, *bias)
    ones = torch.ones(6, dtype=torch.float64)
    return functional.batch_norm(x, ones * START, ones, weight, *bias, name == "batch, trained")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dims", [(0, 2, 3), (0,), (1, 2), (0, 1, 2, 3), (3,), (1,), (0, 2)])
def test_moments_and_their_gradient_over_any_dims(dims, dtype, worked):
    x = drawn((4, 4, 4, 4), dtype)
    mean, var = moments(x, dims)
    exact = wide(x)
    assert_close(mean, exact.mean(dims), dtype)
    assert_close(var, exact.var(dims), dtype)
    slopes = [drawn(tuple(mean.shape), dtype, seed) for seed in (1, 2)]
    found = moments_gradient(x, mean, *slopes, dims)
    assert worked == ["moments", "moments_gradient"]
    by_mean, by_var = (np.expand_dims(wide(slope), dims) for slope in slopes)
    apart = exact - exact.mean(dims, keepdims=True)
    count = 4 ** len(dims)
    assert_close(found, (by_mean + 2 * apart * by_var) / count, dtype)


def test_moments_of_nothing_are_no_numbers():
    mean, var = moments(torch.ones(0, 3, device="cuda"), (0,))
    assert np.isnan(wide(mean)).all() and np.isnan(wide(var)).all() and mean.shape == (3,)


@pytest.mark.parametrize("dtype", LIMITS)
def test_running_statistics_move_in_one_launch(dtype, launched):
    running, found = drawn((7,), dtype), drawn((7,), torch.promote_types(dtype, torch.float32), 1)
    moved = running_average(running, found, 0.25, 1.5)
    assert launched == ["running_average"]
    assert_close(moved, wide(running) * 0.75 + wide(found) * 0.375, dtype)


def test_empty_arrays():
    for shape in ((0, 4), (4, 0), (2, 4, 0)):
        x = torch.ones(shape, device="cuda")
        assert functional.layer_norm(x, shape[-1:]).shape == shape
        slope, along = norm.rms_norm_gradient(x, x, None, 1, 1e-5)
        assert slope.shape == shape and along.tolist() == [0.0] * shape[-1]
    x = torch.ones(0, 4, 3, device="cuda")
    slope, along, total = group_norm_gradient(x, x, None, 2, 1e-5)
    assert slope.shape == x.shape and along.tolist() == total.tolist() == [0.0] * 4


def test_arrays_not_in_rows():
    x = drawn((6, 10), torch.float32)
    for seen in (x.T, x[::2], x[:, ::3], x.flip(1), x[:1].expand(4, 10)):
        wanted = standard("layer_norm", wide(seen), 1e-5)[0]
        assert_close(norm.layer_norm(seen, None, None, 1, 1e-5), wanted, torch.float32, 4.0)
    image = drawn((2, 4, 3, 5), torch.float32).to(memory_format=torch.channels_last)
    found = functional.batch_norm(image, torch.zeros(4).cuda(), torch.ones(4).cuda(), eps=0.0)
    assert_close(found, wide(image), torch.float32)
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_normalised_beside_wider_weights(dtype):
    x, weight, g = drawn((4, 9), dtype), drawn((9,), torch.float32, 1), drawn((4, 9), dtype, 2)
    y, scale = standard("layer_norm", wide(x), 1e-5)
    assert_close(norm.layer_norm(x, weight, None, 1, 1e-5), y * wide(weight), dtype, 2.0)
    slope, along = norm.rms_norm_gradient(g, x, weight, 1, 1e-5)
    y, scale = standard("rms_norm", wide(x), 1e-5)
    given = wide(g) * wide(weight)
    assert_close(slope, (given - y * (given * y).mean(-1, keepdims=True)) * scale, dtype, 4.0)
    assert_close(along, (wide(g) * y).sum(0), torch.float32, 4.0)


def wider_weights():
    test_halves_normalised_beside_wider_weights(torch.float16)


def normalised_rows():
    x = drawn((4, 9), torch.float32)
    wanted = standard("layer_norm", wide(x), 1e-5)[0]
    assert_close(functional.layer_norm(x, (9,)), wanted, torch.float32, 4.0)


def moments_apart():
    x = drawn((4, 4, 4), torch.float32)
    slopes = [drawn((4, 4), torch.float32, seed) for seed in (1, 2, 3)]
    found = moments_gradient(x, *slopes, (1,))
    mean, by_mean, by_var = (wide(slope)[:, None] for slope in slopes)
    assert_close(found, (by_mean + 2 * (wide(x) - mean) * by_var) / 4, torch.float32, 4.0)


def all_in_front(x, dims, seen=channels.channels_of):
    return seen(x, dims)._replace(order=None)


def one_row_less(x, count):
    return x.shape[0] - 1, x.shape[1]


FAULTS = {
    "wider weights are read as they are": (norms, "common_dtype", lambda x, *others: x.dtype, wider_weights),
    "one row is left out": (
        norms,
        "table_of",
        lambda x, count: (x.shape[0] - 1, x.shape[1]),
        normalised_rows,
    ),
    "rows are not brought in order": (norms, "in_rows", lambda array: array, test_arrays_not_in_rows),
    "dims are not moved back": (channels, "channels_of", all_in_front, moments_apart),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name, reddens):
    reddens(*FAULTS[name])
