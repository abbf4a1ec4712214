"""Every layer: shapes, dtypes, modes and gradients from one table; what has state or chance by itself."""

from __future__ import annotations

import numpy as np
import pytest

import devtensor
from devtensor import nn
from devtensor.autograd import gradcheck
from devtensor.core.errors import ArgumentError, DTypeError, IndexingError, ShapeError

# How to make the layer, the shapes of its inputs, and the shape of its output.
LAYERS: dict[str, tuple] = {
    "Identity": (lambda: nn.Identity(1, a=2), [(2, 3)], (2, 3)),
    "Linear": (lambda: nn.Linear(3, 4), [(2, 5, 3)], (2, 5, 4)),
    "Linear of a vector": (lambda: nn.Linear(3, 4, bias=False), [(3,)], (4,)),
    "Bilinear": (lambda: nn.Bilinear(2, 3, 4), [(5, 2), (5, 3)], (5, 4)),
    "Conv1d": (lambda: nn.Conv1d(2, 4, 3, stride=2, groups=2), [(2, 2, 7)], (2, 4, 3)),
    "Conv2d": (lambda: nn.Conv2d(2, 3, (3, 2), padding=(1, 0)), [(2, 2, 4, 5)], (2, 3, 4, 4)),
    "Conv2d same": (lambda: nn.Conv2d(2, 3, 2, padding="same"), [(2, 4, 5)], (3, 4, 5)),
    "Conv2d reflect": (
        lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"),
        [(1, 2, 4, 5)],
        (1, 3, 4, 5),
    ),
    "Conv3d": (lambda: nn.Conv3d(1, 2, 2), [(1, 1, 3, 3, 2)], (1, 2, 2, 2, 1)),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(2, 3, 3, stride=2), [(2, 2, 4)], (2, 3, 9)),
    "ConvTranspose2d": (
        lambda: nn.ConvTranspose2d(2, 4, 3, stride=2, padding=1, output_padding=1, groups=2),
        [(1, 2, 3, 2)],
        (1, 4, 6, 4),
    ),
    "ConvTranspose3d": (lambda: nn.ConvTranspose3d(1, 2, 2), [(1, 1, 2, 2, 2)], (1, 2, 3, 3, 3)),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(3), [(5, 3)], (5, 3)),
    "BatchNorm1d of lengths": (lambda: nn.BatchNorm1d(3, momentum=None), [(2, 3, 4)], (2, 3, 4)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(2), [(3, 2, 2, 3)], (3, 2, 2, 3)),
    "BatchNorm2d untracked": (
        lambda: nn.BatchNorm2d(2, affine=False, track_running_stats=False),
        [(3, 2, 2, 3)],
        (3, 2, 2, 3),
    ),
    "BatchNorm3d": (lambda: nn.BatchNorm3d(2), [(3, 2, 2, 1, 2)], (3, 2, 2, 1, 2)),
    "InstanceNorm1d": (lambda: nn.InstanceNorm1d(2), [(2, 2, 4)], (2, 2, 4)),
    "InstanceNorm2d": (
        lambda: nn.InstanceNorm2d(2, affine=True, track_running_stats=True),
        [(2, 2, 3, 2)],
        (2, 2, 3, 2),
    ),
    "LayerNorm": (lambda: nn.LayerNorm(4), [(3, 4)], (3, 4)),
    "LayerNorm of two dims": (lambda: nn.LayerNorm((3, 4), bias=False), [(2, 3, 4)], (2, 3, 4)),
    "RMSNorm": (lambda: nn.RMSNorm(4), [(3, 4)], (3, 4)),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), [(2, 4, 3)], (2, 4, 3)),
    "LocalResponseNorm": (lambda: nn.LocalResponseNorm(3), [(2, 4, 3)], (2, 4, 3)),
    "MaxPool1d": (lambda: nn.MaxPool1d(3, 2, 1), [(2, 3, 7)], (2, 3, 4)),
    "MaxPool2d": (lambda: nn.MaxPool2d(2, ceil_mode=True), [(2, 3, 5, 4)], (2, 3, 3, 2)),
    "MaxPool3d": (lambda: nn.MaxPool3d(2), [(1, 2, 4, 3, 2)], (1, 2, 2, 1, 1)),
    "AvgPool1d": (lambda: nn.AvgPool1d(2), [(2, 3, 7)], (2, 3, 3)),
    "AvgPool2d": (lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), [(3, 5, 4)], (3, 3, 2)),
    "AvgPool3d": (lambda: nn.AvgPool3d(2), [(1, 2, 4, 3, 2)], (1, 2, 2, 1, 1)),
    "AdaptiveAvgPool1d": (lambda: nn.AdaptiveAvgPool1d(3), [(2, 3, 7)], (2, 3, 3)),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d((1, None)), [(2, 3, 5, 4)], (2, 3, 1, 4)),
    "AdaptiveAvgPool3d": (lambda: nn.AdaptiveAvgPool3d(1), [(2, 3, 2, 2, 2)], (2, 3, 1, 1, 1)),
    "Flatten": (lambda: nn.Flatten(), [(2, 3, 4)], (2, 12)),
    "Unflatten": (lambda: nn.Unflatten(1, (2, -1)), [(3, 4)], (3, 2, 2)),
    "ZeroPad2d": (lambda: nn.ZeroPad2d((1, 2, 0, 1)), [(2, 3, 4)], (2, 4, 7)),
    "ConstantPad1d": (lambda: nn.ConstantPad1d(1, 2.5), [(2, 3)], (2, 5)),
    "ReflectionPad2d": (lambda: nn.ReflectionPad2d(1), [(1, 2, 3, 4)], (1, 2, 5, 6)),
    "ReplicationPad1d": (lambda: nn.ReplicationPad1d((3, 0)), [(1, 2, 3)], (1, 2, 6)),
    "CircularPad3d": (lambda: nn.CircularPad3d(1), [(1, 1, 2, 2, 2)], (1, 1, 4, 4, 4)),
    "GLU": (lambda: nn.GLU(), [(2, 4)], (2, 2)),
    "PReLU": (lambda: nn.PReLU(3), [(2, 3, 4)], (2, 3, 4)),
    "Softmax2d": (lambda: nn.Softmax2d(), [(2, 3, 2, 2)], (2, 3, 2, 2)),
    "CosineSimilarity": (lambda: nn.CosineSimilarity(), [(2, 3), (2, 3)], (2,)),
    "PairwiseDistance": (lambda: nn.PairwiseDistance(keepdim=True), [(2, 3), (2, 3)], (2, 1)),
    "MSELoss": (lambda: nn.MSELoss(), [(2, 3), (2, 3)], ()),
    "L1Loss": (lambda: nn.L1Loss(reduction="none"), [(2, 3), (2, 3)], (2, 3)),
    "SmoothL1Loss": (lambda: nn.SmoothL1Loss(beta=0.5), [(2, 3), (2, 3)], ()),
    "HuberLoss": (lambda: nn.HuberLoss(reduction="sum"), [(2, 3), (2, 3)], ()),
    "BCEWithLogitsLoss": (
        lambda: nn.BCEWithLogitsLoss(pos_weight=devtensor.tensor([1.0, 2.0, 3.0])),
        [(2, 3), (2, 3)],
        (),
    ),
    "CrossEntropyLoss of probabilities": (
        lambda: nn.CrossEntropyLoss(label_smoothing=0.1),
        [(2, 3), (2, 3)],
        (),
    ),
    "KLDivLoss": (lambda: nn.KLDivLoss(reduction="batchmean", log_target=True), [(2, 3), (2, 3)], ()),
}
SAME_SHAPE = [
    nn.ReLU(),
    nn.ReLU6(),
    nn.LeakyReLU(),
    nn.ELU(),
    nn.SELU(),
    nn.CELU(),
    nn.GELU(),
    nn.GELU("tanh"),
    nn.SiLU(),
    nn.Mish(),
    nn.Sigmoid(),
    nn.Tanh(),
    nn.Softmax(1),
    nn.LogSoftmax(1),
    nn.Softmin(1),
    nn.Softplus(),
    nn.Softsign(),
    nn.Tanhshrink(),
    nn.Threshold(0.1, 2.0),
    nn.Hardtanh(),
    nn.Hardswish(),
    nn.Hardsigmoid(),
    nn.LogSigmoid(),
    nn.Hardshrink(),
    nn.Softshrink(),
]
LAYERS |= {repr(layer): ((lambda layer=layer: layer), [(3, 4)], (3, 4)) for layer in SAME_SHAPE}
DTYPES = ("float16", "bfloat16", "float32", "float64")


def made(name: str, dtype: str, device: str = "cpu") -> tuple:
    """The layer with fixed parameters, and its inputs."""
    make, shapes, shape = LAYERS[name]
    layer = make().to(device=device, dtype=getattr(devtensor, dtype))
    rng = np.random.default_rng(1)
    with devtensor.no_grad():
        for param in layer.parameters():
            param.copy_(devtensor.tensor(rng.uniform(0.5, 1.5, tuple(param.shape)), device=device))
    inputs = [
        devtensor.tensor(rng.normal(size=s), device=device).to(getattr(devtensor, dtype)) for s in shapes
    ]
    return layer, inputs, shape


def numbers(tensor) -> np.ndarray:
    return np.array(tensor.detach().tolist(), dtype=np.float64)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LAYERS)
def test_shape_dtype_and_agreement_of_precisions(name, dtype, training):
    layer, inputs, shape = made(name, dtype)
    out = layer.train(training)(*[x.requires_grad_() for x in inputs])
    assert tuple(out.shape) == shape and out.dtype is getattr(devtensor, dtype)
    exact, wide, _ = made(name, "float64")
    expected = numbers(exact.train(training)(*wide))
    tolerance = {"float16": 3e-2, "bfloat16": 2e-1, "float32": 1e-4, "float64": 1e-12}[dtype]
    np.testing.assert_allclose(numbers(out), expected, rtol=tolerance, atol=tolerance)
    out.sum().backward()
    for leaf in (*inputs, *layer.parameters()):
        assert (
            leaf.grad is not None and leaf.grad.dtype is leaf.dtype and np.isfinite(numbers(leaf.grad)).all()
        )


@pytest.mark.parametrize("name", LAYERS)
def test_gradients(name):
    layer, inputs, _ = made(name, "float64")
    leaves = [x.requires_grad_() for x in inputs]
    assert gradcheck(lambda *xs: layer(*xs), leaves)
    names, params = list(layer._parameters), list(layer.parameters())

    def by_parameters(*found):
        for name, param in zip(names, found, strict=False):
            layer._parameters[name] = param
        return layer(*(x.detach() for x in inputs))

    if params:
        assert gradcheck(by_parameters, params)


@pytest.mark.parametrize("name", LAYERS)
def test_devices_agree(name, device):
    layer, inputs, _ = made(name, "float32", device)
    plain, same, _ = made(name, "float32")
    out = layer(*inputs)
    assert out.device.type == device
    np.testing.assert_allclose(numbers(out), numbers(plain(*same)), rtol=1e-4, atol=1e-5)


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


def test_initial_values_follow_the_layer():
    devtensor.manual_seed(0)
    for layer, inputs in (
        (nn.Linear(400, 300), 400),
        (nn.Conv2d(40, 100, 3), 360),
        (nn.Conv1d(40, 80, 5, groups=4), 50),
    ):
        for param in (layer.weight, layer.bias):
            found, limit = numbers(param), 1 / np.sqrt(inputs)
            assert np.abs(found).max() <= limit and np.abs(found).max() > 0.95 * limit
        assert numbers(layer.weight).std() == pytest.approx(limit / np.sqrt(3), rel=0.02)
    table = numbers(nn.Embedding(500, 40).weight)
    assert abs(table.mean()) < 0.03 and abs(table.std() - 1) < 0.03


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
