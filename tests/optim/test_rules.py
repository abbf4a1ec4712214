"""Each optimizer against its formula in float64 NumPy, over 20 steps and several groups."""

from __future__ import annotations

import numpy as np
import pytest

import devtensor as dt
from devtensor import optim

STEPS = 20
SHAPES = ((3, 4), (5,), (2, 2))


def sgd(p, g, s, t, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    g = g + weight_decay * p
    if momentum:
        s["v"] = momentum * s["v"] + (1 - dampening) * g if "v" in s else g
        g = g + momentum * s["v"] if nesterov else s["v"]
    return p - lr * g


def adam(p, g, s, t, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, decoupled=False):
    p = p * (1 - lr * weight_decay) if decoupled else p
    g = g if decoupled else g + weight_decay * p
    s["m"] = betas[0] * s.get("m", 0.0) + (1 - betas[0]) * g
    s["v"] = betas[1] * s.get("v", 0.0) + (1 - betas[1]) * g * g
    s["top"] = np.maximum(s.get("top", 0.0), s["v"])
    v = (s["top"] if amsgrad else s["v"]) / (1 - betas[1] ** t)
    return p - lr * s["m"] / (1 - betas[0] ** t) / (np.sqrt(v) + eps)


def adamw(p, g, s, t, lr, weight_decay=1e-2, **rest):
    return adam(p, g, s, t, lr, weight_decay=weight_decay, decoupled=True, **rest)


RULES = [
    ("SGD", sgd, dict(lr=0.1)),
    ("SGD", sgd, dict(lr=0.1, momentum=0.9)),
    ("SGD", sgd, dict(lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.01)),
    ("SGD", sgd, dict(lr=0.05, momentum=0.8, nesterov=True)),
    ("Adam", adam, dict(lr=0.01)),
    ("Adam", adam, dict(lr=0.01, betas=(0.0, 0.9))),
    ("Adam", adam, dict(lr=0.01, amsgrad=True, weight_decay=0.1)),
    ("AdamW", adamw, dict(lr=0.01)),
    ("AdamW", adamw, dict(lr=0.02, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.3, amsgrad=True)),
]
IDS = [f"{name}-{'-'.join(values)}" for name, _, values in RULES]


def gradients(seed=1):
    """One list of gradients a step; the second parameter has none in some steps."""
    draw = np.random.default_rng(seed)
    for step in range(STEPS):
        found = [draw.normal(size=shape) * (10.0 if step == 5 else 1.0) for shape in SHAPES]
        yield [None if step % 7 == 3 and place == 1 else g for place, g in enumerate(found)]


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize(("name", "rule", "values"), RULES, ids=IDS)
def test_rule_agrees_with_its_formula(device, name, rule, values, maximize):
    starts = [np.random.default_rng(0).normal(size=shape) for shape in SHAPES]
    params = [dt.tensor(start, dtype=dt.float32, device=device, requires_grad=True) for start in starts]
    groups = [{"params": params[:2]}, {"params": params[2], "lr": 0.05, "weight_decay": 0.2}]
    optimizer = getattr(optim, name)(groups, maximize=maximize, **values)
    settings = [values, values, values | {"lr": 0.05, "weight_decay": 0.2}]
    expected, states, counts = list(starts), [{} for _ in starts], [0 for _ in starts]
    for found in gradients():
        for place, g in enumerate(found):
            params[place].grad = None if g is None else dt.tensor(g, dtype=dt.float32, device=device)
            if g is not None:
                counts[place] += 1
                signed = -g if maximize else g
                expected[place] = rule(
                    expected[place], signed, states[place], counts[place], **settings[place]
                )
        optimizer.step()
    for p, wanted in zip(params, expected, strict=True):
        np.testing.assert_allclose(p.detach().cpu().numpy(), wanted, rtol=3e-6, atol=3e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize(("name", "rule", "values"), RULES, ids=IDS)
def test_other_dtypes_keep_their_dtype(name, rule, values, dtype):
    p = dt.tensor([1.0, -2.0, 0.5], dtype=dtype, requires_grad=True)
    optimizer = getattr(optim, name)([p], **values)
    wanted, state = np.array([1.0, -2.0, 0.5]), {}
    for t in range(1, 4):
        p.grad = dt.tensor([0.5, 0.25, -1.0], dtype=dtype)
        wanted = rule(wanted, np.array([0.5, 0.25, -1.0]), state, t, **values)
        optimizer.step()
    assert p.dtype.name == dtype
    kept = {key: value.dtype.name for key, value in optimizer.state[p].items()}
    assert kept == {key: "float32" if key == "step" else dtype for key in kept}
    tolerance = {"float16": 4e-3, "bfloat16": 3e-2, "float64": 1e-6 if values.get("dampening") else 1e-12}[
        dtype
    ]
    np.testing.assert_allclose(p.detach().double().numpy(), wanted, rtol=tolerance, atol=tolerance)


def test_gradient_is_left_alone():
    for name, _, values in RULES:
        p = dt.tensor([1.0, 2.0], requires_grad=True)
        p.grad = dt.tensor([0.3, -0.7])
        getattr(optim, name)([p], maximize=True, **values).step()
        assert p.grad.tolist() == dt.tensor([0.3, -0.7]).tolist(), name


def test_differentiable_step_reaches_the_start():
    start = dt.tensor([1.0, 2.0], dtype=dt.float64, requires_grad=True)
    p = start.clone()
    p.grad = start * start * 3.0
    optim.SGD([p], lr=0.1, differentiable=True).step()
    p.sum().backward()
    np.testing.assert_allclose(start.grad.numpy(), 1 - 0.1 * 6 * np.array([1.0, 2.0]), rtol=1e-12)


def test_learning_rate_may_be_a_tensor_or_change_between_steps():
    p, q = (dt.tensor([1.0], requires_grad=True) for _ in range(2))
    rate = dt.tensor(0.5, dtype=dt.float64)
    first, second = optim.SGD([p], lr=rate), optim.SGD([q], lr=0.5)
    for lr in (0.5, 0.25):
        rate.fill_(lr)
        second.param_groups[0]["lr"] = lr
        for tensor, optimizer in ((p, first), (q, second)):
            tensor.grad = dt.tensor([1.0])
            optimizer.step()
    assert p.item() == q.item() == 0.25
