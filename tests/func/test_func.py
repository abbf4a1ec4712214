"""Transforms of functions: what they give, how they nest, and what they refuse."""

from __future__ import annotations

import pytest

import devtensor as torch
from devtensor import func, nn
from devtensor.func import grad, hessian, jacfwd, jacrev, jvp, linearize, vjp, vmap

Y = torch.tensor([0.7, 0.8, 0.9], dtype=torch.float64)
X = torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], dtype=torch.float64)
ONES = torch.ones(3, dtype=torch.float64)


def cubes(a):
    return (a**3).sum()


def close(found, expected) -> None:
    torch.testing.assert_close(found, expected)


def test_gradients_of_functions():
    found = grad(cubes)(Y)
    close(found, 3 * Y * Y)
    assert not found.requires_grad
    close(grad(lambda a, b: (a * b).sum(), argnums=1)(Y, 2 * Y), Y)
    close(grad(lambda a, b: (a * b).sum(), argnums=-1)(Y, 2 * Y), Y)
    both = grad(lambda a, b: (a * b).sum(), argnums=(0, 1))(Y, 2 * Y)
    assert isinstance(both, tuple)
    close(both[0], 2 * Y)
    found, value = func.grad_and_value(cubes)(Y)
    close(value, cubes(Y))
    found, (value, aux) = func.grad_and_value(lambda a: (cubes(a), {"a": a * 2}), has_aux=True)(Y)
    close(aux["a"], 2 * Y)
    assert not aux["a"].requires_grad and not value.requires_grad
    close(grad(lambda a: (cubes(a), a), has_aux=True)(Y)[1], Y)


def test_nested_arguments_give_nested_gradients():
    found = grad(lambda p, x: (p["w"] * x + p["b"][0]).sum())({"w": Y, "b": [torch.ones(())]}, 2 * Y)
    close(found["w"], 2 * Y)
    close(found["b"][0], torch.tensor(3.0))


def test_gradients_that_are_not_there_are_zeros():
    found = grad(lambda a, b: a.sum(), argnums=(0, 1))(Y, Y)
    close(found[1], 0 * Y)
    close(grad(lambda a: torch.ones(()))(Y), 0 * Y)


def test_transforms_nest():
    close(grad(lambda a: grad(cubes)(a).sum())(Y), 6 * Y)
    close(grad(lambda a: grad(lambda b: grad(cubes)(b).sum())(a).sum())(Y), 6 * ONES)
    close(grad(lambda a: jvp(cubes, (a,), (ONES,))[1])(Y), 6 * Y)
    close(jvp(grad(cubes), (Y,), (ONES,))[1], 6 * Y)
    close(jvp(lambda a: jvp(lambda b: b**3, (a,), (ONES,))[1], (Y,), (ONES,))[1], 6 * Y)
    close(vmap(grad(cubes))(X), 3 * X * X)
    close(grad(lambda a: vmap(cubes)(a).sum())(X), 3 * X * X)


def test_history_outside_is_seen_through_and_none_is_left():
    w = Y.clone().requires_grad_()
    inside = grad(lambda a: (a * a * w).sum())(X[0])
    (g,) = torch.autograd.grad(inside.sum(), w)
    close(g, 2 * X[0])
    through = grad(cubes)(w)
    close(torch.autograd.grad(through.sum(), w)[0], 6 * Y)
    with torch.no_grad():
        found = grad(lambda a: (a * a * w).sum())(X[0])
    assert not found.requires_grad
    close(found, (2 * X[0] * w).detach())
    assert w.grad is None


def test_vjp_gives_a_function():
    out, back = vjp(lambda a, b: (a * b, a.sum()), X[0], Y)
    assert isinstance(out, tuple)
    one = torch.ones((), dtype=torch.float64)
    for factor in (1, 2):
        by_a, by_b = back((factor * ONES, one))
        close(by_a, factor * Y + 1)
        close(by_b, factor * X[0])
    out, back, aux = vjp(lambda a: (a * 2, a + 1), Y, has_aux=True)
    close(aux, Y + 1)
    close(back(ONES)[0], 2 * ONES)
    with pytest.raises(RuntimeError, match="structure of cotangents"):
        vjp(lambda a: (a, a), Y)[1](ONES)


def test_jvp_and_linearize():
    out, found = jvp(lambda a, b: {"product": a * b, "other": a}, (X[0], Y), (ONES, 2 * ONES))
    close(found["product"], Y + 2 * X[0])
    close(found["other"], ONES)
    out, forward = linearize(lambda a: a**3, Y)
    close(out, Y**3)
    for factor in (1, 2):
        close(forward(factor * ONES), 3 * factor * Y * Y)
    assert not found["product"].requires_grad and not out.requires_grad
    close(jvp(lambda a: (a, torch.ones(2)), (Y,), (ONES,))[1][1], torch.zeros(2))
    with pytest.raises(RuntimeError, match="independent"):
        jvp(lambda a: torch.ones(2), (Y,), (ONES,), strict=True)


@pytest.mark.parametrize("jacobian", [jacrev, jacfwd])
def test_jacobians(jacobian):
    close(jacobian(lambda a: a**2)(Y), (2 * Y).diag())
    found = jacobian(lambda a, b: (a.sum(0) * b, b), argnums=(0, 1))(X, Y)
    assert found[0][0].shape == (3, 2, 3)
    close(found[0][1], X.sum(0).diag())
    close(found[1][0], torch.zeros(3, 2, 3, dtype=torch.float64))
    close(jacobian(lambda p: {"o": p["a"] * 2})({"a": Y})["o"]["a"], 2 * torch.eye(3, dtype=torch.float64))
    close(jacobian(jacobian(lambda a: a**3))(Y).sum((1, 2)), 6 * Y)
    close(jacobian(lambda a: (a * 2, a), has_aux=True)(Y)[1], Y)


def test_hessians():
    close(hessian(cubes)(Y), (6 * Y).diag())
    found = hessian(lambda a, b: (a * a * b).sum(), argnums=(0, 1))(Y, Y)
    close(found[0][1], (2 * Y).diag())
    close(found[1][1], torch.zeros(3, 3, dtype=torch.float64))


def test_vmap_maps_over_any_dim():
    close(vmap(lambda a: (a * a).sum())(X), (X * X).sum(1))
    close(vmap(lambda a: (a * a).sum(), in_dims=1)(X), (X * X).sum(0))
    close(vmap(lambda a: a * 2, in_dims=-1, out_dims=-1)(X), 2 * X)
    close(vmap(lambda a, b: a * b, in_dims=(0, None))(X, Y), X * Y)
    twice, total = vmap(lambda a: (a * 2, a.sum()), out_dims=(1, 0))(X)
    close(twice, 2 * X.t())
    close(total, X.sum(1))
    close(vmap(lambda d, z: {"o": d["a"] * z}, in_dims=({"a": 0}, None))({"a": X}, Y)["o"], X * Y)
    close(vmap(vmap(lambda a, b: a * b, (0, None)), (None, 0))(Y, Y), Y[:, None] * Y)
    close(vmap(lambda a, b: (a, b), (0, None), (0, None))(X, Y)[1], Y)
    close(vmap(lambda a, b=None: a * b)(X, b=Y), X * Y)
    assert vmap(lambda a: a * 2)(torch.ones(0, 3)).shape == (0, 3)
    assert torch.vmap is vmap


def test_gradients_of_every_example():
    found = vmap(grad(lambda w, a: (w * a).sum() ** 2), (None, 0))(Y, X)
    close(found, torch.stack([2 * (Y * row).sum() * row for row in X]))


def test_random_numbers_in_vmap():
    with pytest.raises(RuntimeError, match="random operation"):
        vmap(lambda a: a + torch.rand(3))(X)
    state = torch.get_rng_state()
    same = vmap(lambda a: torch.rand(3), randomness="same")(X)
    assert torch.equal(same[0], same[1])
    torch.set_rng_state(state)
    torch.rand(3)
    after = torch.rand(3)
    torch.set_rng_state(state)
    vmap(lambda a: torch.rand(3), randomness="same")(X)
    assert torch.equal(torch.rand(3), after)
    different = vmap(lambda a: torch.rand(3), randomness="different")(X)
    assert not torch.equal(different[0], different[1])


def test_gradients_of_vmap():
    """What stands around vmap sees through it, and what stops gradients inside stops them outside."""

    def still(a):
        with torch.no_grad():
            c = a * a
        return c * a + (a * a).detach() * a

    close(grad(lambda q: vmap(lambda a: a**3)(q).sum())(X), 3 * X**2)
    close(grad(lambda q: vmap(still)(q).sum())(X), 2 * X**2)
    w = Y.clone().requires_grad_()
    vmap(lambda a: (a * w).sum() ** 2)(X).sum().backward()
    close(w.grad, 2 * ((X @ Y)[:, None] * X).sum(0))
    close(vmap(vmap(grad(lambda a, b: a * b**2, 1), (0, None)), (None, 0))(Y, Y), 2 * Y[:, None] * Y)
    with torch.no_grad():
        assert not vmap(grad(lambda a: (a * w).sum()))(X).requires_grad


def test_vmap_over_writes_and_places():
    def written(a):
        made = torch.zeros_like(a)
        made[0] = a[1]
        made[1:] += a.new_ones(2) * a[0]
        return made

    close(vmap(written)(X), torch.stack([written(row) for row in X]))
    places = torch.tensor([2, 0])
    close(vmap(lambda a, k: a[k])(X, places), torch.stack([X[0, 2], X[1, 0]]))
    close(vmap(lambda k: Y[k])(places), Y[places])
    with pytest.raises(RuntimeError, match="in-place"):
        vmap(lambda a: torch.zeros(3, dtype=torch.float64).add_(a))(X)


@pytest.mark.parametrize("ask", [bool, float, torch.Tensor.item, torch.Tensor.tolist, torch.nonzero])
def test_vmap_cannot_follow_numbers_into_python(ask):
    with pytest.raises(RuntimeError, match="vmap"):
        vmap(lambda a: ask(a.sum()))(X)


def test_vmap_of_what_asks_all_examples_at_once():
    square = torch.eye(2, dtype=torch.float64) + torch.arange(12.0).reshape(3, 2, 2)
    close(vmap(torch.inverse)(square), torch.inverse(square))
    close(vmap(torch.linalg.solve, (0, None))(square, Y[:2]), torch.linalg.solve(square, Y[:2, None])[..., 0])
    assert vmap(torch.linalg.eigvals)(square).shape == (3, 2)
    with pytest.raises(RuntimeError, match="zero"):
        vmap(torch.inverse)(torch.zeros(2, 3, 3))


def test_vmap_in_lots():
    rows = torch.arange(10.0).reshape(5, 2)
    seen = []
    found, total = vmap(lambda a: (seen.append(1) or a * 2, a.sum()), out_dims=(1, 0), chunk_size=2)(rows)
    close(found, 2 * rows.t())
    close(total, rows.sum(1))
    assert len(seen) == 3
    close(jacrev(lambda a: a**2, chunk_size=2)(Y), (2 * Y).diag())


def test_draws_of_nested_examples_are_all_different():
    torch.manual_seed(0)
    drawn = vmap(vmap(lambda a: torch.rand(2), randomness="different"), randomness="different")(
        torch.ones(3, 4)
    )
    after = torch.rand(1)
    torch.manual_seed(0)
    assert drawn.unique().numel() == 24
    assert torch.equal(torch.rand(25)[24:], after)


@pytest.mark.parametrize(
    ("action", "error"),
    [
        (lambda: vmap(lambda a: a, out_dims=None)(X), ValueError),
        (lambda: vmap(lambda a: a)(3.0), ValueError),
        (lambda: vmap(lambda a: a, in_dims=5)(X), ValueError),
        (lambda: vmap(lambda a, b: a)(X, Y), ValueError),
        (lambda: vmap(lambda a: 3)(X), ValueError),
        (lambda: vmap(lambda a: a, in_dims=None)(X), ValueError),
        (lambda: vmap(lambda a, b: a, in_dims=(None, None))(X, X), ValueError),
        (lambda: vmap(lambda a: a, in_dims=(0, 0))(X), ValueError),
        (lambda: vmap(lambda a: a)(), ValueError),
        (lambda: vmap(lambda a: a, out_dims=7)(X), IndexError),
        (lambda: vmap(lambda a: a, out_dims=(0, 0))(X), ValueError),
        (lambda: vmap(lambda a: a, randomness="some"), RuntimeError),
        (lambda: vmap(lambda a: a, chunk_size=0), ValueError),
        (lambda: grad(lambda a: a)(Y), RuntimeError),
        (lambda: grad(lambda a: 3.0)(Y), RuntimeError),
        (lambda: grad(cubes, has_aux=True)(Y), RuntimeError),
        (lambda: grad(cubes, argnums=5)(Y), RuntimeError),
        (lambda: grad(lambda a, b: cubes(a), argnums=(0, 0))(Y, Y), RuntimeError),
        (lambda: jvp(cubes, Y, Y), RuntimeError),
        (lambda: jvp(cubes, (Y,), (X,)), RuntimeError),
        (lambda: jacrev(cubes, chunk_size=0), ValueError),
    ],
)
def test_refusals(action, error):
    with pytest.raises(error, match=r"\["):
        action()


def linear() -> nn.Linear:
    made = nn.Linear(3, 2, dtype=torch.float64)
    with torch.no_grad():
        made.weight.copy_(X)
        made.bias.copy_(torch.tensor([1.0, 2.0]))
    return made


def test_modules_with_other_parameters():
    layer = linear()
    params = {name: p.detach() * 2 for name, p in layer.named_parameters()}
    expected = Y @ (2 * X.t()) + torch.tensor([2.0, 4.0], dtype=torch.float64)
    close(func.functional_call(layer, params, (Y,)), expected)
    close(func.functional_call(layer, ({"weight": params["weight"]}, {"bias": params["bias"]}), Y), expected)
    close(func.functional_call(layer, params, kwargs={"input": Y}), expected)
    found = grad(lambda p: func.functional_call(layer, p, Y).sum())(params)
    close(found["weight"], Y.expand(2, 3))
    close(layer.weight.detach(), X)
    assert isinstance(layer.weight, nn.Parameter)


def test_what_a_module_binds_anew_is_handed_back():
    norm = nn.BatchNorm1d(3, dtype=torch.float64)
    state = {name: value.clone() for name, value in norm.named_buffers()}
    func.functional_call(norm, state, X)
    assert state["num_batches_tracked"].item() == 1 and norm.num_batches_tracked.item() == 0
    close(norm.running_mean, torch.zeros(3, dtype=torch.float64))
    close(state["running_mean"], 0.1 * X.mean(0))


def test_tied_weights_stay_tied():
    chain = nn.Sequential(nn.Linear(3, 3, False), nn.Linear(3, 3, False)).double()
    chain[1].weight = chain[0].weight
    with torch.no_grad():
        chain[0].weight.copy_(torch.eye(3))
    double = {"0.weight": 2 * torch.eye(3, dtype=torch.float64)}
    close(func.functional_call(chain, double, Y), 4 * Y)
    close(func.functional_call(chain, double, Y, tie_weights=False).detach(), 2 * Y)
    with pytest.raises(ValueError, match="tied"):
        func.functional_call(chain, double | {"1.weight": torch.eye(3)}, Y)


@pytest.mark.parametrize(
    ("given", "options", "error", "text"),
    [
        ({"weight": X}, {"strict": True}, RuntimeError, r"Missing key\(s\): \['bias'\]"),
        ({"weight": X, "bias": Y[:2], "other": X}, {"strict": True}, RuntimeError, "Unexpected"),
        (({"bias": Y[:2]}, {"bias": Y[:2]}), {}, ValueError, "multiple dictionaries"),
        ({"weight": 3}, {}, TypeError, "must be a Tensor"),
        (3, {}, ValueError, "to be a dict"),
    ],
)
def test_wrong_parameters_are_refused_and_the_module_keeps_its_own(given, options, error, text):
    layer = linear()
    with pytest.raises(error, match=text):
        func.functional_call(layer, given, Y, **options)
    close(layer.weight.detach(), X)


def test_ensembles():
    models = [linear(), linear()]
    params, buffers = func.stack_module_state(models)
    assert params["weight"].shape == (2, 2, 3) and params["weight"].is_leaf and params["weight"].requires_grad
    found = vmap(lambda p, b, x: func.functional_call(models[0], (p, b), (x,)), (0, 0, None))(
        params, buffers, Y
    )
    close(found.detach(), torch.stack([model(Y) for model in models]).detach())
    with pytest.raises(RuntimeError, match="at least one model"):
        func.stack_module_state([])
    with pytest.raises(RuntimeError, match="same class"):
        func.stack_module_state([linear(), nn.ReLU()])
    with pytest.raises(RuntimeError, match="training/eval"):
        func.stack_module_state([linear(), linear().eval()])
