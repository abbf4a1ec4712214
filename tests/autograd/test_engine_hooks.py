"""Hooks on gradients, called while backward runs."""

from __future__ import annotations

import pytest

import devtensor
from devtensor.autograd.engine import grad
from devtensor.core.errors import AutogradError
from leaves import leaf


def test_hooks_see_and_change_gradients():
    x = leaf(1, 2)
    seen = []
    handle = x.register_hook(lambda g: seen.append(g.tolist()))
    double = x.register_hook(lambda g: g * 2)
    (x * 3).sum().backward()
    assert seen == [[3.0, 3.0]] and x.grad.tolist() == [6.0, 6.0]
    handle.remove()
    double.remove()
    (x * 3).sum().backward()
    assert len(seen) == 1 and x.grad.tolist() == [9.0, 9.0]


def test_hooks_on_intermediate_results():
    x = leaf(2)
    y = x * x
    y.register_hook(lambda g: g * 10)
    (y * 3).backward()
    assert x.grad.item() == 120.0


def test_hooks_run_once_on_the_whole_gradient():
    x = leaf(2)
    seen = []
    y = x * 1
    y.register_hook(lambda g: seen.append(g.item()))
    (y * 2 + y * 3).backward()
    assert seen == [5.0]


def test_retain_grad_keeps_an_intermediate_gradient():
    x = leaf(2)
    y = x * x
    y.retain_grad()
    (y * y).backward()
    assert y.grad.item() == 8.0 and x.grad.item() == 32.0


def test_hooks_of_leaves_are_heard_by_grad_too():
    x = leaf(1, 2)
    x.register_hook(lambda g: g * 10)
    assert grad((x * 2).sum(), x)[0].tolist() == [20.0, 20.0] and x.grad is None


@pytest.mark.parametrize("inside", [False, True])
def test_a_hook_may_remove_itself(inside):
    x, seen = leaf(1, 2), []
    target = x * 1 if inside else x
    first = target.register_hook(lambda g: (seen.append(1), first.remove())[0])
    target.register_hook(lambda g: seen.append(2))
    for _ in range(2):
        (target * 2).sum().backward(retain_graph=True)
    assert seen == [1, 2, 2]


@pytest.mark.parametrize("inside", [False, True])
def test_what_a_hook_returns_must_fit(inside):
    for wrong, error, text in (
        (5, TypeError, "hook returned 'int'"),
        (devtensor.ones(7, dtype=devtensor.float64), AutogradError, "changed the type or size"),
        (devtensor.ones(2), AutogradError, "changed the type or size.*float64.*float32"),
    ):
        x = leaf(1, 2)
        target = x * 1 if inside else x
        target.register_hook(lambda g, wrong=wrong: wrong)
        with pytest.raises(error, match=text):
            (target * 2).sum().backward()
