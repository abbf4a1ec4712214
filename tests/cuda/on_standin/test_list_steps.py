"""Optimizers by kernels over lists: training with them and without, and what a step launches."""

from __future__ import annotations

import math

import numpy as np
import pytest

import devtensor as dt
from devtensor import amp, nn, optim
from list_runs import bits, give_gradients, kernels_of, of_lists, parameters

pytestmark = pytest.mark.usefixtures("compiler")

OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "SGD momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
    "SGD dampening": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.5, maximize=True),
    "Adam": lambda p: optim.Adam(p, lr=0.1, amsgrad=True),
    "Adam fused": lambda p: optim.Adam(p, lr=0.1, fused=True),
    "SGD fused": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, fused=True),
    "Adam tensor lr": lambda p: optim.Adam(p, lr=dt.tensor(0.1, device="cuda"), capturable=True),
    "AdamW": lambda p: optim.AdamW(p, lr=0.1, maximize=True),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.1),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.1, momentum=0.9, centered=True),
    "Adamax": lambda p: optim.Adamax(p, lr=0.1, weight_decay=0.1, maximize=True),
    "NAdam": lambda p: optim.NAdam(p, lr=0.1, weight_decay=0.1, decoupled_weight_decay=True),
    "NAdam tensor lr": lambda p: optim.NAdam(p, lr=dt.tensor(0.1, device="cuda"), capturable=True),
    "RAdam": lambda p: optim.RAdam(p, lr=0.1, betas=(0.9, 0.99), weight_decay=0.1),
    "Adadelta": lambda p: optim.Adadelta(p, lr=0.5, rho=0.8, weight_decay=0.1),
    "Rprop": lambda p: optim.Rprop(p, lr=0.1, step_sizes=(0.02, 0.3)),
    "ASGD": lambda p: optim.ASGD(p, lr=0.1, lambd=0.1, t0=1, weight_decay=0.1),
    "ASGD tensor lr": lambda p: optim.ASGD(p, lr=dt.tensor(0.1, device="cuda"), capturable=True),
}

LAUNCHES = {
    "SGD": (lambda p: optim.SGD(p, momentum=0.9), {"multi_sgd_float32"}),
    "SGD dampened": (
        lambda p: optim.SGD(p, momentum=0.9, dampening=0.5),
        {"steps_advance", "multi_sgd_float32"},
    ),
    "NAdam": (optim.NAdam, {"nadam_advance", "multi_nadam_float32"}),
    "ASGD": (optim.ASGD, {"multi_asgd_float32", "asgd_advance"}),
    **{
        name: (getattr(optim, name), {"steps_advance", f"multi_{name.lower()}_float32"})
        for name in ("Adam", "Adamax", "RAdam", "Adagrad", "RMSprop", "Adadelta", "Rprop")
    },
}
"""What each optimizer launches in a step, once each."""


@pytest.fixture
def backend():
    return dt.device("cuda").backend


def trained(make, unscales, steps=7):
    """Parameters and state after some steps, one of them skipped; RAdam trusts its squares at the last."""
    params = parameters()
    optimizer, scaler = make(params), amp.GradScaler("cuda", init_scale=8.0)
    scaler.scale(dt.tensor(1.0, device="cuda"))
    for step in range(steps):
        give_gradients(params, step, float("nan") if step == 2 else None)
        kept = bits([*params, *state_of(optimizer)]) if step == 2 else None
        if unscales:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(params, 1.0)
        scaler.step(optimizer)
        assert kept is None or bits([*params, *state_of(optimizer)]) == kept
        scaler.update()
    return [*params, *state_of(optimizer), *[p.grad for p in params]], scaler.get_scale()


def state_of(optimizer):
    return [value for state in optimizer.state.values() for value in state.values()]


@pytest.mark.parametrize("unscales", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_by_kernels_is_training_by_bodies(name, unscales, backend, monkeypatch, counts):
    by_kernels, scale = trained(OPTIMIZERS[name], unscales)
    assert of_lists(counts)
    monkeypatch.setitem(backend.__dict__, "list_kernels", {})
    counts.clear()
    by_bodies, same_scale = trained(OPTIMIZERS[name], unscales)
    assert not of_lists(counts) and scale == same_scale == 4.0
    for got, wanted in zip(by_kernels, by_bodies, strict=True):
        np.testing.assert_allclose(got.detach().cpu().numpy(), wanted.detach().cpu().numpy(), 1e-5, 1e-6)


def test_a_step_of_many_parameters_is_one_launch_that_nobody_waits_for(counts):
    params = parameters([(3, 4)] * 40)
    optimizer, scaler = optim.AdamW(params, lr=0.1), amp.GradScaler("cuda")
    scaler.scale(dt.tensor(1.0, device="cuda"))
    for step in range(2):
        give_gradients(params, step)
        counts.clear()
        scaler.unscale_(optimizer)
        assert kernels_of(counts) == {"multi_unscale_float32": 1}
        counts.clear()
        nn.utils.clip_grad_norm_(params, 1.0)
        clips = {"multi_norm_parts_float32": 1, "norm_of_parts": 1, "multi_clip_float32": 1}
        assert kernels_of(counts) == clips and counts["launches"] <= 5 and not counts["synchronisations"]
        counts.clear()
        scaler.step(optimizer)
        scaler.update()
        assert kernels_of(counts) == {"steps_advance": 1, "multi_adam_float32": 1, "scale_adapt": 1}
        assert not counts["synchronisations"]
    # The first step made the state; a table is made where gradients came to lie elsewhere.
    assert counts["launches"] <= 4


@pytest.mark.parametrize("name", LAUNCHES)
def test_a_step_without_a_scaler_launches_its_kernels_and_nothing_else(name, counts):
    make, wanted = LAUNCHES[name]
    params = parameters([(3, 4)] * 40)
    optimizer = make(params)
    give_gradients(params, 0)
    optimizer.step()
    counts.clear()
    optimizer.step()
    assert kernels_of(counts) == dict.fromkeys(wanted, 1)
    assert counts["launches"] == counts["kernels"] and not counts["synchronisations"]


def test_an_empty_parameter_counts_its_steps(counts):
    p = nn.Parameter(dt.zeros(0, device="cuda"))
    p.grad = dt.zeros_like(p)
    optimizer = optim.ASGD([p], lr=0.5, lambd=0.0)
    for _ in range(2):
        optimizer.step()
    assert kernels_of(counts) == {"asgd_advance": 2}
    state = optimizer.state[p]
    assert [state[name].item() for name in ("step", "eta", "mu")] == [2.0, 0.5, 1.0]


UNUSED = {
    "velocities": (lambda p: optim.SGD(p, lr=0.1, momentum=0.9), {"momentum": 0.0}),
    "largest squares": (lambda p: optim.Adam(p, lr=0.1, amsgrad=True), {"amsgrad": False}),
}


@pytest.mark.parametrize("name", UNUSED)
def test_state_that_is_no_longer_used_is_left_alone(name, backend, monkeypatch, counts):
    make, change = UNUSED[name]

    def stepped():
        params = parameters([(3,), (2,)])
        optimizer = make(params)
        give_gradients(params[:1], 0)
        optimizer.step()
        optimizer.param_groups[0].update(change)
        give_gradients(params, 1)
        kept = bits([optimizer.state[params[0]][unused]])
        optimizer.step()
        assert bits([optimizer.state[params[0]][unused]]) == kept
        return [p.tolist() for p in params]

    unused = "max_exp_avg_sq" if name == "largest squares" else "momentum_buffer"
    by_kernels = stepped()
    assert of_lists(counts)
    monkeypatch.setitem(backend.__dict__, "list_kernels", {})
    for got, wanted in zip(by_kernels, stepped(), strict=True):
        assert got == pytest.approx(wanted, rel=1e-5)


def test_a_parameter_that_is_infinite_stays_so_without_weight_decay():
    p = nn.Parameter(dt.tensor([math.inf, 1.0], device="cuda"))
    p.grad = dt.ones_like(p)
    optim.SGD([p], lr=0.5).step()
    assert p.tolist() == [math.inf, 0.5]


def test_each_group_s_numbers_are_taken_anew_at_each_step(counts):
    params = [nn.Parameter(dt.zeros(2, device="cuda")) for _ in range(2)]
    for p in params:
        p.grad = dt.ones_like(p)
    optimizer = optim.SGD([{"params": params[:1], "lr": 0.5}, {"params": params[1:], "lr": 0.25}])
    counts.clear()
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 2.0
    optimizer.param_groups[1]["weight_decay"] = 1.0
    optimizer.step()
    assert kernels_of(counts) == {"multi_sgd_float32": 4}
    assert [p.tolist() for p in params] == [[-2.5] * 2, [-0.4375] * 2]


def test_the_second_device_steps_on_its_own():
    params = [nn.Parameter(p.detach().to("cuda:1")) for p in parameters()]
    for p in params:
        p.grad = dt.ones_like(p)
    before = [p.detach().cpu().numpy() for p in params]
    optim.SGD(params, lr=0.5).step()
    for p, start in zip(params, before, strict=True):
        np.testing.assert_allclose(p.detach().cpu().numpy(), start - 0.5)


def test_a_rule_of_a_subclass_is_stepped_by_itself(counts):
    class Halved(optim.SGD):
        def update(self, p, g, s, h):
            return g * 0.5

    params = parameters([(3,)])
    give_gradients(params, 0)
    wanted = (params[0].detach() - params[0].grad * 0.5).tolist()
    counts.clear()
    Halved(params).step()
    assert not counts["kernels"] and params[0].tolist() == wanted
