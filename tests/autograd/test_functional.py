"""vjp, jvp, vhp, hvp, jacobian and hessian of functions whose derivatives are known."""

from __future__ import annotations

import pytest

import devtensor as torch
from devtensor.autograd import functional as F

X = torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], dtype=torch.float64)
Y = torch.tensor([0.7, 0.8, 0.9], dtype=torch.float64)
V = torch.arange(6.0, dtype=torch.float64).reshape(2, 3)
PAIR = torch.tensor([1.0, 2.0], dtype=torch.float64)
BOTH = pytest.mark.parametrize("create_graph", [False, True])


def rows(a):
    return (a * a).sin().sum(1)


def two(a, b):
    return (a * b).exp(), a.sum(0) * b


def scalar(a, b):
    return (a * b).exp().sum()


def close(found, expected) -> None:
    torch.testing.assert_close(found.detach(), expected)


def slope() -> torch.Tensor:
    """The derivative of sin(x^2)."""
    return 2 * X * (X * X).cos()


@BOTH
def test_vjp(create_graph):
    out, found = F.vjp(rows, X, PAIR, create_graph=create_graph)
    close(out, rows(X))
    close(found, PAIR[:, None] * slope())
    outs, (by_a, by_b) = F.vjp(two, (X, Y), (V, Y), create_graph=create_graph)
    assert isinstance(outs, tuple) and outs[0].requires_grad is by_a.requires_grad is create_graph
    e = (X * Y).exp()
    close(by_a, V * e * Y + (Y * Y).expand(2, 3))
    close(by_b, (V * e * X).sum(0) + X.sum(0) * Y)
    close(F.vjp(lambda a: (a * a).sum(), Y)[1], 2 * Y)


@BOTH
def test_jvp(create_graph):
    out, found = F.jvp(rows, X, V, create_graph=create_graph)
    close(out, rows(X))
    close(found, (slope() * V).sum(1))
    assert found.requires_grad is create_graph
    _, (first, second) = F.jvp(two, (X, Y), (V, Y), create_graph=create_graph)
    close(first, (X * Y).exp() * (V * Y + X * Y))
    close(second, V.sum(0) * Y + X.sum(0) * Y)


@BOTH
@pytest.mark.parametrize("product", [F.vhp, F.hvp])
def test_products_with_hessians(product, create_graph):
    out, found = product(lambda a: (a**3).sum(), Y, Y, create_graph=create_graph)
    close(out, (Y**3).sum())
    close(found, 6 * Y * Y)
    _, (by_a, by_b) = product(lambda a, b: (a * a * b).sum(), (Y, Y), (Y, 2 * Y), create_graph=create_graph)
    close(by_a, 2 * Y * Y + 4 * Y * Y)
    close(by_b, 2 * Y * Y)


@BOTH
def test_jacobians(create_graph):
    by_rows = F.jacobian(rows, X, create_graph=create_graph)
    assert by_rows.shape == (2, 2, 3) and by_rows.requires_grad is create_graph
    close(by_rows, torch.eye(2, dtype=torch.float64)[:, :, None] * slope())
    found = F.jacobian(lambda a, b: (a * b, a.sum()), (Y, 2 * Y), create_graph=create_graph)
    close(found[0][0], (2 * Y).diag())
    close(found[0][1], Y.diag())
    close(found[1][0], torch.ones(3, dtype=torch.float64))
    close(found[1][1], torch.zeros(3, dtype=torch.float64))
    ahead = F.jacobian(lambda a, b: (a * b, a.sum()), (Y, 2 * Y), vectorize=True, strategy="forward-mode")
    for row, other in zip(found, ahead, strict=True):
        for one, same in zip(row, other, strict=True):
            close(one, same)
    assert isinstance(F.jacobian(lambda a: (rows(a),), (X,)), tuple)


@BOTH
def test_hessians(create_graph):
    close(F.hessian(lambda a: (a**3).sum(), Y, create_graph=create_graph), (6 * Y).diag())
    found = F.hessian(lambda a, b: (a * a * b).sum(), (Y, Y), create_graph=create_graph)
    for (i, j), expected in {(0, 0): 2 * Y, (0, 1): 2 * Y, (1, 0): 2 * Y, (1, 1): 0 * Y}.items():
        close(found[i][j], expected.diag())
    close(F.hessian(lambda a: a.sum(), Y), torch.zeros(3, 3, dtype=torch.float64))


def test_results_can_be_differentiated_again():
    x = Y.clone().requires_grad_()
    found = F.jacobian(lambda a: a**3, x, create_graph=True)
    (g,) = torch.autograd.grad(found.sum(), x)
    close(g, 6 * Y)
    _, found = F.jvp(lambda a: a**3, x, Y, create_graph=True)
    (g,) = torch.autograd.grad(found.sum(), x)
    close(g, 6 * Y * Y)
    assert x.grad is None


STRICT = {
    "outputs are constant": lambda s: F.jacobian(lambda a: torch.ones(2), Y, strict=s),
    "an input is not used": lambda s: F.vjp(lambda a, b: a * 2, (Y, Y), Y, strict=s),
    "an output is constant": lambda s: F.jvp(lambda a: (a * 2, torch.ones(2)), Y, Y, strict=s),
    "linear: hvp": lambda s: F.hvp(lambda a: a.sum(), Y, Y, strict=s),
    "linear: vhp": lambda s: F.vhp(lambda a: a.sum(), Y, Y, strict=s),
    "linear: hessian": lambda s: F.hessian(lambda a: a.sum(), Y, strict=s),
    "a constant jacobian": lambda s: F.jacobian(lambda a: a * 2, Y, strict=s, create_graph=True),
}


@pytest.mark.parametrize("name", STRICT)
def test_strict_refuses_what_does_not_depend(name):
    STRICT[name](False)
    with pytest.raises(RuntimeError, match=r"strict|independent|does not require"):
        STRICT[name](True)


@pytest.mark.parametrize(
    ("action", "error"),
    [
        (lambda: F.vjp(rows, X), RuntimeError),
        (lambda: F.vjp(rows, X, torch.ones(5)), RuntimeError),
        (lambda: F.vjp(rows, X, (PAIR, PAIR)), RuntimeError),
        (lambda: F.vjp(rows, 3), TypeError),
        (lambda: F.vjp(rows, [X]), TypeError),
        (lambda: F.vjp(lambda a: 3, X), TypeError),
        (lambda: F.hvp(rows, X, V), RuntimeError),
        (lambda: F.hessian(rows, X), RuntimeError),
        (lambda: F.hessian(lambda a: (a.sum(),), X), RuntimeError),
        (lambda: F.jvp(rows, X), RuntimeError),
        (lambda: F.jacobian(rows, X, strategy="some"), ValueError),
        (lambda: F.jacobian(rows, X, strategy="forward-mode"), NotImplementedError),
    ],
)
def test_refusals(action, error):
    with pytest.raises(error, match=r"\["):
        action()
