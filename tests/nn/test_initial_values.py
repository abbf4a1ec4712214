"""What layers' parameters are at first: PyTorch's distributions, by a test of goodness of fit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

import devtensor
from devtensor import nn


def within(limit):
    return stats.uniform(-limit, 2 * limit)


def root(fan_in):
    return within(1 / math.sqrt(fan_in))


NORMAL = stats.norm()
RECURRENT = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
# How to make the layer, and the distribution, or the value, of each parameter by its name.
LAYERS = {
    "Linear": (lambda: nn.Linear(60, 50), {"weight": root(60), "bias": root(60)}),
    "Bilinear": (lambda: nn.Bilinear(20, 5, 40), {"weight": root(20), "bias": root(20)}),
    "Conv1d": (lambda: nn.Conv1d(20, 40, 5, groups=4), {"weight": root(25), "bias": root(25)}),
    "Conv2d": (lambda: nn.Conv2d(8, 40, (3, 2)), {"weight": root(48), "bias": root(48)}),
    "Conv3d": (lambda: nn.Conv3d(4, 40, 2), {"weight": root(32), "bias": root(32)}),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(20, 40, 3), {"weight": root(120), "bias": root(120)}),
    "ConvTranspose2d": (
        lambda: nn.ConvTranspose2d(20, 40, 3, groups=5),
        {"weight": root(72), "bias": root(72)},
    ),
    "ConvTranspose3d": (lambda: nn.ConvTranspose3d(5, 40, 2), {"weight": root(320), "bias": root(320)}),
    "LazyLinear": (
        lambda: called(nn.LazyLinear(50), 3, 60),
        {"weight": root(60), "bias": root(60)},
    ),
    "LazyConv2d": (
        lambda: called(nn.LazyConv2d(40, 3), 1, 8, 4, 4),
        {"weight": root(72), "bias": root(72)},
    ),
    "Embedding": (lambda: nn.Embedding(50, 20), {"weight": NORMAL}),
    "EmbeddingBag": (lambda: nn.EmbeddingBag(50, 20), {"weight": NORMAL}),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(5), {"weight": 1, "bias": 0}),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(5, affine=True), {"weight": 1, "bias": 0}),
    "LayerNorm": (lambda: nn.LayerNorm((3, 4)), {"weight": 1, "bias": 0}),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), {"weight": 1, "bias": 0}),
    "RMSNorm": (lambda: nn.RMSNorm(4), {"weight": 1}),
    "PReLU": (lambda: nn.PReLU(3, init=0.3), {"weight": 0.3}),
    "AdaptiveLogSoftmaxWithLoss": (
        lambda: nn.AdaptiveLogSoftmaxWithLoss(64, 60, [20, 40], div_value=2.0, head_bias=True),
        {
            "head.weight": root(64),
            "head.bias": root(64),
            "tail.0.0.weight": root(64),
            "tail.0.1.weight": root(32),
            "tail.1.0.weight": root(64),
            "tail.1.1.weight": root(16),
        },
    ),
    "LSTM": (
        lambda: nn.LSTM(8, 25, num_layers=2),
        {
            f"{kind}_l{k}": root(25)
            for k in (0, 1)
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        },
    ),
    "GRUCell": (
        lambda: nn.GRUCell(8, 25),
        {kind: root(25) for kind in RECURRENT},
    ),
    "MultiheadAttention": (
        lambda: nn.MultiheadAttention(32, 4, add_bias_kv=True),
        {
            "in_proj_weight": within(math.sqrt(6 / (32 + 96))),
            "in_proj_bias": 0,
            "bias_k": stats.norm(0, math.sqrt(2 / 64)),
            "bias_v": stats.norm(0, math.sqrt(2 / 64)),
            "out_proj.weight": root(32),
            "out_proj.bias": 0,
        },
    ),
    "MultiheadAttention of other sizes": (
        lambda: nn.MultiheadAttention(32, 4, kdim=20, vdim=40, bias=False),
        {
            "q_proj_weight": within(math.sqrt(6 / 64)),
            "k_proj_weight": within(math.sqrt(6 / 52)),
            "v_proj_weight": within(math.sqrt(6 / 72)),
            "out_proj.weight": root(32),
        },
    ),
}


def called(layer, *shape):
    layer(devtensor.zeros(*shape))
    return layer


@pytest.mark.parametrize("name", LAYERS)
def test_parameters_start_as_pytorchs_do(name):
    make, wanted = LAYERS[name]
    devtensor.manual_seed(0)
    found = {key: np.array(value.tolist()) for key, value in make().named_parameters()}
    assert sorted(found) == sorted(wanted)
    for key, distribution in wanted.items():
        if isinstance(distribution, (int, float)):
            np.testing.assert_allclose(found[key], distribution, rtol=1e-6)
        else:
            assert stats.kstest(found[key].ravel(), distribution.cdf).pvalue > 1e-3, key
            low, high = distribution.support()
            assert found[key].min() >= low * (1 + 1e-6) and found[key].max() <= high * (1 + 1e-6)


def test_padding_starts_at_zero_and_reset_draws_anew():
    table = nn.Embedding(5, 3, padding_idx=1)
    assert table.weight[1].tolist() == [0, 0, 0]
    for layer in (nn.Linear(3, 4), nn.Conv1d(2, 3, 2), nn.Embedding(4, 3), nn.Bilinear(2, 3, 4)):
        before = layer.weight.tolist()
        layer.reset_parameters()
        assert layer.weight.tolist() != before


def test_facts_about_new_tensors():
    given = {"device": "cpu", "factory_kwargs": {"dtype": devtensor.float64}}
    assert nn.factory_kwargs(given) == {"device": "cpu", "dtype": devtensor.float64}
    assert nn.factory_kwargs(None) == {} and "factory_kwargs" in given
    with pytest.raises(TypeError, match="unexpected kwargs"):
        nn.factory_kwargs({"size": 3})
    with pytest.raises(TypeError, match="dtype specified twice"):
        nn.factory_kwargs({"dtype": 1, "factory_kwargs": {"dtype": 2}})
