"""What a beginner gets wrong is refused, with PyTorch's class of error and its words."""

from __future__ import annotations

import pytest

import devtensor as torch
from devtensor import nn
from devtensor.nn import functional as F

X = torch.ones(2, 3)

WRONG = {
    "keyword": (lambda: torch.ones(2, foo=3), TypeError, "unexpected keyword argument 'foo'"),
    "size that is no integer": (lambda: torch.zeros(2.5), TypeError, "2.5 of type float"),
    "reshape to text": (lambda: X.reshape("a"), TypeError, "'a' of type str"),
    "unflatten to text": (lambda: X.unflatten(0, ("a",)), TypeError, "'a' of type str"),
    "full of text": (lambda: torch.full((2,), "a"), TypeError, "it needs a number"),
    "tensor of text": (lambda: torch.tensor(["a"]), ValueError, "too many dimensions 'str'"),
    "max along no dim": (lambda: X.max(3), IndexError, "dim 3 is out of range"),
    "default dtype": (lambda: torch.set_default_dtype(torch.int32), TypeError, "no floating-point dtype"),
    "probability": (lambda: torch.bernoulli(X * 2), RuntimeError, "p_in >= 0 && p_in <= 1"),
    "probability of all": (lambda: X.clone().bernoulli_(-0.5), RuntimeError, "p_in >= 0 && p_in <= 1"),
    "integer to a negative power": (lambda: torch.tensor([2]) ** -1, RuntimeError, "negative integer powers"),
    "the same in place": (lambda: torch.tensor([2]).pow_(-1), RuntimeError, "negative integer powers"),
    "sum of shapes": (lambda: X + torch.ones(2, 4), RuntimeError, r"tensor a \(3\) .* tensor b \(4\) .* 1:"),
    "sum of ranks": (lambda: X + torch.ones(4, 1, 1, 2), RuntimeError, r"a \(3\) .* b \(2\) .* dimension 3"),
    "product": (lambda: X @ X, RuntimeError, "mat1 and mat2 shapes cannot be multiplied"),
    "view": (lambda: X.view(4, -1), RuntimeError, r"shape '\[4, -1\]' is invalid for input of size 6"),
    "expand": (lambda: X.expand(2, 4), RuntimeError, "The expanded size of the tensor"),
    "vander of a matrix": (lambda: torch.vander(X), RuntimeError, "one-dimensional"),
    "list of a number": (lambda: nn.ModuleList([1]), TypeError, "int is not a Module subclass"),
    "integer targets": (
        lambda: F.binary_cross_entropy_with_logits(X, X.long()),
        RuntimeError,
        "can't be cast",
    ),
    "complex loss": (
        lambda: (X * 1j).sum().requires_grad_().backward(),
        RuntimeError,
        "only for real scalar outputs",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_it_is_refused(name):
    run, error, words = WRONG[name]
    with pytest.raises(error, match=words):
        run()


def test_what_looks_alike_is_taken():
    assert torch.ones(size=(2, 3)).equal(X)
    assert torch.full((2,), torch.tensor(3)).tolist() == [3, 3]
    assert (torch.tensor([2.0]) ** -1).item() == 0.5
    assert (torch.tensor([2]) ** torch.tensor([-1])).item() == 0
    assert nn.ModuleList([None, nn.ReLU()])[0] is None
    assert torch.is_complex(X * 1j) and not torch.is_complex(X)
    assert torch.bernoulli(torch.empty(0)).shape == (0,)


def test_vander():
    powers = [[1, 1, 1], [4, 2, 1], [9, 3, 1]]
    assert torch.vander(torch.tensor([1, 2, 3])).tolist() == powers
    assert torch.vander(torch.tensor([1, 2, 3]), increasing=True).tolist() == [row[::-1] for row in powers]
    assert torch.vander(torch.tensor([2.0]), N=4).tolist() == [[8, 4, 2, 1]]
    assert torch.vander(torch.tensor([2.0]), N=0).shape == (1, 0)
