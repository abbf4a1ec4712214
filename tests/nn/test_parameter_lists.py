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
