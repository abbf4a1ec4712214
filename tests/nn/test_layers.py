"""Every layer: shapes, dtypes, modes and gradients from one table; what has state or chance by itself."""

from __future__ import annotations

import numpy as np
import pytest

import devtensor
from devtensor import nn
from devtensor.core.errors import ArgumentError, DTypeError, IndexingError, ShapeError
from layer_table import IN_USE_ALONE, LAYERS, differentiable, made, numbers

DTYPES = ("float16", "bfloat16", "float32", "float64")
TOLERANCES = {"float16": 1e-2, "bfloat16": 8e-2, "float32": 1e-5, "float64": 1e-12}
# Running statistics and tables that are shortened in training start from the same numbers in every dtype.
MODES = [(name, mode) for name in LAYERS for mode in (True, False) if not (mode and name in IN_USE_ALONE)]


def outcome(name: str, dtype: str, training: bool, rounded: str, device: str = "cpu") -> tuple:
    """What the layer gives, and its gradients by inputs and by parameters."""
    layer, inputs, shape = made(name, dtype, device, rounded)
    leaves = [*differentiable(inputs), *layer.parameters()]
    devtensor.manual_seed(0)
    out = layer.train(training)(*inputs)
    assert tuple(out.shape) == shape and out.dtype is getattr(devtensor, dtype)
    assert out.device.type == device
    weights = devtensor.tensor(np.random.default_rng(2).uniform(0.5, 1.5, shape), device=device)
    (out * weights.to(out.dtype)).sum().backward()
    for leaf in leaves:
        assert leaf.grad is not None and leaf.grad.dtype is leaf.dtype
    return numbers(out), [numbers(leaf.grad) for leaf in leaves]


def assert_near(found: np.ndarray, wanted: np.ndarray, tolerance: float) -> None:
    """Equal up to a share of the largest number."""
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance * (1 + abs(wanted).max()))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "training"), MODES)
def test_results_and_gradients_in_every_precision(name, training, dtype):
    found, grads = outcome(name, dtype, training, dtype)
    wanted, exact = outcome(name, "float64", training, dtype)
    assert_near(found, wanted, TOLERANCES[dtype])
    for ours, theirs in zip(grads, exact, strict=True):
        assert_near(ours, theirs, TOLERANCES[dtype] * 5)


@pytest.mark.parametrize(("name", "training"), MODES)
def test_devices_agree(name, training, device):
    found, grads = outcome(name, "float32", training, "float32", device)
    wanted, expected = outcome(name, "float32", training, "float32")
    assert_near(found, wanted, 1e-5)
    for ours, theirs in zip(grads, expected, strict=True):
        assert_near(ours, theirs, 1e-4)


@pytest.mark.parametrize("name", [n for n in LAYERS if n.startswith(("BatchNorm", "InstanceNorm2d"))])
def test_running_statistics(name):
    layer, (x,), _ = made(name, "float64")
    if layer.running_mean is None:
        layer(x)
        assert layer.num_batches_tracked is None and list(layer.buffers()) == []
        return
    mean, var = np.zeros(layer.num_features), np.ones(layer.num_features)
    rng = np.random.default_rng(2)
    for step in range(3):
        batch = rng.normal(size=tuple(x.shape)) * 3 + 1
        layer(devtensor.tensor(batch))
        rest = tuple(d for d in range(batch.ndim) if d != 1)
        if name.startswith("Instance"):
            found = batch.mean(rest), batch.var(rest[1:], ddof=1).mean(0)
            momentum = 0.1
        else:
            found = batch.mean(rest), batch.var(rest, ddof=1)
            momentum = 0.1 if layer.momentum else 1 / (step + 1)
        mean, var = mean + momentum * (found[0] - mean), var + momentum * (found[1] - var)
    rtol = 1e-6 if layer.momentum is None else 1e-12
    np.testing.assert_allclose(numbers(layer.running_mean), mean, rtol=rtol)
    np.testing.assert_allclose(numbers(layer.running_var), var, rtol=rtol)
    if not name.startswith("Instance"):
        assert layer.num_batches_tracked.item() == 3
    layer.eval()
    shape = (-1, *(1,) * (x.ndim - 2))
    scale, shift = numbers(layer.weight).reshape(shape), numbers(layer.bias).reshape(shape)
    expected = (numbers(x) - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + layer.eps) * scale + shift
    np.testing.assert_allclose(numbers(layer(x)), expected, rtol=1e-5)
    np.testing.assert_allclose(numbers(layer.running_mean), mean, rtol=rtol)


def test_batch_norm_in_mixed_precision_keeps_float32_statistics():
    layer = nn.BatchNorm1d(3)
    x = (devtensor.tensor(np.random.default_rng(0).normal(size=(64, 3))) * 100 + 500).half().requires_grad_()
    out = layer(x)
    assert out.dtype is devtensor.float16 and layer.running_var.dtype is devtensor.float32
    assert abs(numbers(out).std() - 1) < 1e-2
    out.sum().backward()
    assert x.grad.dtype is devtensor.float16 and layer.weight.grad.dtype is devtensor.float32


def test_batch_norm_refuses_what_it_cannot_normalise():
    with pytest.raises(ArgumentError, match="more than 1 value per channel"):
        nn.BatchNorm1d(3)(devtensor.ones(1, 3))
    with pytest.raises(ArgumentError, match=r"expected 4D input \(got 2D"):
        nn.BatchNorm2d(3)(devtensor.ones(2, 3))
    with pytest.raises(ShapeError, match="should contain 4 elements"):
        nn.BatchNorm1d(3)(devtensor.ones(2, 4))


@pytest.mark.parametrize("p", [0.0, 0.25, 0.8, 1.0])
def test_dropout_keeps_the_mean_and_is_idle_in_use(p):
    devtensor.manual_seed(0)
    layer = nn.Dropout(p)
    x = devtensor.ones(20000, requires_grad=True)
    out = layer(x)
    kept = numbers(out) != 0
    assert abs(kept.mean() - (1 - p)) < 0.02
    if p < 1:
        np.testing.assert_allclose(numbers(out)[kept], 1 / (1 - p), rtol=1e-6)
    out.sum().backward()
    np.testing.assert_array_equal(numbers(x.grad), numbers(out))
    assert layer.eval()(x) is x


def test_dropout_forms():
    devtensor.manual_seed(0)
    x = devtensor.ones(50, 20, 3, 3)
    by_channel = numbers(nn.Dropout2d(0.5)(x)).reshape(1000, 9)
    assert set(by_channel.min(1)) == set(by_channel.max(1)) == {0.0, 2.0}
    assert (by_channel.min(1) == by_channel.max(1)).all()
    normal = devtensor.randn(50000)
    dropped = numbers(nn.AlphaDropout(0.3)(normal))
    assert abs(dropped.mean()) < 0.03 and abs(dropped.std() - 1) < 0.03
    y = devtensor.ones(100)
    assert nn.Dropout(0.5, inplace=True)(y) is y and numbers(y).max() == 2
    with pytest.raises(ArgumentError, match="between 0 and 1, but got 2"):
        nn.Dropout(2)


def test_embedding():
    devtensor.manual_seed(0)
    table = nn.Embedding(5, 3, padding_idx=-1)
    assert table.padding_idx == 4 and numbers(table.weight)[4].tolist() == [0, 0, 0]
    index = devtensor.tensor([[0, 4, 0], [2, 4, 1]])
    out = table(index)
    np.testing.assert_array_equal(numbers(out), numbers(table.weight)[np.array(index.tolist())])
    out.sum().backward()
    assert numbers(table.weight.grad)[:, 0].tolist() == [2, 1, 1, 0, 0]
    with pytest.raises(IndexingError):
        table(devtensor.tensor([5]))
    with pytest.raises(DTypeError, match="to have int64 or int32"):
        table(devtensor.tensor([0.5]))
    frozen = nn.Embedding.from_pretrained(devtensor.ones(2, 3))
    assert not frozen.weight.requires_grad and frozen(devtensor.tensor(1)).tolist() == [1, 1, 1]
    with pytest.raises(AssertionError, match="must be within num_embeddings"):
        nn.Embedding(3, 2, padding_idx=3)


def test_activations_in_place():
    for layer in (
        nn.ReLU(True),
        nn.LeakyReLU(0.1, True),
        nn.ELU(inplace=True),
        nn.SiLU(True),
        nn.Hardtanh(inplace=True),
    ):
        x = devtensor.tensor([-2.0, 0.5, 3.0])
        expected = type(layer)()(x) if not isinstance(layer, nn.LeakyReLU) else nn.LeakyReLU(0.1)(x)
        assert layer(x) is x and x.tolist() == expected.tolist()
    leaf = devtensor.ones(2, requires_grad=True)
    middle = leaf * -3
    nn.ReLU(inplace=True)(middle).sum().backward()
    assert leaf.grad.tolist() == [0, 0]


def test_transposed_convolution_reaches_a_size():
    layer = nn.ConvTranspose1d(1, 1, 3, stride=2)
    x = devtensor.ones(1, 1, 4)
    assert layer(x, output_size=[10]).shape == (1, 1, 10)
    with pytest.raises(ArgumentError, match="requested an output size of"):
        layer(x, output_size=[12])


BAD_SETTINGS = {
    "divisible by groups": lambda: nn.Conv2d(3, 4, 3, groups=2),
    "padding_mode must be one of": lambda: nn.Conv2d(3, 4, 3, padding_mode="odd"),
    "Invalid padding string": lambda: nn.Conv2d(3, 4, 3, padding="odd"),
    "not supported for strided": lambda: nn.Conv2d(3, 4, 3, stride=2, padding="same"),
    "kernel_size is": lambda: nn.Conv2d(3, 4, (3, 3, 3)),
    "must be divisible by num_groups": lambda: nn.GroupNorm(3, 4),
    'Only "zeros" padding mode': lambda: nn.ConvTranspose1d(1, 1, 1, padding_mode="reflect"),
}


@pytest.mark.parametrize("text", BAD_SETTINGS)
def test_bad_settings(text):
    with pytest.raises(ArgumentError, match=text):
        BAD_SETTINGS[text]()


BAD_INPUTS = {
    "cannot be multiplied": (lambda: nn.Linear(3, 4), (2, 5)),
    "to have 3 channels, but got 2": (lambda: nn.Conv2d(3, 4, 3), (1, 2, 5, 5)),
    "Kernel size can't be greater": (lambda: nn.Conv2d(3, 4, 3), (1, 3, 2, 5)),
    r"Expected 3D \(unbatched\) or 4D": (lambda: nn.Conv2d(3, 4, 3), (3, 5)),
    "expected input with shape": (lambda: nn.LayerNorm(3), (2, 4)),
    "Output size is too small": (lambda: nn.MaxPool2d(3), (1, 2, 2, 4)),
    "at most half of kernel size": (lambda: nn.AvgPool2d(2, padding=2), (1, 2, 4, 4)),
    "Halving dimension must be even": (lambda: nn.GLU(), (2, 3)),
    "Padding size should be less": (lambda: nn.ReflectionPad1d(4), (1, 2, 4)),
}


@pytest.mark.parametrize("text", BAD_INPUTS)
def test_bad_inputs(text):
    make, shape = BAD_INPUTS[text]
    with pytest.raises(ShapeError, match=text):
        make()(devtensor.ones(*shape))


def test_dtypes_that_do_not_match_are_refused():
    with pytest.raises(DTypeError, match="one dtype"):
        nn.Linear(2, 2)(devtensor.ones(2, 2, dtype=devtensor.float64))
    with pytest.raises(DTypeError, match="one dtype"):
        nn.Conv1d(1, 1, 1)(devtensor.ones(1, 1, 2, dtype=devtensor.float64))


def test_without_momentum_statistics_are_those_of_all_batches():
    layer = nn.BatchNorm1d(2, momentum=None).double()
    batches = np.random.default_rng(0).normal(size=(3, 5, 2))
    for batch in batches:
        layer(devtensor.tensor(batch))
    np.testing.assert_allclose(layer.running_mean.numpy(), batches.mean((0, 1)), 1e-14)
    np.testing.assert_allclose(layer.running_var.numpy(), batches.var(1, ddof=1).mean(0), 1e-14)
