"""Inference tensors, and what the switches mean inside one another."""

from __future__ import annotations

import pytest

import devtensor as torch
from devtensor.core.errors import AutogradError
from devtensor.core.tensor import is_inference


def leaf():
    return torch.tensor([1.0, 2.0, 3.0], requires_grad=True)


def made_in_inference():
    with torch.inference_mode():
        return torch.ones(3) * 2


def test_what_is_made_in_inference_mode_is_marked():
    x = leaf()
    with torch.inference_mode():
        made = [x * 2, x.exp(), x + x, torch.ones(3), x.sum(), *x.sort(), torch.tensor([1.0])]
        seen = x.view(3, 1)
    assert all(is_inference(t) and t.is_leaf and not t.requires_grad for t in made)
    assert not is_inference(seen) and not is_inference(x)
    assert is_inference(made[0].view(3, 1)) and is_inference(made[0].detach())
    assert not is_inference(made[0] * 2) and not is_inference(made[0].clone())
    assert all(
        is_inference(t) for t in (torch.inference_mode(torch.exp)(x), torch.inference_mode()(torch.exp)(x))
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda y: y.add_(1),
        lambda y: y.copy_(torch.zeros(3)),
        lambda y: y.__setitem__(0, 1),
        lambda y: y.exp_(),
        lambda y: y[1:].mul_(torch.ones(2)),
    ],
)
def test_inference_tensors_are_written_only_in_inference_mode(change):
    y = made_in_inference()
    with torch.inference_mode():
        change(y)
    kept = y.tolist()
    for mode in (torch.enable_grad(), torch.no_grad()):
        with mode, pytest.raises(AutogradError, match=r"Inplace update to inference tensor .* clone"):
            change(y)
    assert y.tolist() == kept


def test_inference_tensors_enter_no_graph():
    x, y = leaf(), made_in_inference()
    (x + y).sum().backward()
    assert x.grad.tolist() == [1, 1, 1]
    for use in (lambda: x * y, lambda: x @ y, lambda: torch.where(y > 1, x * y, x)):
        with pytest.raises(AutogradError, match="Inference tensors cannot be saved for backward"):
            use()
    (x * y.clone()).sum().backward()
    with pytest.raises(AutogradError, match="Setting requires_grad=True on inference tensor"):
        y.requires_grad = True
    with pytest.raises(AutogradError, match="do not track version counter"):
        _ = y._version


def test_ordinary_tensors_stay_what_they_are_in_inference_mode():
    x = torch.ones(3)
    with torch.inference_mode():
        x.add_(1)
        x[0] = 5
    assert x.tolist() == [5, 2, 2] and x._version == 2 and not is_inference(x)


def test_nothing_is_recorded_in_inference_mode_whatever_stands_inside():
    x = leaf()
    with torch.inference_mode():
        for mode in (torch.enable_grad(), torch.set_grad_enabled(True)):
            with mode:
                y = x * 2
                assert torch.is_inference_mode_enabled() and is_inference(y) and not y.requires_grad
        with torch.inference_mode(False):
            assert torch.is_grad_enabled() and (x * 2).requires_grad and not is_inference(torch.ones(3))
        assert torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


def test_a_generator_first_drawn_from_in_inference_mode_serves_outside():
    generator = torch.Generator()
    with torch.inference_mode():
        first = torch.rand(3, generator=generator)
        assert is_inference(first)
    generator.manual_seed(generator.initial_seed())
    again = torch.rand(3, generator=generator)
    assert not is_inference(again) and again.tolist() == first.tolist()
