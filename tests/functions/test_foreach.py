"""Functions over lists of tensors: as the method of each."""

from __future__ import annotations

import pytest

import devtensor as torch
from devtensor.functions.foreach import ONLY_PURE, UNARY


def tensors() -> list[torch.Tensor]:
    return [torch.tensor([0.25, 0.5]), torch.tensor([[0.75]])]


A, B = tensors(), [torch.tensor([2.0, 3.0]), torch.tensor([[0.5]])]
CASES = {
    "a number": (torch._foreach_add(A, 2), [a + 2 for a in A]),
    "a number each": (torch._foreach_mul(A, [2, 3]), [A[0] * 2, A[1] * 3]),
    "lists": (torch._foreach_div(A, B), [a / b for a, b in zip(A, B, strict=True)]),
    "alpha": (torch._foreach_add(A, B, alpha=3), [a + 3 * b for a, b in zip(A, B, strict=True)]),
    "lerp": (torch._foreach_lerp(A, B, 0.5), [(a + b) / 2 for a, b in zip(A, B, strict=True)]),
    "addcmul": (torch._foreach_addcmul(A, B, B, 2.0), [a + 2 * b * b for a, b in zip(A, B, strict=True)]),
    "addcdiv": (
        torch._foreach_addcdiv(A, A, B, [1.0, 4.0]),
        [A[0] + A[0] / B[0], A[1] + 4 * A[1] / B[1]],
    ),
    "maximum": (torch._foreach_maximum(B, 1.0), [b.clamp(min=1) for b in B]),
    "minimum": (torch._foreach_minimum(A, B), [torch.minimum(a, b) for a, b in zip(A, B, strict=True)]),
    "norm": (torch._foreach_norm(A, 1), [a.abs().sum() for a in A]),
    "nothing": (torch._foreach_add([], 1), []),
}


@pytest.mark.parametrize("name", CASES)
def test_values(name):
    made, expected = CASES[name]
    assert len(made) == len(expected)
    for found, wanted in zip(made, expected, strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("name", UNARY.split())
def test_functions_of_one_tensor_and_their_in_place_forms(name):
    made = getattr(torch, f"_foreach_{name}")(tensors())
    assert all(m.equal(getattr(a, name)()) for m, a in zip(made, A, strict=True))
    if name not in ONLY_PURE:
        written = tensors()
        assert getattr(torch, f"_foreach_{name}_")(written) is None
        assert all(w.equal(m) for w, m in zip(written, made, strict=True))


def test_an_average_of_weights():
    average, weights = tensors(), [b.requires_grad_() for b in (torch.ones(2), torch.ones(1, 1))]
    with torch.no_grad():
        torch._foreach_lerp_(average, weights, 0.5)
    assert average[0].tolist() == [0.625, 0.75] and average[1].tolist() == [[0.875]]
    torch._foreach_copy_(average, B)
    assert average[0].equal(B[0])
    torch._foreach_zero_(average)
    assert not average[1].any()


def test_gradients_flow():
    leaves = [a.requires_grad_() for a in tensors()]
    sum(made.sum() for made in torch._foreach_mul(leaves, 3)).backward()
    assert leaves[0].grad.tolist() == [3, 3]


def test_lists_of_different_lengths_and_names_that_do_not_exist():
    with pytest.raises(RuntimeError, match="same number of tensors, got 2 and 1"):
        torch._foreach_add(A, A[:1])
    assert not hasattr(torch, "_foreach_max_") and not hasattr(torch, "_foreach_nothing")
