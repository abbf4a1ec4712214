"""Checkpoints: the same gradients, less kept, and what is refused."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext

import pytest

import devtensor as torch
from devtensor import nn
from devtensor.utils.checkpoint import (
    CheckpointError,
    checkpoint,
    checkpoint_sequential,
    set_checkpoint_early_stop,
)

BOTH = pytest.mark.parametrize("reentrant", [False, True])


def leaf(*shape: int) -> torch.Tensor:
    count = torch.Size(shape).numel()
    return torch.linspace(-1, 1, count, dtype=torch.float64).reshape(shape).requires_grad_()


class Counted:
    """tanh(x @ w)^2 @ w, and how often it was run."""

    def __init__(self, w: torch.Tensor) -> None:
        self.w = w
        self.runs = 0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.runs += 1
        return ((x @ self.w).tanh() ** 2) @ self.w


def gradients(how) -> tuple[list, list, int]:
    x, w = leaf(2, 3), leaf(3, 3)
    counted = Counted(w)
    (how(counted, x) * leaf(2, 3).detach()).sum().backward()
    return x.grad.tolist(), w.grad.tolist(), counted.runs


@pytest.mark.parametrize(
    "options",
    [
        {"use_reentrant": True},
        {"use_reentrant": False},
        {"use_reentrant": False, "early_stop": False},
        {"use_reentrant": False, "preserve_rng_state": False},
        {"use_reentrant": False, "determinism_check": "none"},
    ],
)
def test_gradients_are_the_same_and_the_function_runs_twice(options):
    plain = gradients(lambda f, x: f(x))
    assert plain[2] == 1
    assert gradients(lambda f, x: checkpoint(f, x, **options)) == (*plain[:2], 2)


@BOTH
@pytest.mark.filterwarnings("ignore:None of the inputs")
def test_checkpoints_nest(reentrant):
    def nested(f, x):
        inner = lambda t: checkpoint(f, t * 2, use_reentrant=reentrant).sin()  # noqa: E731
        return checkpoint(inner, x, use_reentrant=reentrant)

    plain = gradients(lambda f, x: f(x * 2).sin())
    assert gradients(nested)[:2] == plain[:2]


@BOTH
def test_random_numbers_come_again(reentrant):
    x = leaf(40)
    out = checkpoint(lambda t: nn.functional.dropout(t.exp(), 0.5).exp(), x, use_reentrant=reentrant)
    after = torch.rand(3)
    out.sum().backward()
    assert ((x.grad != 0) == (out != 1)).all() and 0 < (out != 1).sum() < 40
    assert not torch.equal(torch.rand(3), after)


@BOTH
def test_autocast_comes_again(reentrant):
    layer, seen = nn.Linear(3, 3), []

    def part(t):
        seen.append(layer(t).dtype)
        return layer(t).float().sin().sum()

    x = torch.ones(2, 3, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = checkpoint(part, x, use_reentrant=reentrant)
    out.backward()
    assert seen == [torch.bfloat16] * 2 and x.grad.dtype is torch.float32


def test_several_outputs_keywords_and_what_is_no_tensor():
    def part(a, b, *, scale, note):
        return a * b * scale, a.detach() * 2, note

    a, b = leaf(3), leaf(3)
    product, constant, note = checkpoint(part, a, b, scale=b, note="hello", use_reentrant=False)
    assert note == "hello" and not constant.requires_grad
    product.sum().backward()
    torch.testing.assert_close(b.grad, (2 * a * b).detach())
    with pytest.raises(ValueError, match="Unexpected keyword arguments: scale"):
        checkpoint(part, a, b, scale=b, use_reentrant=True)


def test_only_what_backward_needs_is_run_again():
    ran = []

    def part(t):
        u = t.exp() * t
        ran.append("first half")
        v = u + 1
        ran.append("second half")
        return v

    for early, expected in ((True, 3), (False, 4)):
        ran.clear()
        checkpoint(part, leaf(3), use_reentrant=False, early_stop=early).sum().backward()
        assert len(ran) == (2 if early else 4), expected
    ran.clear()
    with set_checkpoint_early_stop(False):
        out = checkpoint(part, leaf(3), use_reentrant=False)
    out.sum().backward()
    assert len(ran) == 4


def test_a_second_backward_and_second_derivatives():
    x = leaf(3)
    out = checkpoint(lambda t: (t * t).sin().sum(), x, use_reentrant=False)
    out.backward(retain_graph=True)
    once = x.grad.clone()
    out.backward()
    assert torch.equal(x.grad, 2 * once)
    with pytest.raises(RuntimeError, match="second time"):
        out.backward()
    out = checkpoint(lambda t: (t**3).sum(), x, use_reentrant=False)
    (g,) = torch.autograd.grad(out, x, create_graph=True)
    torch.testing.assert_close(torch.autograd.grad(g.sum(), x)[0], 6 * x.detach())


class Changing:
    def __init__(self, *functions) -> None:
        self.functions = list(functions)

    def __call__(self, x):
        return self.functions.pop(0)(x)


@pytest.mark.parametrize(
    ("again", "text"),
    [
        (lambda t: t.exp(), "different number of tensors"),
        (lambda t: (t.exp() * t).sin().sin(), "different number of tensors"),
        (lambda t: (t[:1].exp() * t[:1]).sin(), r"different metadata than.*\(\(1,\)"),
        (lambda t: (t.float().exp() * t.float()).sin(), "different metadata than.*float32"),
    ],
)
def test_a_function_that_changes_is_found(again, text):
    changing = Changing(lambda t: (t.exp() * t).sin(), again)
    out = checkpoint(changing, leaf(3), use_reentrant=False, early_stop=False)
    with pytest.raises(CheckpointError, match=text):
        out.sum().backward()


def test_contexts_stand_around_both_runs():
    entered = []

    @contextmanager
    def noted(name):
        entered.append(name)
        yield

    out = checkpoint(
        lambda t: t.exp(), leaf(3), use_reentrant=False, context_fn=lambda: (noted("forward"), noted("again"))
    )
    assert entered == ["forward"]
    out.sum().backward()
    assert entered == ["forward", "again"]
    with pytest.raises(ValueError, match="context_fn"):
        checkpoint(torch.exp, leaf(3), use_reentrant=True, context_fn=lambda: (nullcontext(),) * 2)


def test_what_is_refused():
    with pytest.raises(ValueError, match="determinism_check should be one of"):
        checkpoint(torch.exp, leaf(3), use_reentrant=False, determinism_check="some")
    with pytest.warns(UserWarning, match="use_reentrant parameter should be passed explicitly"):
        checkpoint(torch.exp, leaf(3))
    out = checkpoint(torch.exp, x := leaf(3), use_reentrant=True).sum()
    with pytest.raises(RuntimeError, match="incompatible with grad"):
        torch.autograd.grad(out, x)
    with pytest.warns(UserWarning, match="None of the inputs have requires_grad"):
        assert not checkpoint(torch.exp, leaf(3).detach(), use_reentrant=True).requires_grad


@BOTH
@pytest.mark.parametrize("segments", [1, 2, 3, 5])
def test_chains(segments, reentrant):
    torch.manual_seed(0)
    chain = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))

    def run(model) -> list:
        chain.zero_grad()
        x = torch.ones(2, 3, requires_grad=True)
        model(x).sum().backward()
        return [p.grad.tolist() for p in [x, *chain.parameters()]]

    assert run(chain) == run(lambda x: checkpoint_sequential(chain, segments, x, use_reentrant=reentrant))
    parts = list(chain)
    assert run(chain) == run(lambda x: checkpoint_sequential(parts, segments, x, use_reentrant=reentrant))
