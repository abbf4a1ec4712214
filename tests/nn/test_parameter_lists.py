"""Parameters as one vector, and their gradients clipped."""

from __future__ import annotations

import numpy as np
import pytest

import devtensor
from devtensor import nn
from devtensor.core.errors import AutogradError, ShapeError
from devtensor.testing import to_numpy


def test_vectors_of_parameters_and_clipping():
    layer = nn.Linear(2, 3)
    vector = nn.utils.parameters_to_vector(layer.parameters())
    assert vector.shape == (9,)
    nn.utils.vector_to_parameters(devtensor.arange(9.0), layer.parameters())
    assert to_numpy(layer.weight).tolist() == [[0, 1], [2, 3], [4, 5]] and to_numpy(layer.bias).tolist() == [
        6,
        7,
        8,
    ]
    with pytest.raises(ShapeError, match="9 elements"):
        nn.utils.vector_to_parameters(devtensor.ones(3), layer.parameters())
    nn.utils.vector_to_parameters(devtensor.ones(11), layer.parameters())
    assert to_numpy(layer.bias).tolist() == [1, 1, 1]


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_clipping_by_norm(norm_type, limit):
    rng = np.random.default_rng(0)
    grads = [rng.normal(size=(3, 2)), rng.normal(size=(4,))]
    params = [nn.Parameter(devtensor.zeros(*g.shape, dtype=devtensor.float64)) for g in grads]
    for param, g in zip(params, grads, strict=True):
        param.grad = devtensor.tensor(g)
    total = nn.utils.clip_grad_norm_(params, limit, norm_type)
    expected = np.linalg.norm(np.concatenate([g.reshape(-1) for g in grads]), norm_type)
    assert total.item() == pytest.approx(expected, rel=1e-12)
    for param, g in zip(params, grads, strict=True):
        np.testing.assert_allclose(to_numpy(param.grad), g * min(1.0, limit / (expected + 1e-6)), rtol=1e-12)


@pytest.mark.parametrize(
    ("norm_type", "expected"), [(0, 2.0), (float("-inf"), 0.25), (-1, 1 / (1 / 0.25 + 1 / 2 + 1 / 3))]
)
def test_orders_that_are_no_norms(norm_type, expected):
    """Of order 0 it is the number of gradients that are not all 0, as in PyTorch."""
    params = [nn.Parameter(devtensor.zeros(2)), nn.Parameter(devtensor.zeros(1))]
    params[0].grad, params[1].grad = devtensor.tensor([2.0, -3.0]), devtensor.tensor([0.25])
    assert nn.utils.clip_grad_norm_(params, 1.0, norm_type).item() == pytest.approx(expected, rel=1e-6)


def test_clipping_edge_cases():
    param = nn.Parameter(devtensor.zeros(2))
    assert nn.utils.clip_grad_norm_([param], 1.0).item() == 0
    param.grad = devtensor.tensor([float("inf"), 1.0])
    with pytest.raises(AutogradError, match="non-finite"):
        nn.utils.clip_grad_norm_(param, 1.0, error_if_nonfinite=True)
    param.grad = devtensor.tensor([-3.0, 0.5])
    nn.utils.clip_grad_value_(param, 1.0)
    assert to_numpy(param.grad).tolist() == [-1, 0.5]
    half = nn.Parameter(devtensor.zeros(1000, dtype=devtensor.float16))
    half.grad = devtensor.full((1000,), 100.0, dtype=devtensor.float16)
    assert nn.utils.clip_grad_norm_(half, 1.0).item() == pytest.approx(100 * 1000**0.5)
    assert half.grad.dtype is devtensor.float16


ORDERS = [2.0, 1.0, 3.0, 0.5, 0.0, -1.0, float("inf"), float("-inf"), float("nan")]
GRADIENTS = {
    "finite": [[1.0, -3.0], [2.0, 0.5]],
    "zeros": [[0.0, 0.0], [0.0]],
    "a zero": [[0.0, 2.0], [-0.5]],
    "nan": [[float("nan"), 1.0], [2.0]],
    "inf": [[float("inf"), 1.0], [2.0]],
    "complex": [[3 + 4j, 1.0], [2j]],
    "nothing": [[], [1.0]],
}


def total(library, values, order):
    """The total norm, or the class of the error."""
    grads = [library.tensor(value, dtype=None if value else library.float32) for value in values]
    try:
        return library.nn.utils.get_total_norm(grads, order).item()
    except RuntimeError:
        return "refused"


@pytest.mark.filterwarnings("ignore:Casting complex values")  # PyTorch's, of order 0
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", GRADIENTS)
def test_total_norms_are_pytorch_s(name, order, torch):
    wanted, found = (total(library, GRADIENTS[name], order) for library in (torch, devtensor))
    assert found == (wanted if wanted == "refused" else pytest.approx(wanted, rel=1e-6, nan_ok=True))


@pytest.mark.parametrize(
    ("name", "order", "expected"),
    [
        ("nan", float("inf"), float("nan")),
        ("nan", float("-inf"), float("nan")),
        ("nan", 0.0, 2.0),
        ("inf", float("-inf"), 1.0),
        ("inf", 2.0, float("inf")),
        ("complex", 2.0, 30**0.5),
        ("nothing", 1.0, 1.0),
        ("nothing", float("inf"), "refused"),
        ("nothing", -1.0, "refused"),
    ],
)
def test_total_norms_of_unusual_gradients(name, order, expected):
    found = total(devtensor, GRADIENTS[name], order)
    assert found == (expected if expected == "refused" else pytest.approx(expected, rel=1e-6, nan_ok=True))


@pytest.mark.parametrize(
    ("limit", "expected"), [(1.0, [1.0, -1.0, 0.25]), (-0.5, [-0.5] * 3), (float("inf"), [4.0, -2.0, 0.25])]
)
def test_clipping_by_value_keeps_nan(limit, expected):
    params = [nn.Parameter(devtensor.zeros(4, dtype=kind)) for kind in (devtensor.float32, devtensor.float64)]
    for param in params:
        param.grad = devtensor.tensor([4.0, -2.0, 0.25, float("nan")], dtype=param.dtype)
    nn.utils.clip_grad_value_(params, limit)
    for param in params:
        assert to_numpy(param.grad)[:3].tolist() == expected and np.isnan(to_numpy(param.grad)[3])
