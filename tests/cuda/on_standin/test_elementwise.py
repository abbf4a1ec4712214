"""Activations, their gradients and arithmetic of three operands: one launch each, rounded once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special

import devtensor as torch
import devtensor.nn.functional as F
from devtensor.core.plan import forget
from devtensor_cupy import elementwise
from devtensor_cupy.launching import launcher

pytestmark = pytest.mark.usefixtures("compiler")

LIMITS = {torch.float64: 1e-12, torch.float32: 3e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}
HALVES = (torch.float16, torch.bfloat16)


def drawn(shape, dtype, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(size=shape) * 2).to(dtype).cuda()


def wide(tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()


def assert_close(found, wanted, dtype):
    assert found.dtype is dtype and tuple(found.shape) == wanted.shape
    np.testing.assert_allclose(wide(found), wanted, LIMITS[dtype], LIMITS[dtype] / 4)


CURVES: dict[str, tuple[Callable[..., Any], Callable[..., Any], list[str]]] = {
    "gelu": (F.gelu, lambda x: x * special.ndtr(x), ["gelu", "gelu_gradient"]),
    "gelu by tanh": (
        lambda x: F.gelu(x, approximate="tanh"),
        lambda x: x * special.expit(np.sqrt(8 / np.pi) * (x + 0.044715 * x**3)),
        ["gelu_tanh", "gelu_tanh_gradient"],
    ),
    "silu": (F.silu, lambda x: x * special.expit(x), ["silu", "silu_gradient"]),
    "sigmoid": (torch.sigmoid, special.expit, ["sigmoid", "sigmoid_gradient"]),
    "tanh": (torch.tanh, np.tanh, ["tanh_gradient"]),
    "relu": (F.relu, lambda x: np.maximum(x, 0), ["relu_gradient"]),
    "mish": (F.mish, lambda x: x * np.tanh(np.logaddexp(0, x)), ["mish", "mish_gradient"]),
    "elu": (F.elu, lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), ["elu", "elu_gradient"]),
    "softplus": (
        lambda x: F.softplus(x, 2.0, 1.0),
        lambda x: np.where(2 * x > 1, x, np.logaddexp(0, 2 * x) / 2),
        ["softplus", "softplus_gradient"],
    ),
    "leaky relu": (
        lambda x: F.leaky_relu(x, 0.25),
        lambda x: np.where(x > 0, x, x / 4),
        ["leaky_relu", "leaky_relu_gradient"],
    ),
    "hardtanh": (F.hardtanh, lambda x: np.clip(x, -1, 1), ["hardtanh", "hardtanh_gradient"]),
    "hardswish": (
        F.hardswish,
        lambda x: x * np.clip(x + 3, 0, 6) / 6,
        ["hardswish", "hardswish_gradient"],
    ),
}
STEP = 1e-6


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("name", CURVES)
def test_a_curve_and_its_gradient_are_one_launch_each(name, dtype, launched):
    run, reference, names = CURVES[name]
    x, g = drawn((7, 33), dtype).requires_grad_(), drawn((7, 33), dtype, 1)
    found = run(x)
    found.backward(g)
    assert launched == names
    at = wide(x)
    assert_close(found, reference(at), dtype)
    slope = (reference(at + STEP) - reference(at - STEP)) / (2 * STEP)
    near = np.abs(np.abs(at)[..., None] - [0, 0.5, 1, 3]).min(-1) < 2 * STEP
    limit = max(8 * LIMITS[dtype], 1e-8)
    np.testing.assert_allclose(wide(x.grad)[~near], (wide(g) * slope)[~near], limit, limit)


TERMS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "add_scaled": (lambda x, y, z: torch.add(x, y, alpha=0.3), lambda x, y, z: x + 0.3 * y),
    "sub_scaled": (lambda x, y, z: torch.sub(x, y, alpha=0.3), lambda x, y, z: x - 0.3 * y),
    "addcmul": (lambda x, y, z: torch.addcmul(x, y, z, value=0.3), lambda x, y, z: x + 0.3 * y * z),
    "addcdiv": (lambda x, y, z: torch.addcdiv(x, y, z, value=0.3), lambda x, y, z: x + 0.3 * y / z),
    "lerp": (lambda x, y, z: torch.lerp(x, y, 0.3), lambda x, y, z: x + 0.3 * (y - x)),
    "clamp": (lambda x, y, z: x.clamp(-0.5, 1.5), lambda x, y, z: np.clip(x, -0.5, 1.5)),
}


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("name", TERMS)
def test_three_operands_are_one_launch_and_one_rounding(name, dtype, launched):
    run, reference = TERMS[name]
    inputs = [drawn((5, 4, 6), dtype), drawn((4, 1), dtype, 1), drawn((5, 4, 6), dtype, 2)]
    inputs[2] = inputs[2].sign() * (inputs[2].abs() + 1)
    launched.clear()
    found, wanted = run(*inputs), reference(*map(wide, inputs))
    assert launched == [name]
    assert_close(found, wanted, dtype)
    if dtype in HALVES:
        half = torch.finfo(dtype).eps / 2
        np.testing.assert_allclose(wide(found), wanted, 1.001 * half, 1e-6)
    inputs[0] = inputs[0].transpose(0, 2).contiguous().transpose(0, 2)
    assert_close(run(*inputs), wanted, dtype)
    assert run(*inputs).stride() == inputs[0].stride() and launched == [name] * 3


def test_in_place_and_into_given_memory(launched):
    x, y, z = (drawn((3, 4), torch.float16, seed) for seed in range(3))
    wanted, out = wide(x) + 0.5 * wide(y) * wide(z), torch.zeros(3, 4, dtype=torch.float16, device="cuda")
    torch.addcmul(x, y, z, value=0.5, out=out)
    assert_close(out, wanted, torch.float16)
    assert_close(x.addcmul_(y, z, value=0.5), wanted, torch.float16)
    assert launched == ["addcmul"] * 2


def test_arrays_as_they_lie(launched):
    x = drawn((6, 10), torch.float32)
    for seen in (x.T, x[::2], x[:, ::3], x.flip(1), x[:1].expand(4, 10), x[0, 0], x[:0]):
        at = wide(seen)
        assert_close(F.silu(seen), at * special.expit(at), torch.float32)
    lone = drawn((2,) * 12, torch.float32)[..., ::2, :].permute(*range(11, -1, -1))
    other = drawn((2, 1) * 6, torch.float32, 1)
    assert_close(torch.lerp(lone, other, 0.5), (wide(lone) + wide(other)) / 2, torch.float32)
    assert launched == ["silu"] * 6 + ["lerp"]


def test_infinities_and_nan():
    inf, nan = np.inf, np.nan
    x = torch.tensor([-inf, inf, nan, -1e4, 1e4], device="cuda")
    wanted = {
        torch.sigmoid: [0, 1, nan, 0, 1], F.silu: [nan, inf, nan, 0, 1e4], F.softplus: [0, inf, nan, 0, 1e4],
        F.gelu: [nan, inf, nan, 0, 1e4], F.logsigmoid: [-inf, 0, nan, -1e4, 0],
        F.hardtanh: [-1, 1, nan, -1, 1], F.elu: [-1, inf, nan, -1, 1e4],
    }  # fmt: skip
    for run, values in wanted.items():
        np.testing.assert_allclose(wide(run(x)), values, atol=0)
    np.testing.assert_equal(wide(x.clamp(-2, nan)), [nan] * 5)


def test_integers_and_complex_numbers_go_another_way(launched):
    x = torch.tensor([1, -5, 7], device="cuda")
    assert x.clamp(-2, 3).tolist() == [1, -2, 3]
    assert torch.addcmul(x, x, x, value=2).tolist() == [3, 45, 105]
    z = torch.tensor([1 + 1j], device="cuda")
    np.testing.assert_allclose(torch.sigmoid(z).cpu().numpy(), [1 / (1 + np.exp(-1 - 1j))], 1e-6)
    assert torch.add(z, z, alpha=2).tolist() == [3 + 3j]
    assert launched == []


def test_what_is_refused():
    with pytest.raises(RuntimeError, match="approximate argument must be either none or tanh"):
        F.gelu(torch.ones(2, device="cuda"), approximate="other")


def test_without_a_compiler_bodies_serve(monkeypatch, launched):
    monkeypatch.setattr(launcher, "kernels", lambda entry: None)
    forget("cuda")
    for dtype in (torch.float32, torch.float16):
        x = drawn((4, 9), dtype).requires_grad_()
        F.silu(x).sum().backward()
        share = special.expit(wide(x))
        slope = share * (1 + wide(x) * (1 - share))
        np.testing.assert_allclose(wide(x.grad), slope, 4 * LIMITS[dtype], 4 * LIMITS[dtype])
        assert_close(torch.lerp(x, x + 1, 0.25), wide(x) + 0.25, dtype)
    assert launched == []
    monkeypatch.undo()
    forget("cuda")


def broadcast_terms():
    x, y = drawn((5, 3), torch.float16), drawn((3,), torch.float16, 1)
    assert_close(torch.add(x, y, alpha=0.3), wide(x) + 0.3 * wide(y), torch.float16)


def one_curve():
    x = drawn((5, 3), torch.float32).T
    assert_close(F.elu(x, 0.5), np.where(wide(x) > 0, wide(x), np.expm1(wide(x)) / 2), torch.float32)


FAULTS = {
    "what broadcasts stands still": ("spread_steps", lambda array, shape: (0,) * len(shape), broadcast_terms),
    "the result lies in one place": ("steps_of", lambda array: (0,) * len(array.shape), one_curve),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name, monkeypatch):
    where, fault, check = FAULTS[name]
    check()
    elementwise.walk_along.cache_clear()
    monkeypatch.setattr(elementwise, where, fault)
    with pytest.raises(AssertionError):
        check()
    elementwise.walk_along.cache_clear()
