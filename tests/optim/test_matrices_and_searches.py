"""L-BFGS, Muon and SparseAdam, whose steps are no formula of single elements."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import devtensor as dt
from devtensor import optim
from devtensor.optim._muon import _zeropower_via_newtonschulz


def rosenbrock(x):
    return ((1 - x[:-1]) ** 2 + 100 * (x[1:] - x[:-1] ** 2) ** 2).sum()


def run(optimizer, x, steps):
    def closure():
        optimizer.zero_grad()
        loss = rosenbrock(x)
        loss.backward()
        return loss

    return [optimizer.step(closure).item() for _ in range(steps)]


def start():
    return dt.tensor([-1.2, 1.0, 0.7, -0.3], dtype=dt.float64, requires_grad=True)


def test_lbfgs_finds_the_minimum_of_a_curved_valley(device):
    x = dt.tensor([-1.2, 1.0], dtype=dt.float64, device=device, requires_grad=True)
    optimizer = optim.LBFGS([x], line_search_fn="strong_wolfe", tolerance_change=1e-14)
    losses = run(optimizer, x, 5)
    assert losses == sorted(losses, reverse=True)
    np.testing.assert_allclose(x.detach().cpu().numpy(), 1.0, rtol=1e-6)


def test_lbfgs_solves_a_quadratic_in_as_many_steps_as_it_has_dimensions():
    matrix = np.diag([1.0, 3.0, 9.0])
    goal = np.array([1.0, -2.0, 0.5])
    x = dt.zeros(3, dtype=dt.float64).requires_grad_()
    optimizer = optim.LBFGS([x], lr=1, max_iter=40)

    def closure():
        optimizer.zero_grad()
        loss = (x - dt.tensor(goal)) @ dt.tensor(matrix) @ (x - dt.tensor(goal)) / 2
        loss.backward()
        return loss

    optimizer.step(closure)
    np.testing.assert_allclose(x.detach().numpy(), goal, atol=1e-6)
    state = optimizer.state[x]
    assert state["n_iter"] < 15
    assert state["func_evals"] in (state["n_iter"], state["n_iter"] + 1)
    # The secant equation: the last change of the gradient is the matrix times the last change of x.
    np.testing.assert_allclose(
        state["old_dirs"][-1].numpy(), matrix @ state["old_stps"][-1].numpy(), atol=1e-9
    )


def test_lbfgs_of_complex_numbers_and_of_several_parameters():
    goal = dt.tensor([1 + 2j, -1j])
    parts = [
        dt.zeros(2, dtype=dt.complex128).requires_grad_(),
        dt.zeros((), dtype=dt.float64).requires_grad_(),
    ]
    unused = dt.ones(2, dtype=dt.float64).requires_grad_()
    optimizer = optim.LBFGS([*parts, unused], line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = ((parts[0] - goal).abs() ** 2).sum() + (parts[1] - 3) ** 4
        loss.backward()
        return loss

    for _ in range(5):
        optimizer.step(closure)
    np.testing.assert_allclose(parts[0].detach().numpy(), goal.numpy(), atol=1e-4)
    np.testing.assert_allclose(parts[1].item(), 3.0, atol=1e-2)
    assert unused.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
@pytest.mark.parametrize("again", ["state", copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_lbfgs_goes_on_where_it_was(search, again):
    settings = dict(line_search_fn=search, max_iter=4, lr=0.01 if search is None else 1, history_size=3)
    x = start()
    one = optim.LBFGS([x], **settings)
    run(one, x, 3)
    if again == "state":
        y = x.detach().clone().requires_grad_()
        two = optim.LBFGS([y])
        two.load_state_dict(copy.deepcopy(one.state_dict()))
    else:
        two = again(one)
        y = two.param_groups[0]["params"][0]
    assert run(one, x, 2) == run(two, y, 2)
    assert x.tolist() == y.tolist()


def test_lbfgs_knows_one_search():
    x = start()
    with pytest.raises(RuntimeError, match="only 'strong_wolfe' is supported"):
        run(optim.LBFGS([x], line_search_fn="armijo"), x, 1)
    assert optim.LBFGS([x], max_iter=8).param_groups[0]["max_eval"] == 10


@pytest.mark.parametrize("shape", [(4, 3), (3, 5), (6, 6)])
def test_newton_schulz_brings_singular_values_near_one(shape):
    g = np.random.default_rng(0).normal(size=shape)
    found = _zeropower_via_newtonschulz(dt.tensor(g), (3.4445, -4.775, 2.0315), 5, 1e-7).double().numpy()
    u, s, v = np.linalg.svd(g, full_matrices=False)
    s = s / np.linalg.norm(s)
    for _ in range(5):
        s = 3.4445 * s - 4.775 * s**3 + 2.0315 * s**5
    np.testing.assert_allclose(found, u @ np.diag(s) @ v, atol=6e-2)


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("adjust", [None, "original", "match_rms_adamw"])
def test_muon_steps_along_the_orthogonal_factor(device, nesterov, adjust):
    start, g = np.random.default_rng(1).normal(size=(2, 6, 4))
    p = dt.tensor(start, dtype=dt.float32, device=device, requires_grad=True)
    optimizer = optim.Muon([p], lr=0.1, weight_decay=0.2, nesterov=nesterov, adjust_lr_fn=adjust)
    p.grad = dt.tensor(g, dtype=dt.float32, device=device)
    optimizer.step()
    u, _, v = np.linalg.svd(g, full_matrices=False)
    factor = 0.2 * np.sqrt(6) if adjust == "match_rms_adamw" else np.sqrt(6 / 4)
    step = (start * (1 - 0.1 * 0.2) - p.detach().cpu().numpy()) / (0.1 * factor)
    s = np.linalg.svd(step)[1]
    assert s.min() > 0.6
    assert s.max() < 1.3
    np.testing.assert_allclose(u.T @ step @ v.T, np.diag(np.diag(u.T @ step @ v.T)), atol=5e-2)
    np.testing.assert_allclose(optimizer.state[p]["momentum_buffer"].cpu().numpy(), 0.05 * g, rtol=1e-5)


def test_muon_refuses_what_it_cannot_turn():
    p = dt.zeros(2, 3, dtype=dt.complex64).requires_grad_()
    p.grad = dt.ones(2, 3, dtype=dt.complex64)
    with pytest.raises(RuntimeError, match="does not support complex parameters"):
        optim.Muon([p]).step()
    with pytest.raises(ValueError, match="exactly 3 values"):
        _zeropower_via_newtonschulz(dt.ones(2, 2), (1.0, 2.0), 5, 1e-7)
    with pytest.raises(ValueError, match="less than 100"):
        _zeropower_via_newtonschulz(dt.ones(2, 2), (1.0, 2.0, 3.0), 100, 1e-7)


def test_sparse_adam_says_that_gradients_are_dense():
    p = dt.ones(2).requires_grad_()
    optimizer = optim.SparseAdam([p])
    assert optimizer.step(lambda: 3.0) == 3.0
    p.grad = dt.ones(2)
    with pytest.raises(RuntimeError, match="SparseAdam does not support dense gradients"):
        optimizer.step()
    with pytest.raises(ValueError, match="SparseAdam does not support complex parameters"):
        optim.SparseAdam([dt.ones(2, dtype=dt.complex64).requires_grad_()])
