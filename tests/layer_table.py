"""Every layer, loss and container with inputs for it: the table that the tests of layers share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import devtensor
from devtensor import nn
from devtensor.nn.utils import parametrizations

Draw = Callable[[np.random.Generator], np.ndarray]


def positive(*shape: int) -> Draw:
    return lambda rng: rng.uniform(0.5, 2.0, size=shape)


def shares(*shape: int) -> Draw:
    return lambda rng: rng.uniform(0.1, 0.9, size=shape)


def labels(count: int, *shape: int) -> Draw:
    return lambda rng: rng.integers(0, count, size=shape)


def signs(*shape: int) -> Draw:
    return lambda rng: np.where(rng.random(shape) < 0.5, -1, 1)


def places(*shape: int, windows: int) -> Draw:
    """Where maxima stood: one place in each window of a flattened plane."""
    return lambda rng: rng.integers(0, 2, size=shape) + 2 * np.arange(windows).reshape(shape[1:])


def given(values: Any) -> Draw:
    return lambda rng: np.array(values)


# How to make the layer, its inputs (normal numbers of a shape, or what a function draws), its output's shape.
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
LAYERS |= {
    "CircularPad1d": (lambda: nn.CircularPad1d((2, 1)), [(2, 3, 4)], (2, 3, 7)),
    "CircularPad2d": (lambda: nn.CircularPad2d(1), [(1, 2, 3, 4)], (1, 2, 5, 6)),
    "ConstantPad2d": (lambda: nn.ConstantPad2d((1, 0, 2, -1), 0.5), [(2, 3, 4)], (2, 4, 5)),
    "ConstantPad3d": (lambda: nn.ConstantPad3d(1, 0.5), [(1, 2, 1, 2)], (1, 4, 3, 4)),
    "ZeroPad1d": (lambda: nn.ZeroPad1d(2), [(2, 3)], (2, 7)),
    "ZeroPad3d": (lambda: nn.ZeroPad3d(1), [(1, 1, 2, 1, 2)], (1, 1, 4, 3, 4)),
    "ReflectionPad1d": (lambda: nn.ReflectionPad1d(2), [(2, 4)], (2, 8)),
    "ReflectionPad3d": (lambda: nn.ReflectionPad3d(1), [(1, 1, 2, 3, 2)], (1, 1, 4, 5, 4)),
    "ReplicationPad2d": (lambda: nn.ReplicationPad2d((2, 0, 1, 1)), [(1, 2, 3, 2)], (1, 2, 5, 4)),
    "ReplicationPad3d": (lambda: nn.ReplicationPad3d(1), [(1, 1, 2, 1, 2)], (1, 1, 4, 3, 4)),
    "InstanceNorm3d": (lambda: nn.InstanceNorm3d(2, affine=True), [(2, 2, 2, 1, 2)], (2, 2, 2, 1, 2)),
    "CrossMapLRN2d": (lambda: nn.CrossMapLRN2d(3), [(2, 4, 2, 3)], (2, 4, 2, 3)),
    "SyncBatchNorm in use": (lambda: nn.SyncBatchNorm(2).eval(), [(3, 2, 4)], (3, 2, 4)),
    "AdaptiveMaxPool1d": (lambda: nn.AdaptiveMaxPool1d(3), [(2, 3, 7)], (2, 3, 3)),
    "AdaptiveMaxPool2d": (lambda: nn.AdaptiveMaxPool2d((2, None)), [(2, 3, 5, 4)], (2, 3, 2, 4)),
    "AdaptiveMaxPool3d": (lambda: nn.AdaptiveMaxPool3d(1), [(1, 3, 2, 2, 2)], (1, 3, 1, 1, 1)),
    "LPPool1d": (lambda: nn.LPPool1d(2, 3, 2), [positive(2, 3, 7)], (2, 3, 3)),
    "LPPool2d": (lambda: nn.LPPool2d(3, (2, 1), ceil_mode=True), [positive(2, 3, 5, 2)], (2, 3, 3, 2)),
    "LPPool3d": (lambda: nn.LPPool3d(2, 2), [positive(1, 2, 4, 2, 3)], (1, 2, 2, 1, 1)),
    "FractionalMaxPool2d": (
        lambda: nn.FractionalMaxPool2d(2, output_size=(3, 2), _random_samples=HALVES[..., :2]),
        [(2, 2, 6, 5)],
        (2, 2, 3, 2),
    ),
    "FractionalMaxPool3d": (
        lambda: nn.FractionalMaxPool3d(2, output_ratio=0.6, _random_samples=HALVES),
        [(2, 2, 5, 5, 4)],
        (2, 2, 3, 3, 2),
    ),
    "MaxUnpool1d": (lambda: nn.MaxUnpool1d(2), [(3, 4), places(3, 4, windows=4)], (3, 8)),
    "MaxUnpool2d": (
        lambda: nn.MaxUnpool2d((1, 2)),
        [(3, 2, 2), places(3, 2, 2, windows=4)],
        (3, 2, 4),
    ),
    "MaxUnpool3d": (
        lambda: nn.MaxUnpool3d((1, 1, 2)),
        [(3, 2, 1, 2), places(3, 2, 1, 2, windows=4)],
        (3, 2, 1, 4),
    ),
    "Fold": (lambda: nn.Fold((4, 5), 2, padding=1, stride=2), [(2, 12, 9)], (2, 3, 4, 5)),
    "Unfold": (lambda: nn.Unfold((2, 3), dilation=2, padding=1), [(2, 3, 4, 5)], (2, 18, 12)),
    "PixelShuffle": (lambda: nn.PixelShuffle(2), [(2, 8, 2, 3)], (2, 2, 4, 6)),
    "PixelUnshuffle": (lambda: nn.PixelUnshuffle(2), [(2, 2, 4, 6)], (2, 8, 2, 3)),
    "ChannelShuffle": (lambda: nn.ChannelShuffle(2), [(2, 4, 3)], (2, 4, 3)),
    "Upsample nearest": (lambda: nn.Upsample(scale_factor=1.5), [(2, 3, 4)], (2, 3, 6)),
    "Upsample linear": (lambda: nn.Upsample(5, mode="linear", align_corners=True), [(2, 3, 4)], (2, 3, 5)),
    "Upsample bicubic": (lambda: nn.Upsample((4, 5), mode="bicubic"), [(1, 2, 3, 3)], (1, 2, 4, 5)),
    "Upsample trilinear": (
        lambda: nn.Upsample(scale_factor=2, mode="trilinear"),
        [(1, 2, 2, 1, 2)],
        (1, 2, 4, 2, 4),
    ),
    "UpsamplingBilinear2d": (lambda: nn.UpsamplingBilinear2d((5, 4)), [(1, 2, 3, 3)], (1, 2, 5, 4)),
    "UpsamplingNearest2d": (lambda: nn.UpsamplingNearest2d(scale_factor=2), [(1, 2, 3, 2)], (1, 2, 6, 4)),
    "Embedding": (lambda: nn.Embedding(5, 3, padding_idx=4), [labels(4, 2, 4)], (2, 4, 3)),
    "Embedding with short rows": (lambda: nn.Embedding(5, 3, max_norm=9.0), [labels(5, 4)], (4, 3)),
    "EmbeddingBag": (lambda: nn.EmbeddingBag(5, 3), [labels(5, 7), given([0, 3, 3])], (3, 3)),
    "EmbeddingBag of sums": (
        lambda: nn.EmbeddingBag(5, 3, mode="sum"),
        [labels(5, 2, 4), given(None), (2, 4)],
        (2, 3),
    ),
    "EmbeddingBag of maxima": (lambda: nn.EmbeddingBag(5, 3, mode="max"), [labels(5, 2, 4)], (2, 3)),
    "BCELoss": (lambda: nn.BCELoss(), [shares(2, 3), shares(2, 3)], ()),
    "CrossEntropyLoss": (
        lambda: nn.CrossEntropyLoss(weight=devtensor.tensor([1.0, 2.0, 0.5]), ignore_index=1),
        [(4, 3, 2), labels(3, 4, 2)],
        (),
    ),
    "NLLLoss": (lambda: nn.NLLLoss(reduction="sum"), [(4, 3), labels(3, 4)], ()),
    "CTCLoss": (
        lambda: OfLogarithms(nn.CTCLoss()),
        [(6, 2, 4), given([[1, 2, 2], [3, 1, 1]]), given([6, 5]), given([3, 2])],
        (),
    ),
    "GaussianNLLLoss": (lambda: nn.GaussianNLLLoss(full=True), [(2, 3), (2, 3), positive(2, 3)], ()),
    "PoissonNLLLoss": (lambda: nn.PoissonNLLLoss(full=True), [(2, 3), positive(2, 3)], ()),
    "CosineEmbeddingLoss": (lambda: nn.CosineEmbeddingLoss(0.1), [(4, 3), (4, 3), signs(4)], ()),
    "HingeEmbeddingLoss": (lambda: nn.HingeEmbeddingLoss(0.7), [(4, 3), signs(4, 3)], ()),
    "MarginRankingLoss": (lambda: nn.MarginRankingLoss(0.3), [(4, 3), (4, 3), signs(4, 3)], ()),
    "MultiLabelMarginLoss": (
        lambda: nn.MultiLabelMarginLoss(),
        [(2, 4), given([[3, 0, -1, 1], [1, -1, 0, 2]])],
        (),
    ),
    "MultiLabelSoftMarginLoss": (
        lambda: nn.MultiLabelSoftMarginLoss(weight=devtensor.tensor([1.0, 2.0, 0.5])),
        [(4, 3), labels(2, 4, 3)],
        (),
    ),
    "MultiMarginLoss": (lambda: nn.MultiMarginLoss(p=2, margin=0.7), [(4, 3), labels(3, 4)], ()),
    "SoftMarginLoss": (lambda: nn.SoftMarginLoss(), [(4, 3), signs(4, 3)], ()),
    "TripletMarginLoss": (lambda: nn.TripletMarginLoss(swap=True), [(4, 3)] * 3, ()),
    "TripletMarginWithDistanceLoss": (
        lambda: nn.TripletMarginWithDistanceLoss(margin=0.5),
        [(4, 3)] * 3,
        (),
    ),
    "AdaptiveLogSoftmaxWithLoss": (
        lambda: First(nn.AdaptiveLogSoftmaxWithLoss(4, 9, [3, 6], div_value=2.0, head_bias=True)),
        [(5, 4), given([0, 4, 8, 2, 5])],
        (5,),
    ),
    "LinearCrossEntropyLoss": (
        lambda: nn.LinearCrossEntropyLoss(4, 3, label_smoothing=0.1),
        [(5, 4), labels(3, 5)],
        (),
    ),
    "RReLU": (lambda: nn.RReLU(), [(3, 4)], (3, 4)),
    "Dropout": (lambda: nn.Dropout(0.4), [(3, 4)], (3, 4)),
    "Dropout1d": (lambda: nn.Dropout1d(0.4), [(3, 4, 2)], (3, 4, 2)),
    "Dropout2d": (lambda: nn.Dropout2d(0.4), [(3, 4, 2, 1)], (3, 4, 2, 1)),
    "Dropout3d": (lambda: nn.Dropout3d(0.4), [(3, 4, 2, 1, 1)], (3, 4, 2, 1, 1)),
    "AlphaDropout": (lambda: nn.AlphaDropout(0.4), [(3, 4)], (3, 4)),
    "FeatureAlphaDropout": (lambda: nn.FeatureAlphaDropout(0.4), [(3, 4, 2)], (3, 4, 2)),
    "Sequential": (
        lambda: nn.Sequential(nn.Conv1d(2, 3, 3, padding=1), nn.BatchNorm1d(3), nn.Tanh()),
        [(3, 2, 4)],
        (3, 3, 4),
    ),
    "RNN": (lambda: First(nn.RNN(3, 4, nonlinearity="relu")), [(5, 2, 3)], (5, 2, 4)),
    "LSTM": (lambda: First(nn.LSTM(3, 4, 2, bidirectional=True)), [(3, 2, 3)], (3, 2, 8)),
    "LSTM projected": (lambda: First(nn.LSTM(3, 4, proj_size=2)), [(3, 2, 3)], (3, 2, 2)),
    "GRU": (lambda: First(nn.GRU(3, 4, batch_first=True, bias=False)), [(2, 3, 3)], (2, 3, 4)),
    "RNNCell": (lambda: nn.RNNCell(3, 4), [(2, 3), (2, 4)], (2, 4)),
    "LSTMCell": (lambda: First(nn.LSTMCell(3, 4)), [(2, 3)], (2, 4)),
    "GRUCell": (lambda: nn.GRUCell(3, 4), [(2, 3), (2, 4)], (2, 4)),
    "MultiheadAttention": (lambda: First(nn.MultiheadAttention(4, 2)), [(3, 2, 4)] * 3, (3, 2, 4)),
    "MultiheadAttention of other sizes": (
        lambda: First(nn.MultiheadAttention(4, 2, kdim=3, vdim=2, batch_first=True)),
        [(2, 3, 4), (2, 5, 3), (2, 5, 2)],
        (2, 3, 4),
    ),
    "TransformerEncoderLayer": (
        lambda: nn.TransformerEncoderLayer(4, 2, 5, dropout=0.0, activation="gelu"),
        [(3, 2, 4)],
        (3, 2, 4),
    ),
    "TransformerDecoderLayer": (
        lambda: nn.TransformerDecoderLayer(4, 2, 5, dropout=0.0, norm_first=True, batch_first=True),
        [(2, 3, 4), (2, 5, 4)],
        (2, 3, 4),
    ),
    "Transformer": (
        lambda: nn.Transformer(4, 2, 1, 1, 5, dropout=0.0, activation="gelu", batch_first=True),
        [(1, 3, 4), (1, 2, 4)],
        (1, 2, 4),
    ),
    "ModuleList and ModuleDict": (lambda: Branches(), [(2, 3)], (2, 4)),
    "ParameterList and ParameterDict": (lambda: Weights(), [(2, 3)], (2, 3)),
    "Lazy": (
        lambda: ready(nn.Sequential(nn.LazyConv1d(3, 2), nn.LazyBatchNorm1d(), nn.LazyLinear(2)), 2, 2, 4),
        [(2, 2, 4)],
        (2, 3, 2),
    ),
    "weight norm": (lambda: parametrizations.weight_norm(nn.Linear(3, 4)), [(2, 3)], (2, 4)),
    "spectral norm in use": (
        lambda: parametrizations.spectral_norm(nn.Conv1d(2, 3, 2)).eval(),
        [(2, 2, 4)],
        (2, 3, 3),
    ),
}
# In training a call of these changes what the next one computes.
IN_USE_ALONE = [name for name in LAYERS if name.endswith(" in use")]


class First(nn.Module):
    """The first result of a layer that gives several."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, *inputs: Any) -> Any:
        return self.layer(*inputs)[0]


class Branches(nn.Module):
    """Layers in a list and in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.row = nn.ModuleList([nn.Linear(3, 4), nn.Linear(4, 4)])
        self.ways = nn.ModuleDict({"tanh": nn.Tanh(), "linear": nn.Linear(4, 4)})

    def forward(self, x: Any) -> Any:
        for layer in self.row:
            x = layer(x)
        return self.ways["tanh"](x) + self.ways["linear"](x)


class Weights(nn.Module):
    """Parameters in a list and in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.row = nn.ParameterList([devtensor.ones(3), devtensor.ones(3)])
        self.named = nn.ParameterDict({"scale": devtensor.ones(3)})

    def forward(self, x: Any) -> Any:
        return (x * self.row[0] + self.row[1]).sin() * self.named["scale"]


def ready(layer: nn.Module, *shape: int) -> nn.Module:
    """A lazy layer that has seen an input."""
    layer(devtensor.ones(*shape))
    return layer


class OfLogarithms(nn.Module):
    """A loss of log-probabilities, given logits: its gradient is meant for those."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, logits: Any, *others: Any) -> Any:
        return self.loss(logits.log_softmax(-1), *others)


HALVES = devtensor.full((2, 2, 3), 0.5)


def drawn(shape: Any, rng: np.random.Generator) -> np.ndarray:
    return shape(rng) if callable(shape) else rng.normal(size=shape)


def made(name: str, dtype: str, device: str = "cpu", rounded: str | None = None) -> tuple:
    """The layer with fixed parameters, its inputs, and the shape of its result.

    Numbers are first rounded to the dtype `rounded`.
    """
    make, inputs, shape = LAYERS[name]
    kind = getattr(devtensor, dtype)
    short = getattr(devtensor, rounded or dtype)
    # What a layer draws for its buffers is the same in every dtype.
    devtensor.manual_seed(0)
    layer = make().to(device=device, dtype=kind)
    rng = np.random.default_rng(1)
    with devtensor.no_grad():
        for param in layer.parameters():
            param.copy_(devtensor.tensor(rng.uniform(0.5, 1.5, tuple(param.shape)), device=device).to(short))
    found = []
    for values in (drawn(one, rng) for one in inputs):
        tensor = None if values.dtype == object else devtensor.tensor(values, device=device)
        found.append(tensor.to(short).to(kind) if values.dtype.kind == "f" else tensor)
    return layer, found, shape


def differentiable(tensors: list) -> list:
    """The tensors that have a gradient, made to want one."""
    return [t.requires_grad_() for t in tensors if t is not None and t.is_floating_point()]


def numbers(tensor: Any) -> np.ndarray:
    return np.array(tensor.detach().tolist(), dtype=np.float64)
