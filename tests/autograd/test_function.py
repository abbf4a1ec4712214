"""Functions of users' own, and hooks on gradients."""

from __future__ import annotations

import gc
import weakref

import pytest

import devtensor as torch
from devtensor.autograd import Function, gradcheck, gradgradcheck, once_differentiable
from devtensor.core.errors import AutogradError, ShapeError, VersionError
from leaves import leaf


class Scaled(Function):
    @staticmethod
    def forward(ctx, x, factor):
        ctx.save_for_backward(x)
        ctx.factor = factor
        return x * x * factor

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * 2 * x * ctx.factor, None


class Exp(Function):
    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * y


class Several(Function):
    @staticmethod
    def forward(ctx, a, b):
        larger = a > b
        ctx.save_for_backward(a, b)
        ctx.mark_non_differentiable(larger)
        return a * b, a + b, larger

    @staticmethod
    def backward(ctx, g, h, unused):
        b = ctx.saved_tensors[1]
        assert ctx.needs_input_grad == (True, False)
        return g * b + h, None


class Apart(Function):
    """The form in which forward takes no ctx."""

    @staticmethod
    def forward(x, y):
        return x * y

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        x, y = ctx.saved_tensors
        return g * y, g * x


class Negated(Function):
    """Gradient reversal: gives its input as it is."""

    @staticmethod
    def forward(ctx, x):
        return x

    @staticmethod
    def backward(ctx, g):
        return -g


class Doubled(Function):
    """Writes into its input."""

    @staticmethod
    def forward(ctx, x):
        x.mul_(2)
        ctx.mark_dirty(x)
        return x

    @staticmethod
    def backward(ctx, g):
        return g * 2


class Once(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        assert not torch.is_grad_enabled()
        (x,) = ctx.saved_tensors
        return g * 2 * x


def test_arguments_that_are_no_tensors():
    x = leaf()
    Scaled.apply(x, 3).sum().backward()
    assert x.grad.tolist() == [6, 12, 18]
    assert repr(Scaled.apply(x, 1)).endswith("grad_fn=<ScaledBackward>)")


@pytest.mark.parametrize(
    ("function", "count"), [(Exp.apply, 1), (Apart.apply, 2), (lambda x: Scaled.apply(x, 2), 1)]
)
def test_derivatives_of_both_orders(function, count):
    inputs = tuple(leaf() for _ in range(count))
    assert gradcheck(function, inputs)
    assert gradgradcheck(function, inputs)


def test_several_outputs():
    a, b = leaf(), torch.tensor([4.0, 0.0, 6.0], dtype=torch.float64)
    product, total, larger = Several.apply(a, b)
    assert not larger.requires_grad
    (product.sum() + 2 * total.sum()).backward()
    assert a.grad.tolist() == [6, 2, 8]


def test_an_output_without_gradient_counts_as_zeros():
    a = leaf()
    Several.apply(a, torch.ones(3, dtype=torch.float64))[1].sum().backward()
    assert a.grad.tolist() == [1, 1, 1]


def test_gradients_may_be_left_out():
    seen = []

    class Parts(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 1, x * 2

        @staticmethod
        def backward(ctx, g, h):
            seen.append((g, h is None))
            return h * 2

    x = leaf()
    Parts.apply(x)[1].sum().backward()
    assert seen == [(None, False)]
    assert x.grad.tolist() == [2, 2, 2]


def test_an_input_given_back():
    x = leaf()
    y = Negated.apply(x)
    assert y is not x
    y.sum().backward()
    assert x.grad.tolist() == [-1, -1, -1]


def test_an_input_written_into():
    x = leaf()
    y = x * 1
    assert Doubled.apply(y) is y
    y.sum().backward()
    assert x.grad.tolist() == [2, 2, 2]
    with pytest.raises(AutogradError, match="leaf"):
        Doubled.apply(leaf())


def test_nothing_is_recorded_without_need():
    with torch.no_grad():
        assert not Exp.apply(leaf()).requires_grad
    assert not Exp.apply(torch.ones(2)).requires_grad


def test_once_differentiable():
    x = leaf()
    (g,) = torch.autograd.grad(Once.apply(x).sum(), x, create_graph=True)
    assert g.tolist() == [2, 4, 6]
    with pytest.raises(AutogradError, match="differentiate twice"):
        g.sum().backward()


def test_what_backward_gives_is_checked():
    class Count(Function):
        forward = staticmethod(lambda ctx, x: x * 1)
        backward = staticmethod(lambda ctx, g: (g, g))

    class Shape(Function):
        forward = staticmethod(lambda ctx, x: x * 1)
        backward = staticmethod(lambda ctx, g: torch.ones(7, dtype=torch.float64))

    with pytest.raises(AutogradError, match=r"incorrect number of gradients \(expected 1, got 2\)"):
        Count.apply(leaf()).sum().backward()
    with pytest.raises(ShapeError, match=r"invalid gradient at index 0 .* compatible with \[3\]"):
        Shape.apply(leaf()).sum().backward()


def test_saved_tensors_are_guarded():
    x = leaf()
    y = x * 1
    z = Scaled.apply(y, 1)
    y.add_(1)
    with pytest.raises(VersionError, match="Scaled"):
        z.sum().backward()
    z = Exp.apply(x)
    z.mul_(2)
    with pytest.raises(VersionError, match="Exp"):
        z.sum().backward()


def test_a_graph_is_used_once():
    z = Exp.apply(leaf()).sum()
    z.backward()
    with pytest.raises(AutogradError, match="second time"):
        z.backward()


def test_a_node_does_not_hold_itself():
    gc.disable()
    try:
        y = Exp.apply(leaf())
        node = weakref.ref(y.grad_fn)
        del y
        assert node() is None
    finally:
        gc.enable()


def test_hooks_replace_gradients():
    x = leaf()
    y = x * 2
    handle = y.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g + 1)
    y.retain_grad()
    y.sum().backward()
    assert y.grad.tolist() == [10, 10, 10]
    assert x.grad.tolist() == [21, 21, 21]
    handle.remove()
    handle.remove()
    with pytest.raises(AutogradError, match="doesn't require gradient"):
        torch.ones(2).register_hook(print)


def test_hooks_on_one_of_several_outputs():
    x = leaf(3.0, 1.0, 2.0)
    values, places = x.sort()
    values.register_hook(lambda g: g * 2)
    values.retain_grad()
    (values * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert x.grad.tolist() == [6, 2, 4]
    assert values.grad.tolist() == [2, 4, 6]
    assert places.grad_fn is None


def test_hooks_after_accumulation():
    x, seen = leaf(), []
    handle = x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.tolist()))
    (x * 2).sum().backward()
    handle.remove()
    (x * 2).sum().backward()
    assert seen == [[2, 2, 2]]
    x.register_post_accumulate_grad_hook(lambda p: p.grad)
    with pytest.raises(RuntimeError, match="should return None"):
        (x * 2).sum().backward()
    with pytest.raises(AutogradError, match="non-leaf"):
        (x * 2).register_post_accumulate_grad_hook(print)


def test_an_input_written_into_through_a_view():
    x = leaf()
    y = x * 1
    Doubled.apply(y[1:])
    y.sum().backward()
    assert x.grad.tolist() == [1, 2, 2]


def test_outputs_that_are_no_tensors():
    class Mixed(Function):
        forward = staticmethod(lambda ctx, x: (x * 2, 5, "text"))
        backward = staticmethod(lambda ctx, g, number, text: g * 2 if number is text is None else None)

    x = leaf()
    y, number, text = Mixed.apply(x)
    y.sum().backward()
    assert (number, text) == (5, "text") and x.grad.tolist() == [2, 2, 2]


def test_what_is_dirty_must_be_given_back():
    class Lost(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x * 2

    with pytest.raises(AutogradError, match=r"marked as dirty .* were not returned"):
        Lost.apply(leaf() * 1)


def test_a_function_that_kept_nothing_may_be_used_twice():
    x = leaf()
    y = Negated.apply(x)
    total = y.sum()
    total.backward()
    total.backward()
    assert x.grad.tolist() == [-2, -2, -2]


def test_the_node_knows_what_the_ctx_holds():
    z = Scaled.apply(leaf(), 3)
    node = z.grad_fn
    assert node.name() == type(node).__name__ == "ScaledBackward" and node.factor == 3
    assert node.needs_input_grad == (True, False) and node.saved_tensors[0].tolist() == [1, 2, 3]
    assert len(node.next_functions) == 2 and not hasattr(node, "other")
    z.sum().backward()
    with pytest.raises(AutogradError, match="second time"):
        _ = node.saved_tensors


def test_attributes_of_the_ctx_are_the_users_own():
    class Careful(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.shapes, ctx.params, ctx.edges, ctx.seq = x.shape, 1, 2, 3
            ctx.saved, ctx.versions, ctx.extra, ctx.plan, ctx.places = 4, 5, 6, 7, 8
            return x * 2

        @staticmethod
        def backward(ctx, g):
            assert (ctx.shapes, ctx.params, ctx.edges, ctx.seq) == ((3,), 1, 2, 3)
            assert (ctx.saved, ctx.versions, ctx.extra, ctx.plan, ctx.places) == (4, 5, 6, 7, 8)
            return g * 2

    x = leaf()
    Careful.apply(x).sum().backward()
    assert x.grad.tolist() == [2, 2, 2]


def test_an_input_given_back_may_not_be_written_into():
    y = Negated.apply(leaf() * 1)
    with pytest.raises(RuntimeError, match="inside a custom Function"):
        y.mul_(2)
