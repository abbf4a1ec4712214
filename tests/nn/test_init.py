"""Initial values: the distributions and patterns that their names promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

import devtensor
from devtensor import nn
from devtensor.core.errors import ArgumentError

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
    "trunc_normal off the middle": (
        lambda: filled(nn.init.trunc_normal_, mean=1.0, std=0.5, a=0.5, b=1.5) - 1,
        0.5 * 0.53979,
        0.5,
    ),
    "xavier_normal of gain": (lambda: filled(nn.init.xavier_normal_, 3.0), 3 * math.sqrt(2 / 900), None),
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


@pytest.mark.parametrize("shape", [(4, 4), (3, 5)])
def test_orthogonal_in_other_dtypes(shape):
    for dtype, slack in (("complex64", 1e-5), ("float64", 1e-12), ("bfloat16", 3e-2)):
        target = nn.init.orthogonal_(devtensor.empty(shape, dtype=getattr(devtensor, dtype)))
        found = np.array(target.tolist())
        np.testing.assert_allclose(found @ found.conj().T, np.eye(shape[0]), atol=slack)


def test_orthogonal_matrices_have_no_preferred_signs():
    devtensor.manual_seed(0)
    corners = [nn.init.orthogonal_(devtensor.empty(2, 2))[0, 0].item() > 0 for _ in range(200)]
    assert 70 < sum(corners) < 130


OLD = {
    "uniform": (-2, 2),
    "normal": (1.0, 2.0),
    "constant": (0.3,),
    "eye": (),
    "dirac": (),
    "xavier_uniform": (2.0,),
    "xavier_normal": (),
    "kaiming_uniform": (),
    "kaiming_normal": (),
    "orthogonal": (),
    "sparse": (0.5,),
}


@pytest.mark.parametrize("name", OLD)
def test_old_names_warn_and_do_the_same(name):
    shape = (4, 3, 2) if name == "dirac" else (4, 3)
    with pytest.warns(FutureWarning, match=f"favor of `nn.init.{name}_`"):
        found = filled(getattr(nn.init, name), *OLD[name], shape=shape)
    np.testing.assert_array_equal(found, filled(getattr(nn.init, f"{name}_"), *OLD[name], shape=shape))


DRAWN = {
    "uniform_": (),
    "normal_": (),
    "trunc_normal_": (),
    "xavier_uniform_": (),
    "xavier_normal_": (),
    "kaiming_uniform_": (),
    "kaiming_normal_": (),
    "orthogonal_": (),
    "sparse_": (0.5,),
}


@pytest.mark.parametrize("name", DRAWN)
def test_generators(name, device):
    def draw(seed):
        source = devtensor.Generator(device).manual_seed(seed)
        target = devtensor.empty(5, 4, device=device)
        return getattr(nn.init, name)(target, *DRAWN[name], generator=source).tolist()

    before = devtensor.get_rng_state()
    assert draw(1) == draw(1) != draw(2)
    assert devtensor.equal(devtensor.get_rng_state(), before)


@pytest.mark.parametrize("name", DRAWN)
def test_tensors_without_values_stay_so(name):
    target = devtensor.empty(5, 4, device="meta")
    assert getattr(nn.init, name)(target, *DRAWN[name]) is target


def test_what_deserves_a_warning():
    for fill in (nn.init.kaiming_uniform_, nn.init.kaiming_normal_):
        with pytest.warns(UserWarning, match="zero-element tensors is a no-op"):
            fill(devtensor.empty(0, 3))
    with pytest.warns(UserWarning, match="more than 2 std from"):
        nn.init.trunc_normal_(devtensor.empty(3), 10)


def test_gains():
    gains = {"linear": 1, "conv2d": 1, "sigmoid": 1, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}
    assert {name: nn.init.calculate_gain(name) for name in gains} == gains
    assert nn.init.calculate_gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04)
    with pytest.raises(ArgumentError, match="Unsupported nonlinearity odd"):
        nn.init.calculate_gain("odd")


def test_what_cannot_be_filled():
    with pytest.raises(ArgumentError, match="fewer than 2 dimensions"):
        nn.init.kaiming_uniform_(devtensor.zeros(3))
    with pytest.raises(ArgumentError, match="Mode odd not supported"):
        nn.init.kaiming_normal_(devtensor.zeros(3, 3), mode="odd")
    for function in (nn.init.eye_, nn.init.orthogonal_, nn.init.dirac_):
        with pytest.raises(ArgumentError):
            function(devtensor.zeros(3))
    with pytest.raises(ArgumentError, match="2 dimensions"):
        nn.init.sparse_(devtensor.zeros(3), 0.1)
