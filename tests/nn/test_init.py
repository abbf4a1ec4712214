"""Initial values: the distributions and patterns that their names promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

import devtensor
from devtensor import nn
from devtensor.core.errors import ArgumentError, ShapeError

SHAPE = (200, 100, 3)
FAN_IN, FAN_OUT = 300, 600


def filled(function, *args, shape=SHAPE, **facts) -> np.ndarray:
    devtensor.manual_seed(0)
    target = nn.Parameter(devtensor.zeros(*shape))
    assert function(target, *args, **facts) is target and target.requires_grad
    return np.array(target.tolist(), dtype=np.float64)


# How to fill, the standard deviation, and the limit if there is one.
SPREADS = {
    "uniform": (lambda: filled(nn.init.uniform_, -2, 2), 2 / math.sqrt(3), 2),
    "normal": (lambda: filled(nn.init.normal_, 0, 3.0), 3, None),
    "xavier_uniform": (
        lambda: filled(nn.init.xavier_uniform_, 2.0),
        2 * math.sqrt(2 / 900),
        2 * math.sqrt(6 / 900),
    ),
    "xavier_normal": (lambda: filled(nn.init.xavier_normal_), math.sqrt(2 / 900), None),
    "kaiming_uniform": (
        lambda: filled(nn.init.kaiming_uniform_, math.sqrt(5)),
        math.sqrt(1 / 900),
        math.sqrt(1 / 300),
    ),
    "kaiming_normal": (
        lambda: filled(nn.init.kaiming_normal_, mode="fan_out", nonlinearity="relu"),
        math.sqrt(2 / 600),
        None,
    ),
    "trunc_normal": (lambda: filled(nn.init.trunc_normal_, std=0.5, a=-1, b=1), 0.5 * 0.87962566, 1),
    "old name": (lambda: filled(nn.init.kaiming_normal, nonlinearity="tanh"), 5 / 3 / math.sqrt(300), None),
}


@pytest.mark.parametrize("name", SPREADS)
def test_spread(name):
    fill, std, limit = SPREADS[name]
    found = fill()
    assert abs(found.mean()) < 0.02 * std and found.std() == pytest.approx(std, rel=0.02)
    if limit is not None:
        assert 0.99 * limit < np.abs(found).max() <= limit * (1 + 1e-6)


def test_patterns():
    assert filled(nn.init.constant_, 0.3, shape=(2,)).tolist() == pytest.approx([0.3, 0.3])
    assert filled(nn.init.ones_, shape=(2,)).tolist() == [1, 1]
    assert filled(nn.init.zeros_, shape=(2,)).tolist() == [0, 0]
    np.testing.assert_array_equal(filled(nn.init.eye_, shape=(2, 3)), np.eye(2, 3))
    passed = filled(nn.init.dirac_, 2, shape=(4, 2, 3, 3))
    expected = np.zeros((4, 2, 3, 3))
    for out in range(4):
        expected[out, out % 2, 1, 1] = 1
    np.testing.assert_array_equal(passed, expected)
    sparse = filled(nn.init.sparse_, 0.25, 1.0, shape=(8, 50))
    assert ((sparse == 0).sum(0) == 2).all()


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (6, 2, 3)])
def test_orthogonal(shape):
    found = filled(nn.init.orthogonal_, 2.0, shape=shape).reshape(shape[0], -1)
    square = found @ found.T if found.shape[0] <= found.shape[1] else found.T @ found
    np.testing.assert_allclose(square, 4 * np.eye(len(square)), atol=1e-5)


def test_gains():
    gains = {"linear": 1, "conv2d": 1, "sigmoid": 1, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}
    assert {name: nn.init.calculate_gain(name) for name in gains} == gains
    assert nn.init.calculate_gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04)
    with pytest.raises(ArgumentError, match="Unsupported nonlinearity odd"):
        nn.init.calculate_gain("odd")


def test_what_cannot_be_filled():
    with pytest.raises(ShapeError, match="fewer than 2 dimensions"):
        nn.init.kaiming_uniform_(devtensor.zeros(3))
    with pytest.raises(ArgumentError, match="Mode odd not supported"):
        nn.init.kaiming_normal_(devtensor.zeros(3, 3), mode="odd")
    for function in (nn.init.eye_, nn.init.orthogonal_, nn.init.dirac_):
        with pytest.raises(ShapeError):
            function(devtensor.zeros(3))
    with pytest.raises(ShapeError, match="2 dimensions"):
        nn.init.sparse_(devtensor.zeros(3), 0.1)
