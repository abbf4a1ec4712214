"""What a user's own function may hand over: contexts, written and returned inputs, views, gradients."""

from __future__ import annotations

import pytest

import devtensor as torch
from devtensor.autograd import Function, gradcheck, gradgradcheck
from devtensor.core.errors import VersionError
from leaves import leaf


class Apart(Function):
    @staticmethod
    def forward(x, factor, power=1):
        return x**power * factor

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, ctx.factor, ctx.power = inputs
        ctx.save_for_backward(x, output)

    @staticmethod
    def backward(ctx, g):
        x, out = ctx.saved_tensors
        return g * ctx.power * out / x, None, None


def test_forward_and_context_apart():
    x = leaf()
    Apart.apply(x, 3, power=2).sum().backward()
    assert x.grad.tolist() == [6, 12, 18]
    assert gradcheck(lambda x: Apart.apply(x, 2.0), (leaf(),)) and gradgradcheck(
        Apart.apply, (leaf(), 2.0, 3)
    )


def test_vjp_is_another_name_of_backward():
    class Named(Function):
        forward = staticmethod(lambda ctx, x: x * 2)
        vjp = staticmethod(lambda ctx, g: g * 2)

    class Both(Named):
        backward = staticmethod(lambda ctx, g: g * 2)

    x = leaf()
    Named.apply(x).sum().backward()
    assert x.grad.tolist() == [2, 2, 2]
    with pytest.raises(RuntimeError, match="both 'backward' and 'vjp'"):
        Both.apply(x).sum().backward()


def test_a_function_without_backward_says_so():
    class Half(Function):
        forward = staticmethod(lambda ctx, x: x * 2)

    out = Half.apply(leaf())
    with pytest.raises(NotImplementedError, match="either the backward or vjp"):
        out.sum().backward()
    with pytest.raises(NotImplementedError, match="implement the forward"):
        Function.apply(leaf())
    with pytest.raises(RuntimeError, match="static"):
        Half()


def test_marking_dirty_counts_a_version():
    class Silent(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x

        backward = staticmethod(lambda ctx, g: g)

    y = leaf() * 1
    z = y.sin()
    assert Silent.apply(y) is y and y._version == 1
    with pytest.raises(VersionError):
        z.sum().backward()


def test_what_is_dirty_and_not_differentiable_loses_its_history():
    class Cut(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            ctx.mark_non_differentiable(x)
            return x.mul_(2)

    y = leaf() * 1
    assert Cut.apply(y) is y and not y.requires_grad and y.tolist() == [2, 4, 6]


class Part(Function):
    forward = staticmethod(lambda ctx, x: x[:2])
    backward = staticmethod(lambda ctx, g: torch.cat([g * 7, g[:1] * 0]))


def test_outputs_that_are_views_go_by_the_users_backward():
    x = leaf()
    Part.apply(x * 1).sum().backward()
    assert x.grad.tolist() == [7, 7, 0]
    y = x * 1
    part = Part.apply(y)
    with pytest.raises(RuntimeError, match="inside a custom Function"):
        part.mul_(2)
    y.mul_(2)
    with pytest.raises(RuntimeError, match="inside a custom Function"):
        part.sum().backward()


def test_a_backward_may_run_another():
    class Inner(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            with torch.enable_grad():
                fresh = x.detach().requires_grad_()
                (fresh * fresh).sum().backward()
            return g * fresh.grad

    x = leaf()
    Inner.apply(x).sum().backward()
    assert x.grad.tolist() == [2, 4, 6]


@pytest.mark.parametrize(
    ("gradients", "error", "text"),
    [
        (lambda g: (g, g), RuntimeError, "different than None at position 2"),
        (lambda g: (5, None), RuntimeError, r"expected Variable or None \(got int\)"),
        (lambda g: g, RuntimeError, r"incorrect number of gradients \(expected 2, got 1\)"),
        (lambda g: (g, None, g), RuntimeError, r"expected 2, got 3"),
        (lambda g: (g[0], None), RuntimeError, "invalid gradient at index 0"),
    ],
)
def test_wrong_gradients_are_refused(gradients, error, text):
    class Wrong(Function):
        forward = staticmethod(lambda ctx, x, number: x * 1)
        backward = staticmethod(lambda ctx, g: gradients(g))

    with pytest.raises(error, match=text):
        Wrong.apply(leaf(), 2).sum().backward()


def test_gradients_are_brought_to_their_inputs():
    class Loose(Function):
        forward = staticmethod(lambda ctx, x: x * 1)
        backward = staticmethod(lambda ctx, g: (g.expand(2, 3).float(), None, None))

    x = leaf()
    Loose.apply(x).sum().backward()
    assert x.grad.tolist() == [2, 2, 2] and x.grad.dtype is torch.float64


def test_a_leaf_that_no_longer_requires_a_gradient_gets_none():
    a, b = leaf(), leaf()
    out = (a * b).sum()
    b.requires_grad_(False)
    out.backward()
    assert a.grad is not None and b.grad is None
