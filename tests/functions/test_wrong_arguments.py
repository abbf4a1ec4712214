"""What a beginner gets wrong is refused, with PyTorch's class of error and its words."""

from __future__ import annotations

import pytest

import devtensor as torch
from devtensor import nn
from devtensor.nn import functional as F

X = torch.ones(2, 3)

WRONG = {
    "keyword": (lambda: torch.ones(2, foo=3), TypeError, "unexpected keyword argument 'foo'"),
    "permutation that is one number": (
        lambda: torch.permute(X, -1),
        TypeError,
        "'dims' must be tuple of ints",
    ),
    "permutation one by one": (lambda: torch.permute(X, 1, 0), TypeError, "positional"),
    "permutation of nothing": (lambda: X.permute(), TypeError, "missing 1 required"),
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
    "number for a tensor": (lambda: torch.mm(X, 5), TypeError, r"\[mm\] argument 'mat2' must be a Tensor"),
    "number for an index": (lambda: X.gather(0, 3), TypeError, "argument 'index' must be a Tensor, not int"),
    "tuple for a weight": (lambda: F.linear(X, (1, 2)), TypeError, "argument 'weight' must be a Tensor"),
    "weight that is a number": (lambda: F.layer_norm(X, (3,), 1e-5), TypeError, "'weight' must be a Tensor"),
    "number alone": (lambda: torch.exp(1.5), TypeError, "argument 'input' must be a Tensor, not float"),
    "number in place": (lambda: X.clone().logical_and_(True), TypeError, "stands in the place of a Tensor"),
    "text in an equation": (lambda: torch.einsum("i,i", "a", X), TypeError, "must be a Tensor, not str"),
    "method of a number": (lambda: F.softmax(3, 0), AttributeError, "got a int; it needs a Tensor"),
    "summand": (lambda: X.scatter_add(0, X.long(), 1.0), TypeError, "argument 'src' must be a Tensor"),
    "flag": (lambda: X.max(0, keepdim=1), TypeError, "argument 'keepdim' must be a bool, not int"),
    "flag by its place": (lambda: torch.topk(X, 1, 0, 1), TypeError, "'largest' must be a bool"),
    "truth for a dim": (lambda: X.unsqueeze(True), TypeError, "it needs an int"),
    "tensor for a count": (
        lambda: torch.topk(X, X.long()),
        TypeError,
        "argument 'k' must be an int, not Tensor",
    ),
    "complex numbers compared": (lambda: X.cfloat() > 1, NotImplementedError, r"\[gt\] not implemented"),
    "number less a truth": (lambda: 1 - (X > 0), RuntimeError, "with a bool is not supported"),
    "matrix product with a number": (lambda: X @ 2, TypeError, "unsupported operand type"),
    "the same exchanged": (lambda: 2 @ X, TypeError, "unsupported operand type"),
    "truth for a count": (lambda: torch.topk(X, True), TypeError, "k is True; it needs an int"),
    "dim between dims": (lambda: X.unsqueeze(0.5), TypeError, "it needs an int"),
    "order of no number": (lambda: torch.linalg.vector_norm(X, [1]), TypeError, "it needs a number"),
    "no parameters": (lambda: nn.utils.parameters_to_vector([]), ValueError, "expected a non-empty list"),
    "complex median": (lambda: X.cfloat().median(), NotImplementedError, r"\[median\] not implemented"),
    "complex maximum": (lambda: torch.max(X.cfloat(), X), RuntimeError, r"\[maximum\] not implemented"),
    "window": (lambda: F.max_pool2d(X[None], True), TypeError, "kernel_size is True; it needs an int"),
    "no sizes": (lambda: torch.zeros(), TypeError, "missing 1 required argument: 'size'"),
    "no sizes to expand to": (lambda: X[0, 0].expand(), TypeError, "missing 1 required positional argument"),
    "dims of flip": (lambda: torch.flip(X, -1), TypeError, "must be tuple of ints, not int"),
    "limits of two kinds": (lambda: X.clamp(0, X), TypeError, "both limits must be numbers, or both Tensors"),
    "ends of two dtypes": (lambda: X.lerp(X.double(), 0.5), RuntimeError, "expected dtype float32 for `end`"),
    "in place beyond its dtype": (lambda: X.long().deg2rad_(), RuntimeError, "can't be cast"),
    "power in place": (lambda: X.clone().float_power_(2), RuntimeError, "requires float64"),
    "running sum in place": (lambda: X.clone().cumsum_(0, dtype=torch.int8), RuntimeError, "out of place"),
    "mean of integers": (lambda: torch.nanmean(X.long()), RuntimeError, "floating point or complex dtype"),
    "dim of no dims": (lambda: X[0, 0].sum(7), IndexError, "dim 7 is out of range"),
    "too large": (lambda: X.long() + 2**70, OverflowError, "does not fit 64 bits"),
    "dim too large": (lambda: X.unsqueeze(2**70), ValueError, "Overflow when unpacking"),
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


def test_numbers_stand_for_tensors_where_they_may():
    boundaries = torch.tensor([1.0, 2.0])
    assert torch.searchsorted(boundaries, 1.5).item() == 1
    assert torch.where(X > 0, X, 0).equal(X) and X.scatter(0, torch.zeros(1, 3).long(), 1.0).equal(X)
    assert X.lerp(X, torch.tensor(0.5, dtype=torch.float64)).equal(X)
    assert X.clamp(torch.tensor(0.0), 0.5).equal(X / 2)
    assert X.flip(-1).equal(X) and X.reshape(2, True, 3).shape == (2, 1, 3)
    assert X.sort(stable=None).values.equal(X) and X.unfold(1, 0, 2).shape == (2, 2, 0)


def test_in_place_forms_keep_what_formulas_need():
    x = torch.tensor([-1.0, 0.5, 2.0], requires_grad=True)
    (x * 1).clamp_min_(0).sum().backward()
    assert x.grad.tolist() == [0, 1, 1]


def test_slopes_where_numbers_are_none_or_infinite():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    torch.maximum(x, torch.tensor([float("nan"), 3.0])).sum().backward()
    assert x.grad.tolist() == [1, 0]
    y = torch.tensor([float("inf"), 0.25], requires_grad=True)
    F.huber_loss(y, torch.zeros(2), reduction="sum").backward()
    assert y.grad.tolist() == [1, 0.25]
    z = torch.zeros(1, 2, requires_grad=True)
    F.nll_loss(z, torch.tensor([-100])).backward()
    assert z.grad.tolist() == [[0, 0]]


def test_vander():
    powers = [[1, 1, 1], [4, 2, 1], [9, 3, 1]]
    assert torch.vander(torch.tensor([1, 2, 3])).tolist() == powers
    assert torch.vander(torch.tensor([1, 2, 3]), increasing=True).tolist() == [row[::-1] for row in powers]
    assert torch.vander(torch.tensor([2.0]), N=4).tolist() == [[8, 4, 2, 1]]
    assert torch.vander(torch.tensor([2.0]), N=0).shape == (1, 0)
