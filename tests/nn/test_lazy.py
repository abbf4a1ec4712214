"""Layers that learn the size of their input from the first one they see."""

from __future__ import annotations

import copy

import pytest

import devtensor
from devtensor import nn
from devtensor.nn.parameter import is_lazy

E = devtensor.ones
LAYERS = {
    "LazyLinear": (lambda: nn.LazyLinear(3), nn.Linear(5, 3), E(2, 5)),
    "LazyConv1d": (lambda: nn.LazyConv1d(4, 2, bias=False), nn.Conv1d(3, 4, 2, bias=False), E(2, 3, 5)),
    "LazyConv2d": (lambda: nn.LazyConv2d(4, 2, groups=2), nn.Conv2d(6, 4, 2, groups=2), E(6, 5, 5)),
    "LazyConvTranspose2d": (
        lambda: nn.LazyConvTranspose2d(4, 2, stride=2, output_padding=1),
        nn.ConvTranspose2d(3, 4, 2, stride=2, output_padding=1),
        E(2, 3, 5, 5),
    ),
    "LazyBatchNorm2d": (lambda: nn.LazyBatchNorm2d(), nn.BatchNorm2d(3), E(2, 3, 5, 5)),
    "LazyInstanceNorm1d": (
        lambda: nn.LazyInstanceNorm1d(),
        nn.InstanceNorm1d(3, affine=True, track_running_stats=True),
        E(2, 3, 5),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_first_call_gives_the_sizes(name):
    make, plain, x = LAYERS[name]
    layer = make()
    assert layer.has_uninitialized_params() and all(is_lazy(p) for p in layer.parameters())
    layer(x)
    assert type(layer) is type(plain) and repr(layer) == repr(plain)
    assert {k: v.shape for k, v in layer.state_dict().items()} == {
        k: v.shape for k, v in plain.state_dict().items()
    }


@pytest.mark.parametrize("name", LAYERS)
def test_a_state_gives_the_sizes(name):
    make, plain, x = LAYERS[name]
    layer = make()
    layer.load_state_dict(plain.state_dict())
    assert not layer.has_uninitialized_params()
    assert layer.eval()(x).tolist() == plain.eval()(x).tolist() and type(layer) is type(plain)


@pytest.mark.parametrize("affine", [True, False])
def test_statistics_without_a_size_take_a_dtype(affine):
    layer = nn.LazyBatchNorm1d(affine=affine).double()
    assert layer.has_uninitialized_params() and is_lazy(layer.running_mean)
    assert layer(devtensor.randn(5, 3).double()).dtype is layer.running_var.dtype is devtensor.float64
    assert layer.running_mean.shape == (3,) and type(layer) is nn.BatchNorm1d


def test_parameters_without_a_size():
    parameter = nn.UninitializedParameter(dtype=devtensor.float64)
    with pytest.raises(RuntimeError, match="Can't access the shape"):
        parameter.shape  # noqa: B018
    assert repr(parameter) == "<UninitializedParameter>" and is_lazy(copy.deepcopy(parameter))
    parameter.materialize((2, 3))
    assert type(parameter) is nn.Parameter and parameter.shape == (2, 3) and parameter.requires_grad
    assert parameter.dtype is devtensor.float64
