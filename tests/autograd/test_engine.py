"""backward() and grad(): what they give, what they leave behind, and what they refuse."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import devtensor
from devtensor.autograd.engine import backward, grad
from devtensor.core.errors import ArgumentTypeError, AutogradError, ShapeError
from devtensor.core.tensor import Tensor, storage_of
from devtensor.testing import to_numpy


def leaf(*numbers: float) -> Tensor:
    return devtensor.tensor(
        numbers if len(numbers) > 1 else numbers[0], dtype=devtensor.float64, requires_grad=True
    )


def test_backward_sums_into_leaves():
    x, y = leaf(1, 2, 3), leaf(4, 5, 6)
    (x * y).sum().backward()
    assert x.grad.tolist() == [4.0, 5.0, 6.0] and y.grad.tolist() == [1.0, 2.0, 3.0]
    (x * 2).sum().backward()
    assert x.grad.tolist() == [6.0, 7.0, 8.0] and y.grad.tolist() == [1.0, 2.0, 3.0]
    x.grad = None
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0, 3.0]


def test_accumulation_writes_into_the_gradient_that_is_there():
    x = leaf(1, 2)
    (x * 2).sum().backward()
    kept = x.grad
    (x * 3).sum().backward()
    assert x.grad is kept and kept.tolist() == [5.0, 5.0]


def test_accumulation_under_create_graph_makes_a_new_one():
    x = leaf(2)
    (x**3).backward(create_graph=True)
    kept = x.grad
    (x**3).backward(create_graph=True)
    assert x.grad is not kept and kept.item() == 12.0 and x.grad.item() == 24.0 and x.grad.requires_grad


def test_gradients_never_share_memory():
    x, y = leaf(1, 2), leaf(3, 4)
    g = devtensor.tensor([1.0, 1.0], dtype=devtensor.float64)
    (x + y).backward(g)
    stores = [storage_of(t) for t in (x.grad, y.grad, g)]
    assert len(set(stores)) == 3
    x.grad.zero_()
    assert y.grad.tolist() == [1.0, 1.0] and g.tolist() == [1.0, 1.0]
    z = leaf(5, 6)
    z.view(2, 1).sum(1).expand(2).backward(g)
    z.grad.mul_(7)
    assert g.tolist() == [1.0, 1.0]


def test_a_tensor_used_many_times_gets_the_sum():
    x = leaf(3)
    (x * x * x + x + x).backward()
    assert x.grad.item() == 29.0


def test_a_long_chain_needs_no_recursion():
    x = leaf(1)
    y = x
    for _ in range(20000):
        y = y + 1
    y.backward()
    assert x.grad.item() == 1.0


def test_a_diamond_visits_each_node_once():
    x = leaf(2)
    y = x
    for _ in range(40):
        y = y + y
    y.backward()
    assert x.grad.item() == 2.0**40


def test_broadcast_inputs_get_their_own_shapes():
    x, y, z = leaf(2), leaf(1, 2, 3), devtensor.ones(4, 1, dtype=devtensor.float64, requires_grad=True)
    (x * y * z).sum().backward()
    assert [tuple(t.grad.shape) for t in (x, y, z)] == [(), (3,), (4, 1)]
    assert x.grad.item() == 24.0 and y.grad.tolist() == [8.0] * 3 and z.grad.tolist() == [[12.0]] * 4


def test_gradients_have_the_dtype_of_their_leaf():
    x = devtensor.tensor([1.0, 2.0], requires_grad=True)
    y = leaf(3, 4)
    (x * y).sum().backward()
    assert x.grad.dtype is devtensor.float32 and y.grad.dtype is devtensor.float64


def test_grad_leaves_grad_alone():
    x, y = leaf(1, 2), leaf(3, 4)
    (gx, gy) = grad((x * y).sum(), [x, y])
    assert gx.tolist() == [3.0, 4.0] and gy.tolist() == [1.0, 2.0]
    assert x.grad is None and y.grad is None


def test_grad_of_an_intermediate_result():
    x = leaf(3)
    y = x * x
    z = y * y
    assert grad(z, y, retain_graph=True)[0].item() == 18.0
    assert grad(z, [y, x])[1].item() == 108.0


def test_grad_of_several_outputs_and_their_weights():
    x = leaf(1, 2)
    weights = [devtensor.tensor([1.0, 10.0], dtype=devtensor.float64), None]
    (g,) = grad([x * 2, (x * x).sum()], x, weights)
    assert g.tolist() == [4.0, 24.0]


def test_unused_inputs():
    x, y = leaf(1), leaf(2)
    with pytest.raises(AutogradError, match=r"\[grad\].*not have been used in the graph.*allow_unused=True"):
        grad(x * 2, [x, y])
    assert grad(x * 2, [x, y], allow_unused=True)[1] is None
    assert grad(x * 2, [x, y], materialize_grads=True)[1].item() == 0.0


def test_backward_for_chosen_inputs_only():
    x, y = leaf(2), leaf(3)
    z = x * y
    (z * z).backward(inputs=[x])
    assert x.grad.item() == 36.0 and y.grad is None
    w = x * y
    (w * w).backward(inputs=w)
    assert w.grad.item() == 12.0 and y.grad is None
    with pytest.raises(AutogradError, match="cannot be empty"):
        (x * y).backward(inputs=[])


def test_a_graph_is_used_once_unless_retained():
    x = leaf(2)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 8.0
    with pytest.raises(
        AutogradError, match=r"MulBackward0.*through the graph a second time.*retain_graph=True"
    ):
        y.backward()


def test_second_and_third_derivatives():
    x = leaf(3)
    y = x**4
    for expected in (108.0, 108.0, 72.0, 24.0):
        (y,) = grad(y, x, create_graph=True)
        assert y.item() == expected


def test_mixed_second_derivatives_agree():
    x, y = leaf(0.5), leaf(1.5)
    out = (x * y).sin() * x.exp()
    gx, gy = grad(out, [x, y], create_graph=True)
    (gxy,) = grad(gx, y, retain_graph=True)
    (gyx,) = grad(gy, x)
    assert gxy.item() == pytest.approx(gyx.item(), rel=1e-14)


def test_a_hessian_against_closed_form():
    matrix = np.array([[2.0, 1.0], [1.0, 3.0]])
    m, x = devtensor.tensor(matrix), leaf(0.3, -0.7)
    (g,) = grad((x @ m @ x).exp(), x, create_graph=True)
    rows = [grad(g[k], x, retain_graph=True)[0].tolist() for k in range(2)]
    p = to_numpy(x.detach())
    slope = (matrix + matrix.T) @ p
    wanted = np.exp(p @ matrix @ p) * (np.outer(slope, slope) + matrix + matrix.T)
    np.testing.assert_allclose(rows, wanted, rtol=1e-12)


def test_backward_records_only_when_asked_to():
    x = leaf(2)
    (g,) = grad(x**3, x)
    assert not g.requires_grad
    (g,) = grad(x**3, x, create_graph=True)
    assert g.requires_grad and g.node is not None
    with devtensor.no_grad():
        y = x * 2
    assert not y.requires_grad and devtensor.is_grad_enabled()


def test_backward_works_inside_no_grad():
    x = leaf(2)
    y = x * x
    with devtensor.no_grad():
        y.backward()
        assert not devtensor.is_grad_enabled()
    assert x.grad.item() == 4.0


def test_modes_come_back_after_an_error():
    x = leaf(2)
    y = x * x
    y.backward()
    for _ in range(2):
        with pytest.raises(AutogradError):
            y.backward()
    assert devtensor.is_grad_enabled() and (x * 2).requires_grad


REFUSED = {
    "no gradient wanted": (lambda: devtensor.ones(()).backward(), "does not require grad"),
    "made under no_grad": (lambda: _without(leaf(1)).backward(), "does not require grad.*outside no_grad"),
    "not a scalar": (
        lambda: (leaf(1, 2) * 2).backward(),
        r"implicitly created only for scalar outputs.*\(2,\)",
    ),
    "gradient is no tensor": (lambda: (leaf(1, 2) * 2).backward([1.0, 1.0]), "1 tensors and 2 gradients"),
    "an input that needs none": (lambda: grad(leaf(1) * 2, devtensor.ones(())), "does not require grad"),
    "batched without gradients": (
        lambda: grad(leaf(1) * 2, leaf(1), is_grads_batched=True),
        "is_grads_batched needs gradients",
    ),
}


def _without(x: Tensor) -> Tensor:
    with devtensor.no_grad():
        return x * 2


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_why(name):
    action, pattern = REFUSED[name]
    with pytest.raises(RuntimeError, match=pattern):
        action()


def test_a_gradient_of_another_shape_is_refused():
    with pytest.raises(ShapeError, match=r"Mismatch in shape.*\(3,\).*\(2,\).*equal"):
        (leaf(1, 2) * 2).backward(devtensor.ones(3, dtype=devtensor.float64))


def test_grad_attribute_takes_only_what_fits():
    x = leaf(1, 2)
    x.grad = devtensor.zeros(2, dtype=devtensor.float64)
    for wrong in (devtensor.zeros(3, dtype=devtensor.float64), devtensor.zeros(2), 1.0):
        with pytest.raises((AutogradError, ArgumentTypeError), match=r"\[grad\]"):
            x.grad = wrong
    del x.grad
    assert x.grad is None


def test_several_roots_at_once():
    x = leaf(2)
    backward([x * 2, x * x])
    assert x.grad.item() == 6.0


def test_the_graph_can_be_walked():
    x = leaf(2)
    out = (x * x).exp()
    assert out.grad_fn.name() == "ExpBackward0"
    assert out.grad_fn.next_functions[0][0].name() == "MulBackward0"
    assert x.grad_fn is None and x.is_leaf and not out.is_leaf


def test_inference_results_have_no_history():
    x = leaf(2)
    with devtensor.inference_mode():
        y = x * 2
    assert not y.requires_grad and y.grad_fn is None


def test_outputs_that_never_got_a_gradient_count_as_zero():
    x = leaf(3, 1, 2)
    values, places = x.sort()
    assert places.tolist() == [1, 2, 0] and not places.requires_grad
    (g,) = grad(values[0], x)
    assert g.tolist() == [0.0, 1.0, 0.0]


def test_grad_runs_and_frees_only_what_leads_to_its_inputs():
    x, w = leaf(1, 2, 3), leaf(1, 2, 3)
    inner, beside, seen = x * x, w * w, []
    beside.register_hook(seen.append)
    out = (inner * inner + beside).sum()
    (g,) = grad(out, inner)
    assert g.tolist() == [2.0, 8.0, 18.0] and seen == []
    inner.sum().backward()
    beside.sum().backward()
    assert x.grad.tolist() == w.grad.tolist() == [2.0, 4.0, 6.0] and len(seen) == 1


def test_arguments_of_grad_and_backward_are_checked():
    x = leaf(1, 2)
    for call, error, text in (
        (lambda: grad(x.sum(), []), AutogradError, "cannot be empty"),
        (lambda: grad(x.sum(), x, allow_unused=False, materialize_grads=True), ValueError, "allow_unused"),
        (lambda: grad([x.sum(), x.sum()], x, [leaf(1)]), AutogradError, "got 2 tensors and 1 gradients"),
        (lambda: grad(x.sum(), 5), TypeError, "got int; it must be a Tensor"),
        (lambda: x.sum().backward(inputs=[devtensor.ones(2)]), AutogradError, "does not require grad"),
        (lambda: setattr(x, "grad", x), AutogradError, "its own grad"),
        (lambda: setattr(x, "grad", 3), TypeError, "got int"),
    ):
        with pytest.raises(error, match=text):
            call()


def test_backward_names_an_input_twice_and_counts_it_once():
    x = leaf(1, 2)
    y = x * 2
    (y * 3).sum().backward(inputs=[y, y, x, x])
    assert y.grad.tolist() == [3.0, 3.0] and x.grad.tolist() == [6.0, 6.0]


def test_reading_the_gradient_of_an_inner_tensor_warns():
    y = leaf(1, 2) * 2
    with pytest.warns(UserWarning, match="not a leaf Tensor"):
        assert y.grad is None
    y.retain_grad()
    assert y.grad is None


@pytest.mark.parametrize(
    ("make", "value", "text"),
    [
        (lambda: leaf(1) * 2, False, "requires_grad flags of leaf variables"),
        (lambda: devtensor.ones(2, dtype="int64"), True, "only Tensors of floating point"),
        (lambda: devtensor.ones(2), "yes", "must be a bool"),
    ],
)
def test_requires_grad_takes_only_what_makes_sense(make, value, text):
    tensor = make()
    before = tensor.requires_grad
    with pytest.raises(AutogradError, match=text):
        tensor.requires_grad = value
    assert tensor.requires_grad is before


def test_leaves_stand_as_nodes_where_a_graph_is_walked():
    x = leaf(1, 2)
    node, place = (x * 2).grad_fn.next_functions[0]
    assert node.variable is x and node.next_functions == () and place == 0
    assert node.name() == "torch::autograd::AccumulateGrad"


def test_the_graph_is_freed_without_the_collector():
    gc.collect()
    gc.disable()
    try:
        w, kept = devtensor.ones(4, 4, requires_grad=True), []
        for _ in range(2):
            hidden = (devtensor.ones(2, 4) @ w).relu()
            part = hidden[1:]
            loss = (part * part.exp()).mean()
            kept += [weakref.ref(t) for t in (hidden, part, loss)]
            w.grad = None
            loss.backward()
            with devtensor.no_grad():
                w -= 0.1 * w.grad
            del hidden, part, loss
        assert [ref() for ref in kept] == [None] * 6
    finally:
        gc.enable()


def test_a_long_chain_is_freed_without_recursion():
    x = leaf(1)
    y = x
    for _ in range(100_000):
        y = y * 1.0
    y.backward()
    del y
    assert x.grad.item() == 1.0


def test_the_old_only_inputs_is_taken():
    x = leaf(1, 2)
    (g,) = grad((x * 2).sum(), x, create_graph=True, retain_graph=True, only_inputs=True)
    assert g.tolist() == [2.0, 2.0]
    with pytest.warns(FutureWarning, match="only_inputs"):
        grad((x * 2).sum(), x, None, True, False, False)
