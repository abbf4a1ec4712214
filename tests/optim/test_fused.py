"""`fused=True`: the optimizer divides by a GradScaler's scale and skips by its flag, as PyTorch's do."""

from __future__ import annotations

import numpy as np
import pytest

import devtensor as dt
from devtensor import optim
from devtensor.amp import GradScaler

STARTS = np.array([1.0, -2.0, 0.5]), np.array([[0.25]])
STEPS = [
    [np.array([8.0, -16.0, 4.0]), np.array([[2.0]])],
    [np.array([np.inf, 0.0, 4.0]), np.array([[2.0]])],
    [np.array([1.0, 2.0, -3.0]), np.array([[-4.0]])],
]
SCALE = 8.0
RULES = [
    ("SGD", dict(lr=0.5)),
    ("SGD", dict(lr=0.5, momentum=0.9, weight_decay=0.1, maximize=True)),
    ("Adam", dict(lr=0.1, amsgrad=True)),
    ("AdamW", dict(lr=0.1, weight_decay=0.1)),
]
WAYS = ["step", "unscale_ first"]


def trained(library, name, values, way, fused, scaler):
    """Parameters, gradients and state after every step, as nested lists of arrays."""
    params = [library.tensor(start, dtype=library.float32, requires_grad=True) for start in STARTS]
    optimizer = getattr(library.optim, name)(params, fused=fused, **values)
    scaler.scale(library.tensor(1.0))
    history = []
    for gradients in STEPS:
        for p, g in zip(params, gradients, strict=True):
            p.grad = library.tensor(g, dtype=library.float32)
        if way != "step":
            scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        state = [value for p in params for value in optimizer.state[p].values() if value is not None]
        history.append([np.array(t.tolist()) for t in (*params, *(p.grad for p in params), *state)])
    assert not hasattr(optimizer, "grad_scale") and not hasattr(optimizer, "found_inf")
    return history, scaler.get_scale()


def close(ours, theirs):
    for step, (mine, wanted) in enumerate(zip(ours, theirs, strict=True)):
        assert len(mine) == len(wanted), step
        for a, b in zip(mine, wanted, strict=True):
            np.testing.assert_allclose(a, b, 2e-6, 1e-7, err_msg=f"step {step}")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("name", "values"), RULES)
def test_a_fused_step_is_a_step(name, values, way):
    ours, scale = trained(dt, name, values, way, True, GradScaler("cpu", init_scale=SCALE))
    plain, same = trained(dt, name, values, "unscale_ first", False, GradScaler("cpu", init_scale=SCALE))
    assert scale == same == SCALE / 2
    count = len(STARTS)
    for step in (0, 2):
        close([ours[step]], [plain[step]])
    skipped, before = ours[1], ours[0]
    assert all((a == b).all() for a, b in zip(skipped[:count], before[:count], strict=True))
    # A step that divides by itself and is skipped leaves gradients scaled.
    left = STEPS[1] if way == "step" else [g / SCALE for g in STEPS[1]]
    assert all((a == b).all() for a, b in zip(skipped[count : 2 * count], left, strict=True))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("name", "values"), RULES)
def test_as_in_pytorch(name, values, way, torch):
    ours, scale = trained(dt, name, values, way, True, GradScaler("cpu", init_scale=SCALE))
    theirs, wanted = trained(torch, name, values, way, True, torch.amp.GradScaler("cpu", init_scale=SCALE))
    assert scale == wanted
    close(ours, theirs)


def test_scale_and_flag_may_be_set_by_hand():
    p = dt.tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.SGD([p], lr=1.0, fused=True)
    p.grad = dt.tensor([4.0, 8.0])
    optimizer.grad_scale, optimizer.found_inf = dt.tensor(4.0), dt.tensor(0.0)
    optimizer.step()
    assert p.tolist() == [0.0, 0.0] and p.grad.tolist() == [1.0, 2.0]
    optimizer.found_inf = dt.tensor(1.0)
    optimizer.step()
    assert p.tolist() == [0.0, 0.0] and p.grad.tolist() == [1.0, 2.0]


def test_who_divides_by_itself():
    p = dt.tensor([1.0], requires_grad=True)
    for name, fused, does in [
        ("SGD", True, True),
        ("Adam", True, True),
        ("AdamW", True, True),
        ("Adagrad", True, True),
        ("SGD", False, False),
        ("Adam", None, False),
    ]:
        optimizer = getattr(optim, name)([p], fused=fused)
        assert getattr(optimizer, "_step_supports_amp_scaling", False) is does, (name, fused)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Adagrad"])
def test_complex_parameters_are_refused(name):
    p = dt.tensor([1 + 2j], requires_grad=True)
    p.grad = p.detach()
    optimizer = getattr(optim, name)([p], fused=True)
    with pytest.raises(RuntimeError, match=r"`fused=True` requires all the params to be floating point"):
        optimizer.step()
