"""Factors in front of the tensors they multiply, as PyTorch takes them with a warning."""

from __future__ import annotations

import pytest

import devtensor as torch

A, B, C = torch.full((2, 2), 2.0), torch.full((2, 2), 3.0), torch.full((2, 2), 5.0)
V = torch.full((2,), 7.0)
CASES = {
    "add": (lambda: torch.add(A, 4, B), 14),
    "add of a number": (lambda: torch.add(A, 4, 3), 14),
    "Tensor.add": (lambda: A.add(4, B), 14),
    "Tensor.add_": (lambda: A.clone().add_(4, B), 14),
    "sub": (lambda: torch.sub(A, 4, B), -10),
    "Tensor.sub_": (lambda: A.clone().sub_(4, B), -10),
    "addcmul": (lambda: torch.addcmul(A, 2, B, C), 32),
    "Tensor.addcmul_": (lambda: A.clone().addcmul_(2, B, C), 32),
    "Tensor.addcdiv": (lambda: A.addcdiv(10, B, C), 8),
    "Tensor.addcdiv_": (lambda: A.clone().addcdiv_(10, B, C), 8),
    "addmm": (lambda: torch.addmm(3, A, 2, B, C), 66),
    "addmm without alpha": (lambda: torch.addmm(3, A, B, C), 36),
    "Tensor.addmm": (lambda: A.addmm(3, 2, B, C), 66),
    "Tensor.addmm_": (lambda: A.clone().addmm_(3, B, C), 36),
    "addmv": (lambda: torch.addmv(3, V, 2, B, V), 105),
    "addr": (lambda: torch.addr(3, A, 2, V, V), 104),
    "baddbmm": (lambda: torch.baddbmm(3, A[None], 2, B[None], C[None]), 66),
    "addbmm": (lambda: torch.addbmm(3, A, 2, B[None], C[None]), 66),
    "with out": (lambda: torch.add(A, 4, B, out=torch.empty(2, 2)), 14),
}


@pytest.mark.parametrize("name", CASES)
def test_numbers_before_tensors(name):
    call, value = CASES[name]
    with pytest.warns(UserWarning, match="deprecated: numbers before tensors") as caught:
        found = call()
    assert set(found.flatten().tolist()) == {value}
    assert caught[0].filename == __file__


WRONG = {
    "two tensors": lambda: torch.add(A, B, C),
    "three factors": lambda: torch.addmm(1, A, 2, B, C, 3),
    "in front": lambda: torch.addcmul(2, A, B, C),
    "other functions": lambda: torch.mul(A, 2, B),
}


@pytest.mark.parametrize("name", WRONG)
def test_other_orders_are_refused(name):
    with pytest.raises(TypeError):
        WRONG[name]()
