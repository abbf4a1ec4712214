"""Norms, clipping and the next loss scale by kernels over lists."""

from __future__ import annotations

import math

import numpy as np
import pytest

import devtensor as dt
from devtensor import amp, nn, optim
from devtensor.core.lists import LIST_OPS
from list_runs import give_gradients, kernels_of, of_lists, parameters

pytestmark = pytest.mark.usefixtures("compiler")

ORDERS = [2.0, 1.0, 3.0, 0.5, 0.0, -2.0, math.inf, -math.inf]


@pytest.mark.parametrize("planted", [0.0, math.nan, math.inf])
@pytest.mark.parametrize("order", ORDERS)
def test_a_norm_of_any_order_is_two_launches(order, planted, counts):
    params = parameters([(300, 300), (5,), ()])
    give_gradients(params, 0, planted)
    params[2].grad.zero_()
    # The second time the table is there.
    for _ in range(2):
        counts.clear()
        found = nn.utils.get_total_norm([p.grad for p in params], order)
    assert kernels_of(counts) == {"multi_norm_parts_float32": 1, "norm_of_parts": 1}
    # The stand-in counts memory for parts and norm too.
    assert counts["launches"] == counts["kernels"] + 2 and not counts["synchronisations"]
    with np.errstate(divide="ignore"):
        norms = [np.linalg.norm(p.grad.double().cpu().numpy().reshape(-1), order) for p in params]
        wanted = np.linalg.norm(norms, order)
    assert found.item() == pytest.approx(wanted, rel=1e-5, nan_ok=True)


def test_norms_of_several_dtypes_are_put_together():
    grads = [dt.tensor([3.0, 0.0], device="cuda", dtype=kind) for kind in (dt.float32, dt.float64, dt.half)]
    grads.append(dt.zeros(2, device="cuda"))
    for order, wanted in [(0.0, 3.0), (math.inf, 3.0), (-math.inf, 0.0), (1.0, 9.0), (2.0, 27**0.5)]:
        found = nn.utils.get_total_norm(grads, order)
        assert found.item() == pytest.approx(wanted) and found.dtype is dt.float64


@pytest.mark.parametrize("order", [math.inf, -math.inf, -1.0])
def test_an_order_that_has_no_norm_of_nothing_says_so(order, counts):
    with pytest.raises(RuntimeError, match="norm on an empty dimension"):
        nn.utils.get_total_norm([dt.ones(2, device="cuda"), dt.ones(0, device="cuda")], order)


def test_clipping_by_value_is_a_launch_for_each_dtype(counts):
    params = parameters() + parameters(dtype=dt.float16)
    give_gradients(params, 0)
    params[0].grad[0, 0] = math.nan
    wanted = [np.clip(p.grad.cpu().numpy(), -2.5, 2.5) for p in params]
    for _ in range(2):
        counts.clear()
        nn.utils.clip_grad_value_(params, 2.5)
    assert kernels_of(counts) == {"multi_clamp_float32": 1, "multi_clamp_float16": 1}
    assert counts["launches"] == counts["kernels"] and not counts["synchronisations"]
    for p, right in zip(params, wanted, strict=True):
        np.testing.assert_array_equal(p.grad.cpu().numpy(), right)


def test_a_limit_that_is_no_number_of_the_dtype_is_left_to_the_body(counts):
    params = parameters([(3,)], dtype=dt.float16)
    give_gradients(params, 0)
    with pytest.raises(ValueError, match="cannot be converted to type float16 without overflow"):
        nn.utils.clip_grad_value_(params, 1e6)
    nn.utils.clip_grad_value_(params, math.nan)
    assert not of_lists(counts) and all(map(math.isnan, params[0].grad.tolist()))


def test_a_gradient_that_is_named_twice_is_read_by_the_kernel_and_written_by_the_body(counts):
    p = nn.Parameter(dt.zeros(2, device="cuda"))
    p.grad = dt.tensor([3.0, 4.0], device="cuda")
    norm = nn.utils.clip_grad_norm_([p, p], 1.0)
    assert kernels_of(counts) == {"multi_norm_parts_float32": 1, "norm_of_parts": 1}
    assert norm.item() == pytest.approx(50**0.5)
    np.testing.assert_allclose(p.grad.cpu().numpy(), [3 / 50, 4 / 50], 1e-5)


@pytest.mark.parametrize("bad", [None, 0, 2])
def test_several_optimizers_adapt_the_scale_in_one_launch(bad, counts):
    models = [parameters([(3,), (2,)]) for _ in range(3)]
    optimizers = [optim.Adam(params) for params in models]
    scaler = amp.GradScaler("cuda", init_scale=8.0, growth_interval=1)
    scaler.scale(dt.tensor(1.0, device="cuda"))
    for number, (params, optimizer) in enumerate(zip(models, optimizers, strict=True)):
        give_gradients(params, number)
        if number == bad:
            params[1].grad[0] = math.inf
        scaler.step(optimizer)
    counts.clear()
    scaler.update()
    assert kernels_of(counts) == {"scale_adapt": 1} and counts["launches"] == 1
    assert not counts["synchronisations"]
    assert scaler.get_scale() == (16.0 if bad is None else 4.0)


def test_more_optimizers_than_a_launch_takes_are_left_to_the_body():
    from devtensor_cupy.compile.loss_scale import FLAGS

    for bad in (None, FLAGS):
        flags = [dt.tensor(float(k == bad), device="cuda") for k in range(FLAGS + 1)]
        scale, tracker = dt.tensor(8.0, device="cuda"), dt.tensor(0, dtype=dt.int32, device="cuda")
        LIST_OPS["adapt_scale"](flags, scale, tracker, 2.0, 0.5, 1)
        assert scale.item() == (16.0 if bad is None else 4.0)
