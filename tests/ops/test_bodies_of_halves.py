"""Composites without a kernel, on half types: their bodies run in float32 and are rounded once."""

from __future__ import annotations

import numpy as np
import pytest

import devtensor as dt
from devtensor import func
from devtensor.core.op import OPS
from devtensor_numpy import backend as cpu

F = dt.nn.functional
HALVES = dt.float16, dt.bfloat16
FUNCTIONS = {
    "mish": F.mish,
    "hardswish": F.hardswish,
    "softplus": F.softplus,
    "elu": F.elu,
    "silu": F.silu,
    "logsigmoid": F.logsigmoid,
    "softsign": F.softsign,
    "glu": F.glu,
    "sinc": dt.sinc,
    "i0": dt.i0,
    "logit": lambda x: dt.logit(x, 0.1),
    "logsumexp": lambda x: dt.logsumexp(x, 1),
    "mse": lambda x: F.mse_loss(x, x.detach().flip(0)),
    "huber": lambda x: F.huber_loss(x, x.detach().flip(0), reduction="none"),
    "smooth_l1": lambda x: F.smooth_l1_loss(x, x.detach().flip(0)),
    "bce with logits": lambda x: F.binary_cross_entropy_with_logits(x, x.detach().abs() / 16),
    "adaptive pool": lambda x: F.adaptive_avg_pool2d(x.reshape(2, 3, 10, 4), (3, 3)),
}
OF_TWO = {
    "logaddexp": dt.logaddexp,
    "xlogy": lambda x, y: dt.xlogy(x, y.abs()),
    "kl_div": lambda x, y: F.kl_div(x, y.abs(), reduction="none"),
}


def drawn(half, seed=0):
    numbers = np.random.default_rng(seed).normal(size=(6, 40)).astype(np.float32) * 3
    return dt.tensor(numbers).to(half)


def bits(x):
    return x.detach().view(dt.int16).tolist()


@pytest.mark.parametrize("half", HALVES, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_are_those_of_float32_rounded(name, half):
    function, x = FUNCTIONS[name], drawn(half)
    found = function(x)
    assert found.dtype is half
    assert bits(found) == bits(function(x.float()).to(half))


@pytest.mark.parametrize("half", HALVES, ids=str)
@pytest.mark.parametrize("name", OF_TWO)
def test_results_of_two_inputs_are_those_of_float32_rounded(name, half):
    x, y = drawn(half), drawn(half, 1)
    found = OF_TWO[name](x, y)
    assert found.dtype is half and bits(found) == bits(OF_TWO[name](x.float(), y.float()).to(half))


@pytest.mark.parametrize("half", HALVES, ids=str)
@pytest.mark.parametrize("name", ["mish", "hardswish", "softplus", "elu", "silu"])
def test_gradients_are_rounded_once(name, half):
    function = FUNCTIONS[name]
    x = drawn(half).requires_grad_()
    wide = x.detach().float().requires_grad_()
    g = drawn(half, 2)
    function(x).backward(g)
    function(wide).backward(g.float())
    assert x.grad.dtype is half and bits(x.grad) == bits(wide.grad.to(half))


@pytest.mark.parametrize("name", ["mish", "silu", "mse"])
def test_second_gradients_go_through(name):
    x = drawn(dt.float16).requires_grad_()
    (first,) = dt.autograd.grad(FUNCTIONS[name](x).sum(), x, create_graph=True)
    (second,) = dt.autograd.grad(first.sum(), x)
    assert first.dtype is second.dtype is dt.float16 and second.abs().sum().item() > 0


@pytest.mark.parametrize("name", ["mish", "logsumexp", "mse"])
def test_captured_steps_and_vmap_agree(name):
    x, function = drawn(dt.bfloat16), FUNCTIONS[name]
    captured = dt.graph.capture(function)
    for _ in range(4):
        assert bits(captured(x)) == bits(function(x))
    batch = dt.stack([x, x.flip(0)])
    each = dt.stack([function(part) for part in batch])
    assert bits(func.vmap(function)(batch)) == bits(each)


def test_every_name_is_a_composite_of_one_result_that_runs_by_its_body():
    for name in cpu.wide_bodies:
        op = OPS[name]
        assert op.composite and not isinstance(op.dtype_rule, tuple)
        for half in ("float16", "bfloat16"):
            assert name not in cpu.kernels or cpu.specialise(name, cpu.kernels[name], half) is None
