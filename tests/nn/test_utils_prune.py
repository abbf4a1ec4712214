"""Pruning, the fusion of layers, and modules made without values."""

from __future__ import annotations

import numpy as np
import pytest

import devtensor
from devtensor import nn
from devtensor.core.errors import ArgumentError
from devtensor.nn.utils import prune

RNG = np.random.default_rng(0)
WEIGHT = RNG.normal(size=(6, 4))


def numbers(tensor):
    return np.array(tensor.detach().tolist(), dtype=np.float64)


def linear():
    layer = nn.Linear(4, 6).double()
    with devtensor.no_grad():
        layer.weight.copy_(devtensor.tensor(WEIGHT))
    return layer


def without_lowest(scores, count):
    mask = np.ones(scores.size)
    mask[np.argsort(scores.ravel())[:count]] = 0
    return mask.reshape(scores.shape)


def lines_without_lowest(scores, count, dim):
    mask = without_lowest(scores, count)
    return np.broadcast_to(mask[:, None] if dim == 0 else mask[None, :], WEIGHT.shape)


SCORES = RNG.normal(size=(6, 4))
# A call that prunes the weight, and the mask that it must give.
MASKS = {
    "identity": (lambda m: prune.identity(m, "weight"), np.ones((6, 4))),
    "a number": (lambda m: prune.l1_unstructured(m, "weight", 5), without_lowest(abs(WEIGHT), 5)),
    "a share": (lambda m: prune.l1_unstructured(m, "weight", 0.25), without_lowest(abs(WEIGHT), 6)),
    "nothing": (lambda m: prune.l1_unstructured(m, "weight", 0), np.ones((6, 4))),
    "all": (lambda m: prune.l1_unstructured(m, "weight", 1.0), np.zeros((6, 4))),
    "by scores": (
        lambda m: prune.l1_unstructured(m, "weight", 5, devtensor.tensor(SCORES)),
        without_lowest(abs(SCORES), 5),
    ),
    "rows": (
        lambda m: prune.ln_structured(m, "weight", 2, 2, 0),
        lines_without_lowest(np.linalg.norm(WEIGHT, axis=1), 2, 0),
    ),
    "columns": (
        lambda m: prune.ln_structured(m, "weight", 0.5, float("inf"), -1),
        lines_without_lowest(abs(WEIGHT).max(0), 2, 1),
    ),
    "mask": (
        lambda m: prune.custom_from_mask(m, "weight", devtensor.tensor(SCORES > 0)),
        (SCORES > 0).astype(float),
    ),
    "numbers, then more": (
        lambda m: prune.l1_unstructured(prune.l1_unstructured(m, "weight", 4), "weight", 0.5),
        without_lowest(abs(WEIGHT), 14),
    ),
    "everything, together with the bias": (
        lambda m: prune.global_unstructured([(m, "weight")], prune.L1Unstructured, amount=7),
        without_lowest(abs(WEIGHT), 7),
    ),
}


@pytest.mark.parametrize("name", MASKS)
def test_masks(name):
    call, mask = MASKS[name]
    layer = linear()
    weight = layer.weight
    call(layer)
    assert layer.weight_orig is weight and prune.is_pruned(nn.Sequential(layer))
    assert list(layer.state_dict()) == ["bias", "weight_orig", "weight_mask"]
    np.testing.assert_array_equal(numbers(layer.weight_mask), mask)
    np.testing.assert_array_equal(numbers(layer.weight), WEIGHT * mask)
    x = RNG.normal(size=(3, 4))
    layer(devtensor.tensor(x)).sum().backward()
    np.testing.assert_allclose(numbers(weight.grad), np.broadcast_to(x.sum(0), (6, 4)) * mask)
    with devtensor.no_grad():
        weight.add_(1)
    layer(devtensor.tensor(x))
    np.testing.assert_allclose(numbers(layer.weight), (WEIGHT + 1) * mask)
    prune.remove(layer, "weight")
    assert layer.weight is weight and list(layer.state_dict()) == ["bias", "weight"]
    assert not prune.is_pruned(layer)
    np.testing.assert_allclose(numbers(weight), (WEIGHT + 1) * mask)


@pytest.mark.parametrize("dim", [0, 1])
def test_random_lines(dim):
    layer = prune.random_structured(linear(), "weight", 0.5, dim)
    sums = numbers(layer.weight_mask).sum(1 - dim)
    assert sorted(sums) == [0] * (len(sums) // 2) + [WEIGHT.shape[1 - dim]] * (len(sums) // 2)


def test_random_numbers():
    layer = prune.random_unstructured(linear(), "weight", 10)
    assert numbers(layer.weight_mask).sum() == 14
    prune.random_unstructured(layer, "weight", 0.5)
    assert numbers(layer.weight_mask).sum() == 7
    method = prune.RandomUnstructured(3)
    assert (numbers(method.prune(devtensor.ones(2, 5))) == 0).sum() == 3


def test_lines_are_chosen_among_those_left():
    layer = prune.ln_structured(linear(), "weight", 2, 1, 0)
    prune.ln_structured(layer, "weight", 0.5, 1, 0)
    lengths = np.abs(WEIGHT).sum(1)
    np.testing.assert_array_equal(numbers(layer.weight_mask), lines_without_lowest(lengths, 4, 0))
    (hook,) = layer._forward_pre_hooks.values()
    assert isinstance(hook, prune.PruningContainer) and len(hook) == 2 and hook[1] in list(hook)


def test_several_tensors_together():
    layer = linear()
    bias = numbers(layer.bias)
    scores = {(layer, "bias"): devtensor.full((6,), 100.0, dtype=devtensor.float64)}
    for _ in range(2):
        prune.global_unstructured(
            [(layer, "weight"), (layer, "bias")], prune.L1Unstructured, scores, amount=8
        )
    np.testing.assert_array_equal(numbers(layer.weight_mask), without_lowest(abs(WEIGHT), 16))
    np.testing.assert_array_equal(numbers(layer.bias), bias)


class Odd(prune.BasePruningMethod):
    PRUNING_TYPE = "odd"

    def compute_mask(self, t, default_mask):
        return default_mask


REFUSALS = {
    "share above one": (ValueError, lambda m: prune.l1_unstructured(m, "weight", 1.5)),
    "negative": (ValueError, lambda m: prune.l1_unstructured(m, "weight", -1)),
    "a text": (TypeError, lambda m: prune.l1_unstructured(m, "weight", "x")),
    "too many": (ValueError, lambda m: prune.l1_unstructured(m, "weight", 25)),
    "lines of a vector": (ValueError, lambda m: prune.ln_structured(m, "bias", 1, 2, 0)),
    "no such dim": (IndexError, lambda m: prune.ln_structured(m, "weight", 1, 2, 4)),
    "scores of another shape": (
        AssertionError,
        lambda m: prune.l1_unstructured(m, "weight", 1, devtensor.ones(3)),
    ),
    "mask of another shape": (
        AssertionError,
        lambda m: prune.custom_from_mask(m, "weight", devtensor.ones(3)),
    ),
    "no parameters": (TypeError, lambda m: prune.global_unstructured(3, prune.L1Unstructured, amount=1)),
    "a structured method": (
        TypeError,
        lambda m: prune.global_unstructured([(m, "weight")], prune.LnStructured, amount=1, n=2),
    ),
    "a list of scores": (
        TypeError,
        lambda m: prune.global_unstructured([(m, "weight")], prune.L1Unstructured, [1], amount=1),
    ),
    "not pruned": (ValueError, lambda m: prune.remove(m, "weight")),
    "an unknown type, added": (ValueError, lambda m: (prune.identity(m, "weight"), Odd.apply(m, "weight"))),
    "not a method": (TypeError, lambda m: prune.PruningContainer().add_pruning_method(3)),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    error, call = REFUSALS[name]
    with pytest.raises(error):
        call(linear())


def test_a_refused_method_leaves_the_layer_as_it_was():
    layer = linear()
    with pytest.raises(ValueError, match="should be smaller"):
        prune.l1_unstructured(layer, "weight", 25)
    assert sorted(layer.state_dict()) == ["bias", "weight"] and not layer._forward_pre_hooks


FUSED = {
    "Linear": (lambda: nn.Linear(3, 4), nn.BatchNorm1d, (5, 3), {}),
    "Linear without bias": (lambda: nn.Linear(3, 4, bias=False), nn.BatchNorm1d, (5, 3), {}),
    "Conv1d": (lambda: nn.Conv1d(3, 4, 2), nn.BatchNorm1d, (2, 3, 5), {}),
    "Conv2d": (lambda: nn.Conv2d(3, 4, 2, bias=False), nn.BatchNorm2d, (2, 3, 5, 4), {}),
    "ConvTranspose2d": (
        lambda: nn.ConvTranspose2d(3, 4, 2),
        nn.BatchNorm2d,
        (2, 3, 3, 4),
        {"transpose": True},
    ),
}


@pytest.mark.parametrize("name", FUSED)
def test_fusion(name):
    make, norm, shape, options = FUSED[name]
    pair = nn.Sequential(make(), norm(4)).double()
    with devtensor.no_grad():
        for tensor in (*pair[1].parameters(), *pair[1].buffers()):
            if tensor.is_floating_point():
                tensor.copy_(devtensor.tensor(RNG.uniform(0.5, 2, size=tuple(tensor.shape))))
    fuse = nn.utils.fuse_linear_bn_eval if name.startswith("Linear") else nn.utils.fuse_conv_bn_eval
    with pytest.raises(AssertionError, match="only for eval"):
        fuse(pair[0], pair[1], **options)
    pair.eval()
    fused = fuse(pair[0], pair[1], **options)
    x = devtensor.tensor(RNG.normal(size=shape))
    np.testing.assert_allclose(numbers(fused(x)), numbers(pair(x)), rtol=1e-12, atol=1e-12)
    assert type(fused) is type(pair[0]) and isinstance(fused.bias, nn.Parameter)


def test_fusion_refuses():
    with pytest.raises(AssertionError, match="must not be None"):
        nn.utils.fuse_conv_bn_eval(
            nn.Conv1d(1, 1, 1).eval(), nn.BatchNorm1d(1, track_running_stats=False).eval()
        )
    with pytest.raises(AssertionError, match="num_features=3"):
        nn.utils.fuse_linear_bn_eval(nn.Linear(3, 4).eval(), nn.BatchNorm1d(3).eval())


def test_skip_init(device):
    made = nn.utils.skip_init(nn.Linear, 3, 4, device=device, dtype=devtensor.float64)
    assert made.weight.shape == (4, 3) and made.weight.device.type == device
    assert made.weight.dtype is devtensor.float64 and isinstance(made.weight, nn.Parameter)
    with pytest.raises(RuntimeError, match="Expected a Module"):
        nn.utils.skip_init(int, 3)
    with pytest.raises(RuntimeError, match="'device' arg"):
        nn.utils.skip_init(nn.ReLU)


def test_memory_format():
    net = nn.Sequential(nn.Conv2d(3, 4, 2), nn.Sequential(nn.ConvTranspose3d(2, 3, 2)))
    before = [numbers(p) for p in net.parameters()]
    nn.utils.convert_conv2d_weight_memory_format(net, devtensor.channels_last)
    assert net[0].weight.is_contiguous(memory_format=devtensor.channels_last)
    assert net[1][0].weight.is_contiguous()
    nn.utils.convert_conv3d_weight_memory_format(net, devtensor.channels_last_3d)
    assert net[1][0].weight.is_contiguous(memory_format=devtensor.channels_last_3d)
    for param, values in zip(net.parameters(), before, strict=True):
        np.testing.assert_array_equal(numbers(param), values)


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -2])
def test_norm_except_dim(dim):
    values = RNG.normal(size=(3, 4, 2))
    others = None if dim == -1 else tuple(d for d in range(3) if d != dim % 3)
    found = devtensor.norm_except_dim(devtensor.tensor(values), 2, dim)
    expected = np.sqrt((values**2).sum(others, keepdims=dim != -1))
    assert found.shape == expected.shape
    np.testing.assert_allclose(numbers(found), expected)


def test_pruning_amounts_are_checked_at_once():
    with pytest.raises(ArgumentError, match="should either be a float in the range"):
        prune.LnStructured(2.5, 2)
