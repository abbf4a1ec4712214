"""Hooks around forward and backward."""

from __future__ import annotations

import pytest

import devtensor
from devtensor import nn
from devtensor.core.errors import AutogradError


def layer() -> nn.Linear:
    made = nn.Linear(2, 1, bias=False)
    nn.init.constant_(made.weight, 2.0)
    return made


X = devtensor.tensor([[1.0, 3.0]])


def test_forward_hooks_see_and_replace():
    module, seen = layer(), []
    before = module.register_forward_pre_hook(lambda m, args: (args[0] * 10,))
    after = module.register_forward_hook(lambda m, args, out: seen.append((args[0].tolist(), out.item())))
    assert module(X).item() == 80 and seen == [([[10.0, 30.0]], 80.0)]
    before.remove()
    before.remove()
    replace = module.register_forward_hook(lambda m, args, out: out + 1)
    assert module(X).item() == 9
    replace.remove()
    with after:
        assert module(X).item() == 8
    assert len(seen) == 3 and not module._forward_hooks


def test_hooks_with_keywords_run_in_order_and_always():
    class Scaled(nn.Module):
        def forward(self, x, factor=1):
            if factor < 0:
                raise ValueError("negative")
            return x * factor

    module, order = Scaled(), []
    module.register_forward_hook(lambda *a: order.append("second"))
    module.register_forward_hook(lambda *a: order.append("first"), prepend=True)
    module.register_forward_pre_hook(lambda m, args, kwargs: (args, {"factor": 3}), with_kwargs=True)
    handle = module.register_forward_hook(
        lambda m, args, kwargs, out: out + kwargs["factor"], with_kwargs=True
    )
    assert module(devtensor.ones(1)).item() == 6 and order == ["first", "second"]
    handle.remove()
    module._forward_pre_hooks.clear()
    failed = []
    module.register_forward_hook(lambda m, args, out: failed.append(out), always_call=True)
    with pytest.raises(ValueError, match="negative"):
        module(devtensor.ones(1), factor=-1)
    assert failed == [None]


def test_backward_hooks_see_both_sides():
    module, seen = layer(), []
    module.register_full_backward_pre_hook(
        lambda m, grad_output: seen.append(("pre", grad_output[0].tolist()))
    )
    module.register_full_backward_hook(
        lambda m, grad_input, grad_output: seen.append((grad_input[0].tolist(), grad_output[0].tolist()))
    )
    x = X.clone().requires_grad_()
    (module(x) * 3).sum().backward()
    assert seen == [("pre", [[3.0]]), ([[6.0, 6.0]], [[3.0]])]
    assert x.grad.tolist() == [[6.0, 6.0]] and module.weight.grad.tolist() == [[3.0, 9.0]]


def test_backward_hooks_replace_gradients():
    module = layer()
    module.register_full_backward_pre_hook(lambda m, grad_output: (grad_output[0] * 2,))
    module.register_full_backward_hook(lambda m, grad_input, grad_output: (grad_input[0] + 1,))
    x = X.clone().requires_grad_()
    module(x).sum().backward()
    assert x.grad.tolist() == [[5.0, 5.0]] and module.weight.grad.tolist() == [[2.0, 6.0]]


def test_backward_hooks_without_gradients_for_inputs():
    module, seen = layer(), []
    module.register_full_backward_hook(
        lambda m, grad_input, grad_output: seen.append((grad_input, len(grad_output)))
    )
    module(X).sum().backward()
    assert seen == [((None,), 1)]
    module.register_full_backward_hook(lambda m, grad_input, grad_output: grad_output)
    with pytest.raises(AutogradError, match="no input of the module requires"):
        module(X).sum().backward()
    assert module(X).requires_grad
    with devtensor.no_grad():
        assert not module(X).requires_grad


def test_a_hook_must_return_as_many_gradients():
    module = layer()
    module.register_full_backward_hook(lambda m, grad_input, grad_output: (None, None))
    with pytest.raises(AutogradError, match="got 2, but expected 1"):
        module(X.clone().requires_grad_()).sum().backward()


def test_several_outputs():
    class Pair(nn.Module):
        def forward(self, x, y):
            return x * 2, y * 3

    module, seen = Pair(), []
    module.register_full_backward_hook(
        lambda m, gi, go: seen.append(([g.item() for g in gi], [g.item() for g in go]))
    )
    x, y = devtensor.ones(1, requires_grad=True), devtensor.ones(1, requires_grad=True)
    first, second = module(x, y)
    (first + second * 5).backward()
    assert seen == [([2.0, 15.0], [1.0, 5.0])] and (x.grad.item(), y.grad.item()) == (2.0, 15.0)
