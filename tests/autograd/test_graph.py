"""The graph as users reach it: nodes, edges, hooks on what is saved and on several gradients."""

from __future__ import annotations

import pytest

import devtensor as torch
from devtensor.autograd import graph
from devtensor.autograd.graph import (
    GradientEdge,
    Node,
    allow_mutation_on_saved_tensors,
    disable_saved_tensors_hooks,
    get_gradient_edge,
    increment_version,
    register_multi_grad_hook,
    save_on_cpu,
    saved_tensors_hooks,
)
from devtensor.core.errors import ArgumentTypeError, AutogradError, VersionError
from leaves import leaf


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda x: x[0], "SelectBackward0"),
        (lambda x: x[0:2], "SliceBackward0"),
        (lambda x: x[None], "UnsqueezeBackward0"),
        (lambda x: x[x > 1], "IndexBackward0"),
        (lambda x: x.view(3, 1), "ViewBackward0"),
        (lambda x: x.sum(), "SumBackward0"),
        (lambda x: x.clone(), "CloneBackward0"),
        (lambda x: x.float(), "ToCopyBackward0"),
        (lambda x: x.log_softmax(0), "LogSoftmaxBackward0"),
    ],
)
def test_nodes_have_the_names_that_pytorch_prints(make, name):
    node = make(leaf()).grad_fn
    assert node.name() == type(node).__name__ == name and isinstance(node, Node)
    assert repr(node).startswith(f"<{name} object at 0x")


def test_a_node_tells_what_it_keeps():
    x, y = leaf(), leaf()
    out = x * y.exp()
    assert out.grad_fn._saved_self is x and out.grad_fn._saved_other.tolist() == y.exp().tolist()
    assert (x**2).grad_fn.metadata == {} and not hasattr(out.grad_fn, "_saved_nothing")
    out.sum().backward()
    with pytest.raises(AutogradError, match="already been freed"):
        _ = out.grad_fn._saved_self


def test_leaves_have_one_node_while_somebody_holds_it():
    x = leaf()
    accumulate = (x * 2).grad_fn.next_functions[0][0]
    assert accumulate is (x * 3).grad_fn.next_functions[0][0] and isinstance(accumulate, Node)


def test_hooks_run_in_the_order_that_pytorch_runs_them():
    a, b, heard = leaf(), leaf(), []
    note = lambda what: lambda *unused: heard.append(what)  # noqa: E731
    a.register_hook(note("a"))
    b.register_hook(note("b"))
    a.register_post_accumulate_grad_hook(note("a is summed"))
    h = a * 2
    h.register_hook(note("h"))
    h.grad_fn.register_prehook(note("before h"))
    h.grad_fn.register_hook(note("after h"))
    c = h * b
    c.register_hook(note("c"))
    c.sum().backward()
    assert heard == ["c", "b", "h", "before h", "after h", "a", "a is summed"]


def test_hooks_on_nodes_see_and_change_gradients():
    x, seen = leaf(1.0, 2.0), []
    y = x * 3
    before = y.grad_fn.register_prehook(lambda given: (given[0] * 10,))
    after = y.grad_fn.register_hook(
        lambda made, given: seen.append((made[0].tolist(), made[1], given[0].tolist()))
    )
    y.sum().backward(retain_graph=True)
    assert seen == [([30, 30], None, [10, 10])] and x.grad.tolist() == [30, 30]
    before.remove()
    after.remove()
    y.grad_fn.register_hook(lambda made, given: (made[0] * 2, None))
    x.grad = None
    y.sum().backward()
    assert x.grad.tolist() == [6, 6] and len(seen) == 1


@pytest.mark.parametrize(
    ("hook", "error", "text"),
    [
        (lambda made, given: made[0], ArgumentTypeError, "expected tuple"),
        (
            lambda made, given: (made[0],),
            AutogradError,
            r"incorrect number of values \(got 1, but expected 2\)",
        ),
        (lambda made, given: (made[0][:1], None), AutogradError, "changed the type or size"),
    ],
)
def test_what_hooks_on_nodes_return_must_fit(hook, error, text):
    y = leaf() * 3
    y.grad_fn.register_hook(hook)
    with pytest.raises(error, match=text):
        y.sum().backward()


def test_hooks_on_the_node_of_a_leaf():
    x, heard = leaf(1.0), []
    accumulate = (x * 2).grad_fn.next_functions[0][0]
    accumulate.register_prehook(lambda given: (given[0] * 5,))
    accumulate.register_hook(lambda made, given: heard.append((made, given[0].tolist(), x.grad.tolist())))
    (x * 2).sum().backward()
    assert heard == [((), [10], [10])]
    torch.autograd.grad((x * 2).sum(), x)
    assert len(heard) == 1


def test_a_hook_on_one_output_of_several_hears_none_where_nothing_came():
    x, heard = leaf(3.0, 1.0), []

    class Two(torch.autograd.Function):
        forward = staticmethod(lambda ctx, x: (x * 1, x * 2))
        backward = staticmethod(lambda ctx, g, h: g + 2 * h)

    first, second = Two.apply(x)
    second.register_hook(heard.append)
    first.sum().backward()
    assert heard == [None] and x.grad.tolist() == [1, 1]


def test_hooks_stay_with_a_value_and_retained_gradients_follow_the_tensor():
    x, heard = leaf(1.0, 2.0), []
    y = x * 1
    y.register_hook(lambda g: heard.append(("before", g.tolist())))
    y.retain_grad()
    y.mul_(3)
    y.register_hook(lambda g: heard.append(("after", g.tolist())))
    y.sum().backward()
    assert heard == [("after", [1, 1]), ("before", [3, 3])] and y.grad.tolist() == [1, 1]


def test_retained_gradients_are_those_after_all_hooks():
    y = leaf(1.0) * 1
    y.retain_grad()
    y.register_hook(lambda g: g * 5)
    y.sum().backward()
    assert y.grad.tolist() == [5] and y.retains_grad


def test_what_grad_gives_of_a_tensor_with_a_hook():
    x = leaf(1.0, 2.0)
    y = x * x
    y.register_hook(lambda g: g * 10)
    alone = torch.autograd.grad((y * 3).sum(), y, retain_graph=True)
    both = torch.autograd.grad((y * 3).sum(), [y, x])
    assert alone[0].tolist() == [30, 30]
    assert both[0].tolist() == [3, 3] and both[1].tolist() == [60, 120]


def test_edges_stand_for_tensors():
    x = leaf(1.0, 2.0)
    y = x * x
    edge, end = get_gradient_edge(y), get_gradient_edge(x)
    out = (y * 3).sum()
    assert isinstance(edge, GradientEdge) and edge.node is y.grad_fn and edge.output_nr == 0
    assert torch.autograd.grad(out, [edge, end], retain_graph=True)[1].tolist() == [6, 12]
    g = torch.ones(2, dtype=torch.float64)
    assert torch.autograd.grad(edge, x, g, retain_graph=True)[0].tolist() == [2, 4]
    torch.autograd.backward(edge, g, inputs=[end])
    assert x.grad.tolist() == [2, 4]
    with pytest.raises(AutogradError, match="does not require gradients"):
        get_gradient_edge(torch.ones(2))
    with pytest.raises(AutogradError, match="GradientEdge"):
        torch.autograd.backward(edge)


def test_gradients_in_rows():
    x = leaf(1.0, 2.0)
    eye = torch.eye(2, dtype=torch.float64)
    (rows,) = torch.autograd.grad(x * x, x, eye, is_grads_batched=True)
    assert rows.tolist() == [[2, 0], [0, 4]]


def test_saved_tensors_are_packed_and_unpacked():
    x, packed, unpacked = leaf(1.0, 2.0), [], []

    def pack(value):
        packed.append(value)
        assert not torch.is_grad_enabled()
        return len(packed) - 1

    def unpack(number):
        unpacked.append(number)
        return packed[number]

    with saved_tensors_hooks(pack, unpack):
        y = x.exp() * x
    assert packed[1] is x and len(packed) == 3
    (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    torch.testing.assert_close(g.detach(), ((x + 1) * x.exp()).detach())
    (h,) = torch.autograd.grad(g.sum(), x)
    torch.testing.assert_close(h, ((x + 2) * x.exp()).detach())
    assert set(unpacked) == {0, 1, 2}


@pytest.mark.parametrize(
    ("make", "order"),
    [
        (lambda x, y: x * y, "yx"),
        (lambda x, y: x / y, "yx"),
        (lambda x, y: x @ y, "yx"),
        (lambda x, y: torch.atan2(x, y), "yx"),
        (lambda x, y: torch.dot(x[0], y[0]), "xy"),
        (lambda x, y: torch.mv(x, y[0]), "xy"),
        (lambda x, y: torch.addcmul(x[0], x, y), "xy"),
        (lambda x, y: torch.lerp(x, y, x), "yxx"),
    ],
)
def test_hooks_meet_tensors_in_the_order_of_their_names(make, order):
    """PyTorch's names, as its documents tell them: `self` for the first one, `other`, `end`, `vec`."""
    x, y = (torch.full((2, 2), value, requires_grad=True) for value in (2.0, 3.0))
    names = {2.0: "x", 3.0: "y"}
    packed = []
    with saved_tensors_hooks(lambda t: (packed.append(names[t.flatten()[0].item()]), t)[1], lambda t: t):
        make(x, y)
    assert "".join(packed) == order


def test_only_the_innermost_hooks_see_a_tensor():
    x, outer, inner = leaf(), [], []
    with saved_tensors_hooks(lambda t: (outer.append(1), t)[1], lambda t: t):
        x.exp()
        with saved_tensors_hooks(lambda t: (inner.append(1), t)[1], lambda t: t):
            x.sin()
        x.cos()
    assert len(outer) == 2 and len(inner) == 1


def test_a_function_of_ones_own_is_packed_too():
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            out = x * x
            ctx.save_for_backward(x, out)
            return out

        @staticmethod
        def backward(ctx, g):
            x, out = ctx.saved_tensors
            assert out.tolist() == (x * x).tolist()
            return g * 2 * x

    x, packed = leaf(1.0, 2.0), []
    with saved_tensors_hooks(lambda t: (packed.append(t.tolist()), t.detach())[1], lambda t: t):
        y = Square.apply(x)
    y.sum().backward()
    assert packed == [[1, 2], [1, 4]] and x.grad.tolist() == [2, 4]


def test_what_hooks_on_saved_tensors_may_not_do():
    x = leaf()
    with saved_tensors_hooks(lambda t: 5, lambda number: number):
        y = x.exp()
    with pytest.raises(TypeError, match="expected to be a Tensor but got result of type int"):
        y.sum().backward()
    with saved_tensors_hooks(lambda t: t.mul_(2), lambda t: t), pytest.raises(RuntimeError, match="in place"):
        (x * 1).sin()
    with disable_saved_tensors_hooks("not here"), pytest.raises(RuntimeError, match="not here"):
        saved_tensors_hooks(lambda t: t, lambda t: t).__enter__()
    with saved_tensors_hooks(lambda t: t, lambda t: t):
        pass


def test_saving_on_the_cpu_gives_the_same_gradients():
    x = leaf()
    with save_on_cpu(pin_memory=True):
        y = x.exp() * x
    y.sum().backward()
    torch.testing.assert_close(x.grad, ((x + 1) * x.exp()).detach())


def test_one_hook_on_several_gradients():
    a, b, c, heard = leaf(1.0), leaf(2.0), leaf(3.0), []
    inner = a * b
    handle = register_multi_grad_hook((a, inner, c), lambda gs: heard.append([g and g.tolist() for g in gs]))
    (inner * 2).sum().backward(retain_graph=True)
    (inner * c).sum().backward()
    assert heard == [[[4], [2], None], [[6], [3], [2]]]
    handle.remove()
    (a * b * c).sum().backward()
    assert len(heard) == 2


def test_one_hook_on_the_first_of_several_gradients():
    a, b, heard = leaf(1.0), leaf(2.0), []
    inner = a * b
    with register_multi_grad_hook((a, inner), lambda g: heard.append(g.tolist()), mode="any"):
        for _ in range(2):
            (inner * 2).sum().backward(retain_graph=True)
    assert heard == [[2], [2]]
    with pytest.raises(ValueError, match="got some"):
        register_multi_grad_hook((a,), print, mode="some")


def test_versions_can_be_counted_on():
    x = leaf()
    y = x * 1
    z = y.sin()
    increment_version([y])
    assert y._version == 1
    with pytest.raises(VersionError):
        z.sum().backward()


def test_saved_tensors_may_be_written_where_that_is_allowed():
    x = leaf(1.0, 2.0)
    with allow_mutation_on_saved_tensors():
        y = x * 1
        z = y * y
        y.mul_(100)
        y[0] = 5
        z.sum().backward()
        assert x.grad.tolist() == [2, 4] and y.tolist() == [5, 200]
        late = x.sin() * x
    with pytest.raises(AutogradError, match="outside of the"):
        late.sum().backward()


def test_the_module_offers_what_it_lists():
    assert all(hasattr(graph, name) for name in graph.__all__)


def test_what_was_packed_is_unpacked_anew_whenever_it_is_read():
    x, seen = leaf(1.0, 2.0), []

    def unpack(value):
        seen.append(value)
        return torch.tensor(value, dtype=torch.float64)

    with saved_tensors_hooks(lambda value: value.tolist(), unpack):
        y = x.pow(2)
    for count in (1, 2):
        found = y.grad_fn._saved_self
        assert len(seen) == count and found.tolist() == [1.0, 2.0]
        assert found.is_leaf and found.requires_grad and "requires_grad=True" in repr(found)
    y.sum().backward()
    assert len(seen) == 3 and x.grad.tolist() == [2.0, 4.0]
