"""Numbers beside half tensors: in which precision each op takes them, bit by bit against float32 in NumPy."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import devtensor as dt
from devtensor import func

HALVES = {"float16": np.dtype(np.float16), "bfloat16": np.dtype(ml_dtypes.bfloat16)}
NUMBERS = (0.3, -1.7, 2.71828, 1e-3, 1001, 100_000.7)
ONCE = {
    "x * s": (lambda x, s: x * s, lambda x, s: x * s),
    "s * x": (lambda x, s: s * x, lambda x, s: x * s),
    "x / s": (lambda x, s: x / s, lambda x, s: x / s),
    "x // s": (lambda x, s: x // s, lambda x, s: x // s),
    "mul_": (lambda x, s: x.clone().mul_(s), lambda x, s: x * s),
    "div_": (lambda x, s: x.clone().div_(s), lambda x, s: x / s),
    "mul out": (lambda x, s: dt.mul(x, s, out=dt.empty_like(x)), lambda x, s: x * s),
    "floor": (lambda x, s: dt.div(x, s, rounding_mode="floor"), lambda x, s: x // s),
    "trunc": (lambda x, s: dt.div(x, s, rounding_mode="trunc"), lambda x, s: np.trunc(x / s)),
    "0-d": (lambda x, s: x * dt.tensor(float(s), device=x.device), lambda x, s: x * s),
    "0-d of float64": (lambda x, s: x / dt.tensor(s, device=x.device, dtype=dt.float64), lambda x, s: x / s),
    "0-d in place": (lambda x, s: x.clone().mul_(dt.tensor(float(s), device=x.device)), lambda x, s: x * s),
}
"""Ops that take the number in float32 and round once."""
TWICE = {
    "0-d * x": (lambda x, s: dt.tensor(float(s), device=x.device) * x, lambda x, s: x * s),
    "x % s": (lambda x, s: x % s, np.remainder),
    "x < s": (lambda x, s: x < s, np.less),
    "minimum": (lambda x, s: dt.minimum(x, dt.tensor(float(s), device=x.device)), np.minimum),
}
"""Ops on the processor that round the number to the half type first, on every device."""
SUMS = {"x + s": (lambda x, s: x + s, np.add), "s - x": (lambda x, s: s - x, lambda x, s: s - x)}
"""Ops that do so on the processor alone: with CUDA's arithmetic the number stays in float32."""


def drawn(name, size, device):
    halves = np.random.default_rng(3).normal(size=size).astype(np.float32).astype(HALVES[name])
    values = halves.astype(np.float32)
    return values, dt.tensor(values, device=device).to(getattr(dt, name))


def agree(found, expected, half):
    with np.errstate(over="ignore"):
        expected = expected if expected.dtype == bool else expected.astype(half)
    np.testing.assert_array_equal(found.cpu().double().numpy(), expected.astype(np.float64))


def in_float32(formula, x, number):
    with np.errstate(all="ignore"):
        return formula(x, np.float32(number))


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("case", ONCE)
@pytest.mark.parametrize("size", [(), (7,), (60, 3), (70_001,)], ids=str)
def test_rounded_once(case, name, size, device):
    ours, formula = ONCE[case]
    values, x = drawn(name, size, device)
    for number in NUMBERS:
        if size == () and "0-d" in case:
            continue
        found = ours(x, number)
        assert found.dtype is x.dtype
        agree(found, in_float32(formula, values, number), HALVES[name])


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("case", [*TWICE, *SUMS])
def test_rounded_first(case, name, device):
    ours, formula = (TWICE | SUMS)[case]
    values, x = drawn(name, (50,), device)
    wide = case in SUMS and case.split()[1] in "+-" and dt.device(device).type == "cuda"
    for number in NUMBERS[:4]:
        rounded = np.float32(number) if wide else np.float32(number).astype(HALVES[name])
        agree(ours(x, number), in_float32(formula, values, rounded), HALVES[name])


def test_the_difference_shows():
    assert (dt.tensor([1.3], dtype=dt.bfloat16) * 0.3).item() == 0.388671875


@pytest.mark.parametrize("name", HALVES)
def test_a_transposed_and_an_expanded_tensor(name, device):
    values, x = drawn(name, (40, 30), device)
    agree(x.T * 0.3, in_float32(np.multiply, values.T, 0.3), HALVES[name])
    wide, shown = np.broadcast_to(values[:, :1], (40, 9)), x[:, :1].expand(40, 9)
    agree(shown / 0.3, in_float32(np.divide, wide, 0.3), HALVES[name])


@pytest.mark.parametrize("name", HALVES)
def test_gradients_go_back_in_each_tensor_s_own_dtype(name, device):
    half = HALVES[name]
    values, x = drawn(name, (33,), device)
    up, g = drawn(name, (33,), device)
    for dtype in (dt.float32, dt.float64):
        x = x.detach().requires_grad_()
        s = dt.tensor(0.3, device=device, dtype=dtype, requires_grad=True)
        (x * s).backward(g)
        assert x.grad.dtype is x.dtype and s.grad.dtype is dtype
        agree(x.grad, in_float32(np.multiply, up, 0.3), half)
        terms = (up * values).astype(half).astype(np.float32)
        np.testing.assert_allclose(s.grad.item(), terms.sum(), rtol=2**-7)


def test_a_gradient_of_a_gradient(device):
    x = dt.tensor([1.0, 2.0], device=device, dtype=dt.bfloat16, requires_grad=True)
    s = dt.tensor(0.3, device=device, requires_grad=True)
    (first,) = dt.autograd.grad((x * x * s).sum(), x, create_graph=True)
    (second,) = dt.autograd.grad(first.sum(), s)
    assert second.dtype is dt.float32 and second.item() == 6.0


@pytest.mark.parametrize("name", HALVES)
def test_vmap_agrees(name, device):
    half = HALVES[name]
    values, x = drawn(name, (5, 4), device)
    agree(func.vmap(lambda row: row * 0.3)(x), in_float32(np.multiply, values, 0.3), half)
    agree(func.vmap(lambda row: row[0] / 0.3)(x), in_float32(np.divide, values[:, 0], 0.3), half)
    outside = dt.tensor(0.3, device=device)
    agree(func.vmap(lambda row: row * outside)(x), in_float32(np.multiply, values, 0.3), half)
    each = dt.linspace(0.1, 0.7, 5, device=device)
    found = func.vmap(lambda row, s: row * s)(x, each)
    assert found.dtype is x.dtype
    rounded = each.cpu().numpy().astype(half).astype(np.float32)
    agree(found, values * rounded[:, None], half)


@pytest.mark.parametrize("name", HALVES)
def test_captured_steps_agree(name, device):
    values, x = drawn(name, (6, 4), device)
    scale = dt.tensor(0.3, device=device)

    @dt.graph.capture
    def step(x):
        return x * 0.3, x * scale

    for _ in range(4):
        for found in step(x):
            agree(found, in_float32(np.multiply, values, 0.3), HALVES[name])


TERMS = {
    "add": (lambda x, y, z, s: dt.add(x, y, alpha=s), lambda x, y, z, s: x + s * y),
    "sub": (lambda x, y, z, s: x.sub(y, alpha=s), lambda x, y, z, s: x - s * y),
    "rsub": (lambda x, y, z, s: dt.rsub(x, y, alpha=s), lambda x, y, z, s: y - s * x),
    "add_": (lambda x, y, z, s: x.clone().add_(y, alpha=s), lambda x, y, z, s: x + s * y),
    "sub_": (lambda x, y, z, s: x.clone().sub_(y, alpha=s), lambda x, y, z, s: x - s * y),
    "lerp": (lambda x, y, z, s: dt.lerp(x, y, s), lambda x, y, z, s: x + (y - x) * s),
    "addcmul": (lambda x, y, z, s: dt.addcmul(x, y, z, value=s), lambda x, y, z, s: x + s * y * z),
    "addcdiv": (lambda x, y, z, s: dt.addcdiv(x, y, z, value=s), lambda x, y, z, s: x + s * y / z),
    "addcmul_": (lambda x, y, z, s: x.clone().addcmul_(y, z, value=s), lambda x, y, z, s: x + s * y * z),
}
"""Sums of terms that the processor rounds once."""
ROUNDED_ALPHA = {"add", "sub", "rsub", "add_", "sub_"}


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("case", TERMS)
@pytest.mark.parametrize("size", [(9,), (70_001,)], ids=str)
def test_terms_are_added_in_float32(case, name, size):
    ours, formula = TERMS[case]
    half = HALVES[name]
    rng = np.random.default_rng(5)
    values = [rng.normal(size=size).astype(half).astype(np.float32) for _ in range(3)]
    tensors = [dt.tensor(part).to(getattr(dt, name)) for part in values]
    number = np.float32(0.3123).astype(half) if case in ROUNDED_ALPHA else 0.3123
    agree(ours(*tensors, 0.3123), formula(*values, np.float32(number)), half)


def test_the_histories_of_scaled_sums(device):
    x, y = (dt.tensor([1.0, 2.0], device=device, dtype=dt.float16, requires_grad=True) for _ in range(2))
    out = dt.sub(x, y, alpha=0.5)
    assert out.grad_fn.name() == "SubBackward0"
    out.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0] and y.grad.tolist() == [-0.5, -0.5]
