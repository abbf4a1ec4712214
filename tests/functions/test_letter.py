"""What PyTorch does at the edges: refusals in backward, writes that autograd does not see, layouts."""

from __future__ import annotations

import math

import numpy as np
import pytest

import devtensor as torch
from devtensor.nn import functional as F

nan, inf = math.nan, math.inf


def leaf(*numbers, dtype=torch.float64):
    return torch.tensor(numbers, dtype=dtype, requires_grad=True)


def slope(function, *numbers):
    """The gradient of a function's sum."""
    x = leaf(*numbers)
    return torch.autograd.grad(function(x).sum(), x)[0].tolist()


REFUSED = {
    "heaviside": lambda x: torch.heaviside(x, x.detach()),
    "heaviside_": lambda x: (x * 1).heaviside_(x.detach()),
    "asinh_": lambda x: (x * 1).asinh_(),
    "arctanh_": lambda x: (x * 0.1).arctanh_(),
    "unique": lambda x: torch.unique(x.reshape(2, 2), dim=0),
    "unique_consecutive": lambda x: torch.unique_consecutive(x),
    "scatter add": lambda x: x.scatter(0, torch.tensor([0]), 1.0, reduce="add"),
    "scatter_ multiply": lambda x: (x * 1).scatter_(0, torch.tensor([0]), 2.0, reduce="multiply"),
    "dist of order 0": lambda x: torch.dist(x.detach() + 1, x, 0.0),
    "masked_fill_ of an expanded one": lambda x: (x * 1).expand(2, 4).masked_fill_(torch.eye(2, 4).bool(), 0),
}


@pytest.mark.filterwarnings("ignore:Use of")
@pytest.mark.parametrize("name", REFUSED)
def test_backward_refuses_what_has_no_derivative(name):
    x = leaf(1.0, 2.0, 3.0, 4.0)
    made = REFUSED[name](x)
    assert made.requires_grad and not made.is_leaf
    with pytest.raises(RuntimeError, match="not implemented"):
        torch.autograd.grad(made.sum(), x)


@pytest.mark.parametrize("name", ["sum", "nansum", "prod", "cumsum", "cumprod"])
def test_a_dtype_without_gradients_is_refused_where_one_is_wanted(name):
    arguments = (0,) if name.startswith("cum") else ()
    with pytest.raises(RuntimeError, match="dtype"):
        getattr(torch, name)(leaf(1.5, 2.5), *arguments, dtype=torch.int64)
    assert getattr(torch, name)(torch.tensor([1.5, 2.5]), *arguments, dtype=torch.int64).dtype is torch.int64


def test_the_gradient_of_a_running_product_at_an_infinity_is_nan():
    """As of PyTorch's formula, which divides by the factor; behind a zero there is nothing to divide."""
    x = leaf(2.0, math.inf, 3.0)
    assert [math.isnan(slope) for slope in torch.autograd.grad(x.cumprod(0).sum(), x)[0].tolist()][1]
    behind = leaf(2.0, 0.0, 3.0)
    assert torch.autograd.grad(behind.cumprod(0).sum(), behind)[0].tolist() == [1.0, 8.0, 0.0]


def test_truths_written_over_numbers_are_not_seen_by_autograd():
    x = leaf(1.0, 0.0)
    y = x * 3
    assert y.logical_not_().tolist() == [0.0, 1.0]
    assert torch.autograd.grad(y.sum(), x)[0].tolist() == [3.0, 3.0]
    assert x.logical_and_(torch.tensor([1.0, 1.0])).tolist() == [1.0, 0.0]


def test_comparisons_written_over_numbers_hand_zeros_to_both():
    x, other = leaf(1.0, 5.0), leaf(2.0, 2.0)
    y = (x * 3).lt_(other)
    assert y.tolist() == [0.0, 0.0] and y.requires_grad
    assert [g.tolist() for g in torch.autograd.grad(y.sum(), (x, other))] == [[0.0, 0.0]] * 2
    counted = torch.tensor([0, 5]).ge_(other)
    assert counted.tolist() == [0, 1] and counted.requires_grad and counted.dtype is torch.int64
    with pytest.raises(RuntimeError, match="leaf"):
        x.gt_(1)


def expanded():
    return torch.arange(3.0).expand(4, 3)


WRITES = {
    "masked_fill_": (lambda x: x.masked_fill_(torch.eye(4, 3)[:, [0, 1, 1]].bool(), 9), [9, 9, 9]),
    "a mask": (lambda x: x.__setitem__(torch.tensor([[1, 0, 0]]).bool().expand(4, 3), 9), [9, 1, 2]),
    "index_fill_": (lambda x: x.index_fill_(1, torch.tensor([0]), 7), [7, 1, 2]),
    "index_put_": (
        lambda x: x.index_put_((torch.tensor([0, 1]),), torch.arange(6.0).reshape(2, 3)),
        [3, 4, 5],
    ),
    "index_put_, added": (
        lambda x: x.index_put_((torch.tensor([0, 1]),), torch.ones(2, 3), accumulate=True),
        [2, 3, 4],
    ),
    "an index of the last dim": (
        lambda x: x.__setitem__((slice(None), torch.tensor([2])), torch.arange(4.0).reshape(4, 1)),
        [0, 1, 3],
    ),
}


@pytest.mark.parametrize("name", WRITES)
def test_an_expanded_tensor_holds_what_was_written_to_any_of_its_places(name):
    write, wanted = WRITES[name]
    x = expanded()
    with pytest.warns(UserWarning, match="expanded tensors is deprecated"):
        write(x)
    assert x.tolist() == [wanted] * 4


@pytest.mark.parametrize("name", ["masked_scatter_", "lt_", "logical_and_", "relu_"])
def test_other_writes_into_an_expanded_tensor_are_refused(name):
    arguments = {
        "masked_scatter_": (torch.ones(4, 3).bool(), torch.ones(12)),
        "lt_": (1,),
        "logical_and_": (torch.ones(3),),
    }
    with pytest.raises(RuntimeError, match="several places"):
        getattr(expanded(), name)(*arguments.get(name, ()))


SLOPES = {
    "max": (torch.max, (nan, 1.0, nan), [0.5, 0.0, 0.5]),
    "min": (torch.min, (2.0, 1.0, 1.0), [0.0, 0.5, 0.5]),
    "median": (torch.median, (1.0, 2.0, 2.0), [0.0, 0.5, 0.5]),
    "elu": (F.elu, (nan, 1.0), [1.0, 1.0]),
    "hardtanh": (F.hardtanh, (nan, 0.5, 1.0), [1.0, 1.0, 0.0]),
    "hardswish": (F.hardswish, (nan, 4.0, -4.0), [1.0, 1.0, 0.0]),
    "softshrink": (F.softshrink, (nan, 0.1), [1.0, 0.0]),
    "logit": (torch.logit, (0.5, 0.0, 1.0), [4.0, inf, inf]),
    "logit, held": (lambda x: torch.logit(x, 0.1), (0.5, 0.01), [4.0, 0.0]),
    "variance of fewer than its correction": (lambda x: torch.var(x, correction=3), (1.0, 2.0), [inf, inf]),
}


@pytest.mark.parametrize("name", SLOPES)
def test_gradients_at_the_edges(name):
    function, numbers, wanted = SLOPES[name]
    assert slope(function, *numbers) == wanted


@pytest.mark.parametrize("loss", [F.huber_loss, F.smooth_l1_loss])
def test_bent_losses(loss):
    numbers = np.array([-3.0, -0.4, 0.0, 0.7, 2.5])
    size = np.abs(numbers)
    found = loss(torch.tensor(numbers), torch.zeros(5, dtype=torch.float64), reduction="none")
    np.testing.assert_allclose(found.numpy(), np.where(size < 1, numbers**2 / 2, size - 0.5))
    assert slope(lambda x: loss(x, torch.zeros(3, dtype=torch.float64), reduction="sum"), inf, -inf, 0.5) == [
        1,
        -1,
        0.5,
    ]
    assert math.isnan(slope(lambda x: loss(x, torch.zeros(1, dtype=torch.float64)), nan)[0])


def test_the_mean_beside_a_variance_is_lost_behind_an_infinity():
    x = torch.tensor([[1.0, inf, 2.0], [1.0, 2.0, inf]])
    means = torch.var_mean(x, 1)[1].tolist()
    assert math.isnan(means[0]) and means[1] == inf
    assert torch.std_mean(torch.tensor([1.0, 3.0]))[1].item() == 2.0


def test_norms_of_small_order_have_the_slope_of_their_formula():
    numbers = np.array([0.5, -2.0, 3.0])
    for p in (0.5, 1.5, 3.0):

        def norm(x, p=p):
            return np.sum(np.abs(x) ** p) ** (1 / p)

        wanted = [(norm(numbers + e) - norm(numbers - e)) / 2e-6 for e in np.eye(3) * 1e-6]
        np.testing.assert_allclose(slope(lambda x, p=p: torch.norm(x, p), *numbers), wanted, rtol=1e-6)


# Whether the result lies in rows.
EQUATIONS = {
    "ij,jk->ki": True,
    "ij,jk->ik": True,
    "aib,bjk->jkai": True,
    "aib,bjk->ajik": False,
    "ij,jk,kl->li": False,
}
SIZES = {"a": 2, "b": 5, "i": 3, "j": 6, "k": 4, "l": 7}


@pytest.mark.parametrize("equation", EQUATIONS)
def test_where_the_result_of_einsum_lies(equation):
    rng = np.random.default_rng(0)
    given = [rng.normal(size=[SIZES[c] for c in term]) for term in equation.split("->")[0].split(",")]
    found = torch.einsum(equation, *map(torch.tensor, given))
    np.testing.assert_allclose(found.numpy(), np.einsum(equation, *given), rtol=1e-12)
    assert found.is_contiguous() is EQUATIONS[equation]


def test_a_mask_beside_is_causal_is_taken_where_a_fused_kernel_would():
    q, mask = torch.randn(2, 2, 3, 4), torch.ones(3, 3).bool()
    assert F.scaled_dot_product_attention(q, q, q, mask, is_causal=True).shape == q.shape
    for args in ((q[0], q[0], q[0]), (q.mT.contiguous().mT,) * 3):
        with pytest.raises(RuntimeError, match="Explicit attn_mask should not be set when is_causal=True"):
            F.scaled_dot_product_attention(*args, mask, is_causal=True)


def test_an_inverse_keeps_itself_alone():
    a = torch.tensor([[2.0, 1.0], [0.0, 4.0]], dtype=torch.float64, requires_grad=True)
    b = a * 1
    inverse = torch.linalg.inv(b)
    with torch.no_grad():
        b.zero_()
    found = torch.autograd.grad(inverse.sum(), a)[0]
    known = np.linalg.inv(a.detach().numpy())
    np.testing.assert_allclose(found.numpy(), -known.T @ np.ones((2, 2)) @ known.T)


@pytest.mark.parametrize("function", [torch.prod, torch.det])
def test_a_result_that_backward_needs_must_not_be_written_over(function):
    x = torch.eye(2, dtype=torch.float64).requires_grad_()
    y = function(x * 2)
    with torch.no_grad():
        y.mul_(2)
    with pytest.raises(RuntimeError, match="modified"):
        y.backward()


def test_losses_of_integers_wrap_and_have_no_mean():
    a, b = torch.tensor([1, 5], dtype=torch.uint8), torch.tensor([3, 2], dtype=torch.uint8)
    assert F.l1_loss(a, b, reduction="none").tolist() == [254, 3]
    assert F.l1_loss(a, b, reduction="sum").item() == 257
    with pytest.raises(RuntimeError):
        F.l1_loss(a, b)
