"""Who shares memory with whom: arguments, memory outside, gradients and results, as in eager code."""

from __future__ import annotations

import copy

import pytest

import devtensor as torch
from devtensor import nn
from devtensor.core.errors import TraceError
from devtensor.graph import TensorSpec, capture, trace


def learnt(function, *makers, runs=3):
    """The function captured, after runs on fresh arguments."""
    step = capture(function)
    for _ in range(runs):
        step(*(make() for make in makers))
    assert step.replays >= 1
    return step


def ones():
    return torch.ones(2)


def leaf(*shape):
    return torch.ones(*shape, requires_grad=True)


def test_one_tensor_passed_twice_and_then_two():
    step, x = capture(lambda a, b: a + 2 * b), ones()
    for _ in range(3):
        step(x, x)
    assert step(x, torch.zeros(2)).tolist() == [1, 1]


def test_two_tensors_and_then_one_passed_twice():
    def add(a, b):
        a.add_(1)
        return a + b

    step, x = learnt(add, ones, ones), ones()
    assert step(x, x).tolist() == [4, 4]


def test_an_argument_that_is_also_memory_outside():
    w = ones()
    step = capture(lambda x: x + w)
    for _ in range(3):
        step(w)
    assert step(torch.zeros(2)).tolist() == [1, 1]
    assert step(w).tolist() == [2, 2]


def test_memory_outside_becomes_an_argument():
    w = ones()

    def advance(x):
        w.add_(1)
        return x * 1

    step = learnt(advance, ones)
    assert step(w).tolist() == [5, 5]


@pytest.mark.parametrize("view", [lambda x: x[0], lambda x: x.detach(), lambda x: x.t()])
def test_a_view_of_an_argument_that_is_a_view(view):
    data = torch.arange(12.0).reshape(6, 2)
    step = capture(view)
    for start in (0, 2, 4, 0):
        part = data[start : start + 2]
        result = step(part)
        assert result.tolist() == view(part).tolist()
        result.zero_()
        assert view(part).abs().sum().item() == 0
    assert step.replays == 2


def test_whether_reshape_copies_follows_the_argument():
    def flat(x):
        y = x.reshape(-1)
        y.add_(1)
        return y

    step, x = learnt(flat, lambda: torch.ones(2, 2).t()), torch.ones(2, 2)
    step(x)
    assert x.tolist() == [[2, 2], [2, 2]]


def test_gradients_of_an_argument_go_to_this_call_s_argument():
    step = capture(lambda x: (x * x).sum().backward())
    for number in range(4):
        x = torch.tensor([1.0, number], requires_grad=True)
        step(x)
        assert x.grad.tolist() == [2, 2 * number]
    assert step.replays == 2


@pytest.mark.parametrize("view", [lambda g: g, lambda g: g[1:], lambda g: g.view(2, 1)])
def test_a_returned_gradient_is_the_gradient(view):
    w = leaf(2)

    def step(x):
        w.grad = None
        (w * x).sum().backward()
        return view(w.grad)

    step = capture(step)
    for _ in range(5):
        result = step(ones())
        result.zero_()
        assert view(w.grad).abs().sum().item() == 0
    assert step.replays == 2


def test_a_gradient_bound_to_a_view_of_memory_outside():
    w, flat = leaf(2), torch.zeros(4)

    def step(x):
        w.grad = flat[:2]
        (w * x).sum().backward()

    step = capture(step)
    for number in range(5):
        w.grad = None
        step(ones())
        assert flat.tolist() == [number + 1, number + 1, 0, 0]
    w.grad.zero_()
    assert flat.sum().item() == 0
    assert step.replays == 3


def test_a_gradient_that_is_another_view_at_entry():
    w, flat = leaf(2), torch.zeros(2, 2)
    step = capture(lambda x: (w * x).sum().backward())
    w.grad = flat[0]
    for _ in range(4):
        step(ones())
    w.grad = flat[1]
    step(ones())
    assert flat.tolist() == [[4, 4], [1, 1]]


def test_two_leaves_in_one_memory_have_their_own_gradients():
    w = torch.ones(4)
    a, b = (half.detach().requires_grad_() for half in (w[:2], w[2:]))

    def step(x):
        a.grad = b.grad = None
        (a * x + 3 * b * x).sum().backward()

    step = capture(step)
    for _ in range(5):
        step(ones())
        assert (a.grad.tolist(), b.grad.tolist()) == ([1, 1], [3, 3])
    assert step.replays == 2


def test_a_leaf_made_inside_has_no_say():
    w = leaf(2)

    def step(x):
        w.grad = None
        inside = w.detach().requires_grad_()
        (inside * 5 * x).sum().backward()
        (w * x).sum().backward()
        return inside.grad

    step = capture(step)
    for _ in range(5):
        assert (step(ones()).tolist(), w.grad.tolist()) == ([5, 5], [1, 1])
    assert step.replays == 2


def test_versions_of_results_and_gradients():
    w = leaf(2)

    def step(x):
        w.grad = None
        (w * x).sum().backward()
        w.grad.mul_(2)
        return (x * 2).add_(1)

    step = capture(step)
    seen = {(step(ones())._version, w.grad._version) for _ in range(5)}
    assert len(seen) == 1 and step.replays == 2


def test_a_returned_parameter_is_the_parameter():
    w = nn.Parameter(ones())
    step = capture(lambda x: (x + w.detach(), w, w.detach()))
    for _ in range(4):
        _, same, detached = step(ones())
        assert same is w and not detached.requires_grad
    assert step.replays == 2


def test_a_new_leaf_requires_grad():
    step = learnt(lambda x: torch.zeros(2, requires_grad=True), ones)
    assert step(ones()).requires_grad


def test_a_copy_of_a_captured_method_learns_for_itself():
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("total", torch.zeros(2))
            self.step = capture(self.advance)

        def advance(self, x):
            return self.total.add_(x) * 1

    counter = Counter()
    for _ in range(3):
        counter.step(ones())
    twin = copy.deepcopy(counter)
    twin.step(ones())
    assert (counter.total.tolist(), twin.total.tolist()) == ([3, 3], [4, 4])


def test_history_from_outside_is_refused_with_its_line():
    w = leaf(2)
    step = capture(lambda h: (h * 2).sum().backward())
    with pytest.raises(TraceError, match=r"mul that was made outside has history(.|\n)*test_aliasing"):
        step(w * ones())


def test_a_gradient_with_history_is_refused():
    w = leaf(2)
    step = capture(lambda x: (w * w * x).sum().backward(create_graph=True))
    with pytest.raises(TraceError, match="has history"):
        step(ones())


def test_a_parameter_of_two_optimizers_with_one_scaler():
    def run(wrap):
        w, v = nn.Parameter(ones()), nn.Parameter(ones())
        optimizers = torch.optim.SGD([w, v], lr=0.1), torch.optim.Adam([w], lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=2)

        def step(x):
            for optimizer in optimizers:
                optimizer.zero_grad()
            scaler.scale((w * x).sum()).backward()
            scaler.scale((v * w * x).sum()).backward()
            scaler.unscale_(optimizers[0])
            for optimizer in optimizers:
                scaler.step(optimizer)
            scaler.update()

        step, seen = wrap(step), []
        for number in range(9):
            step(torch.tensor([1.0, float("inf") if number == 6 else 2.0]))
            seen.append(
                (w.tolist(), v.tolist(), str(w.grad.tolist()), scaler.get_scale(), w._version, v._version)
            )
        return seen

    assert run(capture) == run(lambda step: step)


@pytest.mark.parametrize("effect", [lambda x, w: x.add_(1), lambda x, w: (w * x).sum().backward()])
def test_trace_refuses_effects(effect):
    w = leaf(2)
    with pytest.raises(TraceError, match=r"\[trace\] the function writes"):
        trace(lambda x: effect(x, w), TensorSpec((2,)))
