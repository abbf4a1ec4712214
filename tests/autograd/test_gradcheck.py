"""gradcheck and gradgradcheck: right derivatives pass, wrong ones are named."""

from __future__ import annotations

import pytest

import devtensor as torch
from devtensor.autograd import Function, gradcheck, gradgradcheck
from devtensor.core.errors import ArgumentError, AutogradError


def leaf(*values: float):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


class WrongCube(Function):
    """x ** 3 whose derivative is wrong by a factor at one element, by `where`."""

    where = 0

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        slope = torch.ones_like(x)
        slope[WrongCube.where] = 1.01
        return g * 3 * x * x * slope


class WrongSecond(Function):
    """x ** 3 whose first derivative is right, and whose second is not."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * 3 * x * x.detach()


RIGHT = {
    "product": (lambda x, y: x * y, 2),
    "several outputs": (lambda x, y: (x.exp(), (x * y).sum(), y.detach()), 2),
    "constant": (lambda x: (x * 0).sum(), 1),
    "view": (lambda x: x[1:] * x[:-1], 1),
    "zero-dimensional": (lambda x: x.prod(), 1),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_derivatives_pass(name):
    function, count = RIGHT[name]
    inputs = tuple(leaf(0.5, -1.5, 2.0) for _ in range(count))
    assert gradcheck(function, inputs)
    assert gradgradcheck(function, inputs)


@pytest.mark.parametrize("place", range(4))
def test_one_wrong_entry_is_found(place, monkeypatch):
    monkeypatch.setattr(WrongCube, "where", place)
    x = leaf(1.0, -1.5, 2.0, 0.7)
    with pytest.raises(AutogradError, match="Jacobian mismatch for output 0 with respect to input 0"):
        gradcheck(WrongCube.apply, (x,))
    assert gradcheck(WrongCube.apply, (x,), raise_exception=False) is False


def test_a_wrong_second_derivative_is_found():
    x = leaf(1.0, -1.5, 2.0)
    assert gradcheck(WrongSecond.apply, (x,))
    with pytest.raises(AutogradError, match="Jacobian mismatch"):
        gradgradcheck(WrongSecond.apply, (x,))


def test_the_input_at_fault_is_named():
    with pytest.raises(AutogradError, match="output 1 with respect to input 1"):
        gradcheck(lambda x, y: (x * y, WrongCube.apply(y)), (leaf(1.0, 2.0), leaf(3.0, 4.0)))


def test_inputs_must_need_gradients_and_be_double():
    with pytest.raises(ArgumentError, match="at least one input tensor to require gradient"):
        gradcheck(lambda x: x, (torch.ones(2),))
    with pytest.warns(UserWarning, match="Input #0 .* is not a double precision"):
        gradcheck(lambda x: x, (torch.ones(2, requires_grad=True),), raise_exception=False)


def complex_leaf() -> torch.Tensor:
    parts = torch.tensor([[1.0, 2.0], [-0.5, 0.3]], dtype=torch.float64)
    return torch.view_as_complex(parts).requires_grad_()


@pytest.mark.parametrize(
    "function",
    [lambda z: z * z, lambda z: z.abs(), lambda z: z.exp() * z.conj(), torch.view_as_real, lambda z: z.real],
)
def test_complex_inputs(function):
    assert gradcheck(function, (complex_leaf(),)) and gradgradcheck(function, (complex_leaf(),))
    real = leaf(1.0, 2.0)
    assert gradcheck(lambda z, r: function(z * r), (complex_leaf(), real))


def test_a_wrong_complex_gradient_is_found():
    class Wrong(Function):
        forward = staticmethod(lambda ctx, z: z * 2j)
        backward = staticmethod(lambda ctx, g: g * 2j)

    assert not gradcheck(Wrong.apply, (complex_leaf(),), raise_exception=False)


def test_a_backward_that_changes_its_mind_is_found():
    class Fickle(Function):
        turn = 1.0
        forward = staticmethod(lambda ctx, x: x * 1)

        @staticmethod
        def backward(ctx, g):
            Fickle.turn += 1e-7
            return g * Fickle.turn

    with pytest.raises(AutogradError, match="not reentrant"):
        gradcheck(Fickle.apply, (leaf(1.0),))
    assert gradcheck(Fickle.apply, (leaf(1.0),), nondet_tol=1e-3)


def test_inputs_are_left_as_they_were():
    x = leaf(1.0, 2.0)
    gradcheck(lambda x: x * x, (x,))
    assert x.grad is None
    assert x.tolist() == [1, 2]
