"""Each optimizer against its formula in float64 NumPy, over 20 steps and several groups."""

from __future__ import annotations

import numpy as np
import pytest

import devtensor as dt
from devtensor import optim

STEPS = 20
SHAPES = ((3, 4), (5,), (2, 2))
# What the state keeps as single numbers, in float32 whatever the parameters are.
NUMBERS = {"step", "mu_product", "eta", "mu"}


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


def means(g, s, betas):
    """The running means of the gradient and of its square."""
    s["m"] = betas[0] * s.get("m", 0.0) + (1 - betas[0]) * g
    s["v"] = betas[1] * s.get("v", 0.0) + (1 - betas[1]) * g * g
    return s["m"], s["v"]


def decayed(p, g, lr, weight_decay, decoupled_weight_decay):
    return (p * (1 - lr * weight_decay), g) if decoupled_weight_decay else (p, g + weight_decay * p)


def nadam(
    p, g, s, t, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, momentum_decay=4e-3, decoupled=False
):
    p, g = decayed(p, g, lr, weight_decay, decoupled)
    m, v = means(g, s, betas)
    mu, ahead = (betas[0] * (1 - 0.5 * 0.96 ** (k * momentum_decay)) for k in (t, t + 1))
    s["product"] = s.get("product", 1.0) * mu
    step = (1 - mu) * g / (1 - s["product"]) + ahead * m / (1 - s["product"] * ahead)
    return p - lr * step / (np.sqrt(v / (1 - betas[1] ** t)) + eps)


def radam(p, g, s, t, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled=False):
    p, g = decayed(p, g, lr, weight_decay, decoupled)
    m, v = means(g, s, betas)
    m = m / (1 - betas[0] ** t)
    last = 2 / (1 - betas[1]) - 1
    rho = last - 2 * t * betas[1] ** t / (1 - betas[1] ** t)
    if rho <= 5:
        return p - lr * m
    r = np.sqrt((rho - 4) * (rho - 2) * last / ((last - 4) * (last - 2) * rho))
    return p - lr * m * r * np.sqrt(1 - betas[1] ** t) / (np.sqrt(v) + eps)


def adamax(p, g, s, t, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    g = g + weight_decay * p
    s["m"] = betas[0] * s.get("m", 0.0) + (1 - betas[0]) * g
    s["u"] = np.maximum(betas[1] * s.get("u", 0.0), np.abs(g) + eps)
    return p - lr / (1 - betas[0] ** t) * s["m"] / s["u"]


def adagrad(p, g, s, t, lr, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10):
    g = g + weight_decay * p
    s["sum"] = s.get("sum", initial_accumulator_value) + g * g
    return p - lr / (1 + (t - 1) * lr_decay) * g / (np.sqrt(s["sum"]) + eps)


def adadelta(p, g, s, t, lr, rho=0.9, eps=1e-6, weight_decay=0.0):
    g = g + weight_decay * p
    s["v"] = rho * s.get("v", 0.0) + (1 - rho) * g * g
    delta = np.sqrt(s.get("u", 0.0) + eps) / np.sqrt(s["v"] + eps) * g
    s["u"] = rho * s.get("u", 0.0) + (1 - rho) * delta * delta
    return p - lr * delta


def rmsprop(p, g, s, t, lr, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False):
    g = g + weight_decay * p
    s["v"] = alpha * s.get("v", 0.0) + (1 - alpha) * g * g
    s["m"] = alpha * s.get("m", 0.0) + (1 - alpha) * g
    quotient = g / (np.sqrt(s["v"] - s["m"] ** 2 * centered) + eps)
    s["b"] = momentum * s.get("b", 0.0) + quotient
    return p - lr * s["b"]


def rprop(p, g, s, t, lr, etas=(0.5, 1.2), step_sizes=(1e-6, 50), weight_decay=0.0):
    size, before = s.get("size", np.full_like(p, lr)), s.get("before", np.zeros_like(p))
    agree = np.sign(g * before)
    size = np.clip(size * np.select([agree > 0, agree < 0], [etas[1], etas[0]], 1.0), *step_sizes)
    s["size"], s["before"] = size, np.where(agree < 0, 0.0, g)
    return p - np.sign(s["before"]) * size


def asgd(p, g, s, t, lr, lambd=1e-4, alpha=0.75, t0=1e6, weight_decay=0.0):
    eta = s.get("eta", lr)
    p, g = p * (1 - lambd * eta), g + weight_decay * p
    s["eta"] = lr / (1 + lambd * lr * t) ** alpha
    return p - eta * g


def adafactor(p, g, s, t, lr, beta2_decay=-0.8, eps=(None, 1e-3), d=1.0, weight_decay=0.0):
    eps1 = np.finfo(np.float32).eps if eps[0] is None else eps[0]
    size = max(eps[1], np.sqrt(np.mean(p * p))) * min(lr, 1 / np.sqrt(t))
    p = p * (1 - lr * weight_decay)
    weight, squares = t**beta2_decay, g * g
    for name, axis in (("row", -1), ("col", -2)) if g.ndim > 1 else (("all", ()),):
        s[name] = s.get(name, 0.0) * (1 - weight) + weight * squares.mean(axis, keepdims=True)
    v = s["all"] if g.ndim < 2 else s["row"] @ s["col"] / np.maximum(s["row"].mean(-2, keepdims=True), eps1)
    u = g / np.sqrt(np.maximum(v, eps1**2))
    return p - size * u / max(1.0, np.sqrt(np.mean(u * u)) / d)


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
    ("NAdam", nadam, dict(lr=0.01)),
    ("NAdam", nadam, dict(lr=0.01, betas=(0.7, 0.9), momentum_decay=0.1, decoupled_weight_decay=True)),
    ("RAdam", radam, dict(lr=0.01)),
    ("RAdam", radam, dict(lr=0.01, betas=(0.8, 0.6))),
    ("RAdam", radam, dict(lr=0.01, betas=(0.8, 0.95), eps=1e-4, decoupled_weight_decay=True)),
    ("Adamax", adamax, dict(lr=0.01)),
    ("Adamax", adamax, dict(lr=0.02, betas=(0.5, 0.8), eps=1e-2, weight_decay=0.1)),
    ("Adagrad", adagrad, dict(lr=0.1)),
    ("Adagrad", adagrad, dict(lr=0.1, lr_decay=0.5, initial_accumulator_value=0.3, eps=1e-3)),
    ("Adadelta", adadelta, dict(lr=1.0)),
    ("Adadelta", adadelta, dict(lr=0.5, rho=0.7, eps=1e-3, weight_decay=0.1)),
    ("RMSprop", rmsprop, dict(lr=0.01)),
    ("RMSprop", rmsprop, dict(lr=0.01, alpha=0.8, eps=1e-3, momentum=0.6, weight_decay=0.1)),
    ("RMSprop", rmsprop, dict(lr=0.01, alpha=0.7, eps=1e-2, momentum=0.5, centered=True)),
    ("Rprop", rprop, dict(lr=0.01)),
    ("Rprop", rprop, dict(lr=0.02, etas=(0.3, 1.7), step_sizes=(0.01, 0.1))),
    ("ASGD", asgd, dict(lr=0.01)),
    ("ASGD", asgd, dict(lr=0.1, lambd=0.1, alpha=0.5, weight_decay=0.1)),
    ("Adafactor", adafactor, dict(lr=0.05)),
    ("Adafactor", adafactor, dict(lr=0.3, beta2_decay=-0.5, eps=(1e-3, 0.1), d=1.5, weight_decay=0.1)),
]
IDS = [f"{name}-{'-'.join(values)}" for name, _, values in RULES]


def gradients(seed=1):
    """One list of gradients a step; the second parameter has none in some steps."""
    draw = np.random.default_rng(seed)
    for step in range(STEPS):
        found = [draw.normal(size=shape) * (10.0 if step == 5 else 1.0) for shape in SHAPES]
        yield [None if step % 7 == 3 and place == 1 else g for place, g in enumerate(found)]


def in_words(values):
    """Hyperparameters as the formulas call them."""
    return {name.replace("decoupled_weight_decay", "decoupled"): value for name, value in values.items()}


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize(("name", "rule", "values"), RULES, ids=IDS)
def test_rule_agrees_with_its_formula(device, name, rule, values, maximize):
    starts = [np.random.default_rng(0).normal(size=shape) for shape in SHAPES]
    params = [dt.tensor(start, dtype=dt.float32, device=device, requires_grad=True) for start in starts]
    other = {"lr": 0.05} if name == "Rprop" else {"lr": 0.05, "weight_decay": 0.2}
    groups = [{"params": params[:2]}, {"params": params[2], **other}]
    optimizer = getattr(optim, name)(groups, maximize=maximize, **values)
    settings = [in_words(values), in_words(values), in_words(values | other)]
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
        wanted = rule(wanted, np.array([0.5, 0.25, -1.0]), state, t, **in_words(values))
        optimizer.step()
    assert p.dtype.name == dtype
    kept = {key: value.dtype.name for key, value in optimizer.state[p].items()}
    assert kept == {key: "float32" if key in NUMBERS else dtype for key in kept}
    exact = not kept.keys() & {"mu_product", "eta"}
    tolerance = {"float16": 4e-3, "bfloat16": 3e-2, "float64": 1e-12 if exact else 1e-6}[dtype]
    np.testing.assert_allclose(p.detach().double().numpy(), wanted, rtol=tolerance, atol=tolerance)


def test_gradient_is_left_alone():
    for name, _, values in RULES:
        p = dt.tensor([1.0, 2.0], requires_grad=True)
        p.grad = dt.tensor([0.3, -0.7])
        getattr(optim, name)([p], maximize=True, **values).step()
        assert p.grad.tolist() == dt.tensor([0.3, -0.7]).tolist(), name


@pytest.mark.parametrize(("name", "rule", "values"), RULES, ids=IDS)
def test_complex_parameters_are_pairs_of_real_ones(name, rule, values):
    if name == "Adafactor":
        p = dt.tensor([1 + 2j], requires_grad=True)
        p.grad = p.detach()
        with pytest.raises(RuntimeError, match="does not support complex parameters"):
            optim.Adafactor([p]).step()
        return
    pairs = np.random.default_rng(0).normal(size=(4, 2))
    whole = dt.tensor(pairs[:, 0] + 1j * pairs[:, 1], requires_grad=True)
    parts = dt.tensor(pairs, requires_grad=True)
    optimizers = [getattr(optim, name)([p], **values) for p in (whole, parts)]
    for seed in range(1, 6):
        g = np.random.default_rng(seed).normal(size=(4, 2))
        whole.grad, parts.grad = dt.tensor(g[:, 0] + 1j * g[:, 1]), dt.tensor(g)
        for optimizer in optimizers:
            optimizer.step()
    assert whole.dtype is dt.complex128
    assert dt.view_as_real(whole.detach()).tolist() == parts.tolist()
    assert all(
        value.is_complex() == (key not in NUMBERS) for key, value in optimizers[0].state[whole].items()
    )


# Those whose step is a smooth function of the gradients, and which can be asked to be differentiable.
SMOOTH = [row for row in RULES if row[0] not in ("Adafactor", "Rprop")]


@pytest.mark.parametrize(("name", "rule", "values"), SMOOTH)
def test_three_differentiable_steps_have_the_slope_of_finite_differences(name, rule, values):

    def end(scale):
        p = dt.tensor([1.0, -2.0, 0.5], dtype=dt.float64).requires_grad_() * 1.0
        optimizer = getattr(optim, name)([p], differentiable=True, **values)
        for _ in range(3):
            p.grad = (p.clone() ** 3) * scale
            optimizer.step()
        return p.sum()

    scale = dt.tensor(0.7, dtype=dt.float64, requires_grad=True)
    end(scale).backward()
    step = 1e-5
    with dt.no_grad():
        slope = (end(scale + step) - end(scale - step)).item() / (2 * step)
    assert scale.grad.item() == pytest.approx(slope, rel=2e-5, abs=1e-7)


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
