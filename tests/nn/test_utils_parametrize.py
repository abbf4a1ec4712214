"""Parametrized tensors: how they are read, set, saved, copied and made ordinary again."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from scipy.linalg import expm

import devtensor
from devtensor import nn
from devtensor.autograd import gradcheck, gradgradcheck
from devtensor.core.errors import ArgumentError
from devtensor.nn.utils import parametrizations, parametrize

RNG = np.random.default_rng(0)


class Twice(nn.Module):
    def forward(self, x):
        return x * 2

    def right_inverse(self, x):
        return x / 2


class Squashed(nn.Module):
    def forward(self, x):
        return x.tanh()


class Outer(nn.Module):
    def forward(self, column, row):
        return column.unsqueeze(1) * row.unsqueeze(0)

    def right_inverse(self, x):
        return x[:, 0], x[0]


class Returning(nn.Module):
    """A parametrization that gives what it was told to."""

    def __init__(self, forward=lambda x: x, inverse=lambda x: x):
        super().__init__()
        self.forward, self.right_inverse = forward, inverse


def numbers(tensor):
    return np.array(tensor.detach().tolist(), dtype=np.float64)


def linear():
    return nn.Linear(4, 6).double()


def test_reading_setting_and_saving():
    layer = linear()
    weight, before = layer.weight, numbers(layer.weight)
    assert parametrize.register_parametrization(layer, "weight", Twice()) is layer
    assert layer.parametrizations.weight.original is weight
    np.testing.assert_allclose(numbers(weight), before / 2)
    np.testing.assert_allclose(numbers(layer.weight), before)
    parametrize.register_parametrization(layer, "weight", Squashed())
    np.testing.assert_allclose(numbers(layer.weight), np.tanh(before))
    assert list(layer.state_dict()) == ["bias", "parametrizations.weight.original"]
    x = RNG.normal(size=(3, 4))
    layer(devtensor.tensor(x)).sum().backward()
    expected = np.broadcast_to(x.sum(0), (6, 4)) * (1 - np.tanh(before) ** 2) * 2
    np.testing.assert_allclose(numbers(weight.grad), expected)
    other = parametrize.register_parametrization(linear(), "weight", Twice())
    parametrize.register_parametrization(other, "weight", Squashed())
    other.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(numbers(other.weight), numbers(layer.weight))
    with pytest.raises(RuntimeError, match="Squashed does not implement right_inverse"):
        layer.weight = devtensor.zeros(6, 4)


def test_assignment_goes_through_the_inverse():
    layer = parametrize.register_parametrization(linear(), "weight", Twice())
    given = RNG.normal(size=(6, 4))
    layer.weight = devtensor.tensor(given)
    np.testing.assert_allclose(numbers(layer.parametrizations.weight.original), given / 2)
    assert "Parametrized" in repr(layer) and "(0): Twice()" in repr(layer)


@pytest.mark.parametrize("leave", [True, False])
def test_removal_keeps_the_object(leave):
    layer = linear()
    weight, before = layer.weight, numbers(layer.weight)
    parametrize.register_parametrization(layer, "weight", Squashed())
    assert parametrize.is_parametrized(layer) and parametrize.is_parametrized(layer, "weight")
    assert not parametrize.is_parametrized(layer, "bias")
    assert parametrize.type_before_parametrizations(layer) is nn.Linear and type(layer) is not nn.Linear
    parametrize.remove_parametrizations(layer, "weight", leave)
    assert layer.weight is weight and type(layer) is nn.Linear and not hasattr(layer, "parametrizations")
    np.testing.assert_allclose(numbers(weight), np.tanh(before) if leave else before)
    with pytest.raises(ValueError, match="does not have a parametrization on weight"):
        parametrize.remove_parametrizations(layer, "weight")


def test_several_originals():
    layer = linear()
    first = numbers(layer.weight)
    parametrize.register_parametrization(layer, "weight", Outer())
    names = ["bias", "parametrizations.weight.original0", "parametrizations.weight.original1"]
    assert [name for name, _ in layer.named_parameters()] == names
    expected = np.outer(first[:, 0], first[0])
    np.testing.assert_allclose(numbers(layer.weight), expected)
    other = linear()
    parametrize.transfer_parametrizations_and_params(layer, other, "weight")
    assert other.parametrizations.weight.original1 is layer.parametrizations.weight.original1
    with pytest.raises(ValueError, match="Cannot leave unparametrized"):
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    parametrize.remove_parametrizations(layer, "weight")
    np.testing.assert_allclose(numbers(layer.weight), expected)
    assert isinstance(layer.weight, nn.Parameter)


def test_buffers_and_modes():
    layer = nn.BatchNorm1d(3).eval()
    part = Twice()
    parametrize.register_parametrization(layer, "running_var", part)
    assert not part.training
    assert "parametrizations.running_var.original" in dict(layer.named_buffers())
    parametrize.remove_parametrizations(layer, "running_var")
    assert list(dict(layer.named_buffers())) == ["running_mean", "num_batches_tracked", "running_var"]


def test_values_are_cached_on_demand():
    layer = parametrize.register_parametrization(linear(), "weight", Twice())
    assert layer.weight is not layer.weight
    with parametrize.cached():
        with parametrize.cached():
            seen = layer.weight
        assert layer.weight is seen
    assert layer.weight is not seen


def test_copies_but_no_pickles():
    layer = parametrize.register_parametrization(linear(), "weight", Twice())
    copied = copy.deepcopy(nn.Sequential(layer))[0]
    np.testing.assert_array_equal(numbers(copied.weight), numbers(layer.weight))
    copied.weight = devtensor.zeros(6, 4, dtype=devtensor.float64)
    assert numbers(layer.weight).any() and not numbers(copied.weight).any()
    with pytest.raises(RuntimeError, match=r"only supported through state_dict\(\)"):
        pickle.dumps(layer)


FAULTS = {
    "may not change the shape": Returning(lambda x: x[:2]),
    "may not change the dtype": Returning(lambda x: x.float()),
    "must return a tensor. Got list": Returning(lambda x: [x]),
    "must return a Tensor or a Sequence": Returning(inverse=lambda x: 3),
    "right_inverse may not change the dtype": Returning(inverse=lambda x: x.float()),
    "element 1 of the sequence with type int": Returning(inverse=lambda x: [x, 3]),
}


@pytest.mark.parametrize("text", FAULTS)
def test_what_does_not_fit(text):
    layer = linear()
    with pytest.raises(ArgumentError, match=text):
        parametrize.register_parametrization(layer, "weight", FAULTS[text])
    assert type(layer) is nn.Linear and isinstance(layer.weight, nn.Parameter)


def test_unsafe_ones_may_change_everything():
    layer = linear()
    parametrize.register_parametrization(layer, "weight", FAULTS["may not change the shape"], unsafe=True)
    assert layer.weight.shape == (2, 4)
    with pytest.raises(ArgumentError, match="does not have a parameter, a buffer"):
        parametrize.register_parametrization(layer, "nothing", Twice())


SHAPES = [(4, 4), (6, 3), (3, 6), (2, 5, 4)]
MAPS = ("matrix_exp", "cayley", "householder", None)


def holder(shape, dtype="float64"):
    module = nn.Module()
    values = RNG.normal(size=shape) + (1j * RNG.normal(size=shape) if dtype == "complex128" else 0)
    module.weight = nn.Parameter(devtensor.tensor(values))
    return module


def is_orthogonal(matrix):
    tall = matrix if matrix.shape[-2] >= matrix.shape[-1] else np.swapaxes(matrix, -1, -2)
    square = np.swapaxes(tall, -1, -2).conj() @ tall
    np.testing.assert_allclose(square, np.broadcast_to(np.eye(square.shape[-1]), square.shape), atol=1e-12)


@pytest.mark.parametrize("trivialization", [True, False])
@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_orthogonal(shape, name, trivialization):
    module = holder(shape)
    parametrizations.orthogonal(module, orthogonal_map=name, use_trivialization=trivialization)
    is_orthogonal(numbers(module.weight))
    original = module.parametrizations.weight.original
    with devtensor.no_grad():
        original.add_(devtensor.tensor(RNG.normal(size=shape)).tril(-1) * 0.3)
    is_orthogonal(numbers(module.weight))
    goal = devtensor.tensor(RNG.normal(size=shape))
    (module.weight * goal).sum().backward()
    assert np.isfinite(numbers(original.grad)).all() and numbers(original.grad).any()


@pytest.mark.parametrize("name", ["matrix_exp", "cayley"])
@pytest.mark.parametrize("shape", [(3, 3), (4, 2)], ids=str)
def test_orthogonal_maps_are_what_they_are_called(shape, name):
    module = holder(shape)
    parametrizations.orthogonal(module, orthogonal_map=name, use_trivialization=False)
    full = np.zeros((shape[0], shape[0]))
    full[:, : shape[1]] = np.tril(numbers(module.parametrizations.weight.original))
    skew = full - full.T
    identity = np.eye(shape[0])
    expected = (
        expm(skew) if name == "matrix_exp" else np.linalg.solve(identity - skew / 2, identity + skew / 2)
    )
    np.testing.assert_allclose(numbers(module.weight), expected[:, : shape[1]], atol=1e-12)


def test_unitary():
    module = parametrizations.orthogonal(holder((3, 3), "complex128"))
    is_orthogonal(np.array(module.weight.tolist()))
    with pytest.raises(ArgumentError, match="does not support complex"):
        parametrizations.orthogonal(holder((3, 3), "complex128"), orthogonal_map="householder")


def test_orthogonal_matrices_are_taken_as_they_are():
    turned = np.linalg.qr(RNG.normal(size=(5, 3)))[0]
    for options in ({"orthogonal_map": "cayley"}, {"use_trivialization": False}):
        module = parametrizations.orthogonal(holder((5, 3)), **options)
        module.weight = devtensor.tensor(turned)
        np.testing.assert_allclose(numbers(module.weight), turned, atol=1e-12)
    module = parametrizations.orthogonal(holder((3, 3)), orthogonal_map="cayley", use_trivialization=False)
    with pytest.raises(NotImplementedError, match="not possible to assign"):
        module.weight = devtensor.eye(3)
    for bad, text in (({"name": "no"}, "has no parameter"), ({"orthogonal_map": "no"}, "has to be one of")):
        with pytest.raises(ArgumentError, match=text):
            parametrizations.orthogonal(holder((3, 3)), **bad)


@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm(dim):
    layer = nn.Conv2d(3, 4, 2).double()
    before = numbers(layer.weight)
    older = nn.Conv2d(3, 4, 2).double()
    parametrizations.weight_norm(layer, dim=dim)
    np.testing.assert_allclose(numbers(layer.weight), before)
    others = None if dim is None else tuple(d for d in range(4) if d != dim)
    norm = np.sqrt((before**2).sum(others, keepdims=dim is not None))
    np.testing.assert_allclose(numbers(layer.parametrizations.weight.original0), norm)
    with pytest.warns(FutureWarning, match="parametrizations"):
        nn.utils.weight_norm(older, dim=dim)
    assert list(older.state_dict()) == ["bias", "weight_g", "weight_v"]
    layer.load_state_dict(older.state_dict())
    np.testing.assert_allclose(numbers(layer.weight), numbers(older.weight))
    x = devtensor.tensor(RNG.normal(size=(1, 3, 4, 4)))
    with devtensor.no_grad():
        older.weight_g.mul_(2)
        layer.parametrizations.weight.original0.mul_(2)
    np.testing.assert_allclose(numbers(older(x)), numbers(layer(x)))
    nn.utils.remove_weight_norm(older)
    assert list(older.state_dict()) == ["bias", "weight"] and not older._forward_pre_hooks
    np.testing.assert_allclose(numbers(older(x)), numbers(layer(x)))


def test_weight_norm_refuses():
    with pytest.warns(FutureWarning):
        layer = nn.utils.weight_norm(linear())
        with pytest.raises(RuntimeError, match="Cannot register two"):
            nn.utils.weight_norm(layer)
        with pytest.raises(ValueError, match="uninitialized"):
            nn.utils.weight_norm(nn.LazyLinear(3))
    with pytest.raises(ValueError, match="not found"):
        nn.utils.remove_weight_norm(linear())


LAYERS = [nn.Linear(4, 6), nn.Conv2d(3, 4, 2), nn.ConvTranspose1d(3, 5, 2)]


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
@pytest.mark.parametrize("way", [nn.utils.spectral_norm, parametrizations.spectral_norm], ids=["old", "new"])
def test_spectral_norm(layer, way):
    layer = copy.deepcopy(layer).double()
    weight = numbers(layer.weight)
    matrix = np.moveaxis(weight, 1, 0) if isinstance(layer, nn.ConvTranspose1d) else weight
    largest = np.linalg.norm(matrix.reshape(len(matrix), -1), 2)
    way(layer, n_power_iterations=200)
    shape = (2, weight.shape[1 - isinstance(layer, nn.ConvTranspose1d)], *(4,) * (weight.ndim - 2))
    x = devtensor.tensor(RNG.normal(size=shape)).requires_grad_()
    first, second = layer(x), layer(x)
    (first.sum() + second.sum()).backward()
    np.testing.assert_allclose(numbers(layer.weight), weight / largest, rtol=1e-9)
    vectors = [numbers(b) for _, b in layer.named_buffers()]
    layer.eval()(x)
    for before, (_, after) in zip(vectors, layer.named_buffers(), strict=True):
        np.testing.assert_array_equal(before, numbers(after))
    added = ["weight_orig", "weight_u", "weight_v"]
    if way is parametrizations.spectral_norm:
        added = [f"parametrizations.weight.{name}" for name in ("original", "0._u", "0._v")]
    assert list(layer.state_dict()) == ["bias", *added]


def test_spectral_norm_of_old_states():
    layer = nn.utils.spectral_norm(linear(), n_power_iterations=100)
    layer(devtensor.zeros(1, 4, dtype=devtensor.float64))
    state = layer.state_dict()
    assert state._metadata[""] == {"version": 1, "spectral_norm": {"weight.version": 1}}
    state._metadata[""] = {"version": 1}
    wanted = numbers(state.pop("weight_v"))
    state["weight"] = layer.weight.detach()
    other = nn.utils.spectral_norm(linear())
    other.load_state_dict(state)
    np.testing.assert_allclose(numbers(other.weight_v), wanted, atol=1e-9)
    nn.utils.remove_spectral_norm(other)
    assert list(other.state_dict()) == ["bias", "weight"]
    assert not other._state_dict_hooks and not other._load_state_dict_pre_hooks
    with pytest.raises(ValueError, match="not found"):
        nn.utils.remove_spectral_norm(other)


def test_spectral_norm_refuses():
    for way in (nn.utils.spectral_norm, parametrizations.spectral_norm):
        with pytest.raises(ValueError, match="to be positive"):
            way(linear(), n_power_iterations=0)
    with pytest.raises(IndexError, match="out of range"):
        parametrizations.spectral_norm(linear(), dim=2)
    vector = parametrizations.spectral_norm(linear(), "bias")
    assert float(vector.bias.norm()) == pytest.approx(1)


@pytest.mark.parametrize("way", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_gradients(way):
    layer = way(linear()).eval()
    originals = list(layer.parametrizations.weight.parameters())
    transform = layer.parametrizations.weight[0]
    assert gradcheck(lambda *given: transform(*given), originals)
    assert gradgradcheck(lambda *given: transform(*given), originals)
