"""Hooks around forward and backward."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict

import pytest

import devtensor
import devtensor.nn.modules.module as registering
from devtensor import nn
from devtensor.core.errors import AutogradError
from devtensor.utils.hooks import RemovableHandle


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
    with pytest.warns(UserWarning, match="since no inputs require gradients"):
        module(X).sum().backward()
    assert seen == [((None,), 1)]
    module.register_full_backward_hook(lambda m, grad_input, grad_output: grad_output)
    with (
        pytest.warns(UserWarning, match="since no inputs"),
        pytest.raises(AutogradError, match="no input of the module requires"),
    ):
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


def plain(grads):
    return [None if g is None else g.tolist() for g in grads]


def test_backward_hooks_have_a_place_for_each_argument():
    class Three(nn.Module):
        def forward(self, x, factor, y):
            return x * factor, "text", y * 3

    module, seen = Three(), []
    module.register_full_backward_hook(lambda m, gi, go: seen.append((plain(gi), plain(go))))
    x, y = devtensor.ones(1, requires_grad=True), devtensor.ones(1, requires_grad=True)
    module(x, 2, y)[0].backward()
    assert seen == [([[2.0], None, [0.0]], [[1.0], None, None])]


def test_backward_hooks_without_tensors_in_the_output():
    class Listed(nn.Module):
        def forward(self, x):
            return [x]

    module = Listed()
    module.register_full_backward_hook(lambda *a: None)
    with pytest.warns(UserWarning, match="should be a Tensor or a tuple"):
        module(X)


def test_older_backward_hooks_hear_the_last_node():
    module, seen = layer(), []
    module.register_backward_hook(lambda m, gi, go: seen.append(plain(go)))
    with pytest.warns(FutureWarning, match="multiple autograd Nodes"):
        out = module(X.clone().requires_grad_())
    out.sum().backward()
    assert seen == [[[[1.0]]]]
    with pytest.raises(RuntimeError, match="both regular backward hooks and full"):
        module.register_full_backward_hook(lambda *a: None)


def test_hooks_that_are_always_called_fail_alone():
    class Failing(nn.Module):
        def forward(self, x):
            raise ValueError("forward")

    module, seen = Failing(), []

    def fails(*args):
        raise KeyError("hook")

    module.register_forward_hook(fails, always_call=True)
    module.register_forward_hook(lambda m, args, out: seen.append(out), always_call=True)
    with pytest.warns(UserWarning, match="silenced"), pytest.raises(ValueError, match="forward"):
        module(X)
    assert seen == [None]


def test_hooks_of_all_modules_come_first():
    module, order = nn.Sequential(layer()), []
    module[0].register_forward_hook(lambda *a: order.append("own"))
    handles = [
        registering.register_module_forward_pre_hook(lambda m, a: order.append(("before", type(m).__name__))),
        registering.register_module_forward_hook(
            lambda m, args, kwargs, out: order.append(("after", type(m).__name__, kwargs)), with_kwargs=True
        ),
        registering.register_module_full_backward_pre_hook(lambda m, go: order.append(plain(go))),
        registering.register_module_full_backward_hook(lambda m, gi, go: order.append(plain(gi))),
    ]
    try:
        out = module(X.clone().requires_grad_())
        assert order == [
            ("before", "Sequential"), ("before", "Linear"), ("after", "Linear", {}), "own",
            ("after", "Sequential", {}),
        ]  # fmt: skip
        order.clear()
        out.sum().backward()
        assert order == [[[[1.0]]], [[[1.0]]], [[[2.0, 2.0]]], [[[2.0, 2.0]]]]
        with pytest.raises(RuntimeError, match="both regular"):
            registering.register_module_backward_hook(lambda *a: None)
    finally:
        for handle in handles:
            handle.remove()
    order.clear()
    module(X)
    assert order == ["own"]


def test_hooks_of_all_modules_hear_registrations():
    seen = []
    handles = [
        registering.register_module_parameter_registration_hook(lambda m, name, p: seen.append(name)),
        registering.register_module_buffer_registration_hook(lambda m, name, b: devtensor.ones(2)),
        registering.register_module_module_registration_hook(lambda m, name, child: nn.Tanh()),
    ]
    try:
        module = nn.Module()
        module.weight = nn.Parameter(devtensor.zeros(1))
        module.register_parameter("none", None)
        module.register_buffer("mean", devtensor.zeros(1))
        module.child = nn.ReLU()
        module.add_module("other", nn.ReLU())
    finally:
        for handle in handles:
            handle.remove()
    assert seen == ["weight"] and module.mean.tolist() == [1.0, 1.0]
    assert repr(module) == "Module(\n  (child): Tanh()\n  (other): Tanh()\n)"


def test_calls_go_through_what_subclasses_change():
    class Twice(nn.Linear):
        def _call_impl(self, *args, **kwargs):
            return super()._call_impl(*args, **kwargs) * 2

    module = Twice(2, 1, bias=False)
    nn.init.constant_(module.weight, 2.0)
    assert module(X).item() == 16
    module.compile()
    assert module(X).item() == 16 and pickle.loads(pickle.dumps(layer())).weight.tolist() == [[2.0, 2.0]]


def test_handles_survive_copies():
    lazy = nn.LazyLinear(2)
    for other in (copy.deepcopy(lazy), pickle.loads(pickle.dumps(lazy))):
        for _ in range(2):
            assert other(devtensor.ones(1, 3)).shape == (1, 2)
        assert type(other) is nn.Linear and not other._forward_pre_hooks
    assert isinstance(lazy, nn.LazyLinear) and lazy._forward_pre_hooks
    table: OrderedDict = OrderedDict()
    handle = RemovableHandle(table, extra_dict=table)
    table[handle.id] = 1
    handle.remove()
    assert not table and RemovableHandle(table).id > handle.id
