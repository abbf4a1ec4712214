"""The gradients of convolutions as functions, and the older names of reductions."""

from __future__ import annotations

import numpy as np
import pytest

import devtensor
from devtensor import nn
from devtensor.core.errors import ArgumentError
from devtensor.nn import _reduction

RNG = np.random.default_rng(0)
GEOMETRIES = [{}, {"stride": 2, "padding": 1}, {"dilation": 2, "groups": 2}]


@pytest.mark.parametrize("options", GEOMETRIES, ids=str)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_gradients_of_convolutions(count, options):
    x = devtensor.tensor(RNG.normal(size=(2, 4, *(5,) * count))).requires_grad_()
    weight = devtensor.tensor(RNG.normal(size=(6, 4 // options.get("groups", 1), *(2,) * count)))
    weight.requires_grad_()
    out = getattr(nn.functional, f"conv{count}d")(x, weight, **options)
    g = devtensor.tensor(RNG.normal(size=tuple(out.shape)))
    expected = devtensor.autograd.grad(out, (x, weight), g)
    by_input = getattr(nn.grad, f"conv{count}d_input")(x.shape, weight, g, **options)
    by_weight = getattr(nn.grad, f"conv{count}d_weight")(x, weight.shape, g, **options)
    for found, wanted in zip((by_input, by_weight), expected, strict=True):
        np.testing.assert_allclose(found.tolist(), wanted.tolist(), atol=1e-12)


FLAGS = [
    ((None, None), "mean", 1),
    ((True, True), "mean", 1),
    ((False, True), "sum", 2),
    ((True, False), "none", 0),
    ((False, None), "sum", 2),
]


@pytest.mark.parametrize(("flags", "name", "number"), FLAGS)
def test_older_flags_of_reductions(flags, name, number):
    assert _reduction.legacy_get_string(*flags, emit_warning=False) == name
    assert _reduction.get_enum(name) == number
    with pytest.warns(UserWarning, match=f"reduction='{name}'"):
        assert _reduction.legacy_get_enum(*flags) == number


def test_names_of_reductions():
    with pytest.warns(UserWarning, match="elementwise_mean"):
        assert _reduction.get_enum("elementwise_mean") == 1
    with pytest.raises(ArgumentError, match="odd is not a valid value"):
        _reduction.get_enum("odd")
