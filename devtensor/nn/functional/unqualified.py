"""Layers' functions that PyTorch offers under `torch` itself, in the spellings that they have there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.inplace import copy_into
from devtensor.core.naming import named
from devtensor.core.tensor import Tensor
from devtensor.nn.functional import (
    activation,
    grids,
    normalization,
)
from devtensor.nn.functional.activation import (
    celu,
    celu_,
    hardshrink,
    prelu,
    relu_,
    selu,
    selu_,
    threshold,
    threshold_,
)
from devtensor.nn.functional.convolution import (
    conv1d,
    conv2d,
    conv3d,
    conv_tbc,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from devtensor.nn.functional.dropout import alpha_dropout as _alpha
from devtensor.nn.functional.dropout import dropout as _dropout
from devtensor.nn.functional.dropout import feature_alpha_dropout as _alpha_of_channels
from devtensor.nn.functional.dropout import feature_dropout as _channels
from devtensor.nn.functional.linear import bilinear
from devtensor.nn.functional.normalization import rms_norm
from devtensor.nn.functional.pooling import (
    adaptive_avg_pool1d,
    avg_pool1d,
    max_pool1d,
    max_pool1d_with_indices,
    max_pool2d,
    max_pool3d,
)
from devtensor.nn.functional.pooling import adaptive_max_pool1d_with_indices as adaptive_max_pool1d
from devtensor.nn.functional.shuffling import (
    channel_shuffle,
    native_channel_shuffle,
    pixel_shuffle,
    pixel_unshuffle,
)
from devtensor.nn.functional.similarity import cosine_similarity, pairwise_distance, pdist

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_max_pool1d",
    "affine_grid_generator",
    "alpha_dropout",
    "alpha_dropout_",
    "avg_pool1d",
    "batch_norm",
    "bilinear",
    "celu",
    "celu_",
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_tbc",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cosine_similarity",
    "dropout",
    "dropout_",
    "feature_alpha_dropout",
    "feature_alpha_dropout_",
    "feature_dropout",
    "feature_dropout_",
    "grid_sampler",
    "grid_sampler_2d",
    "grid_sampler_3d",
    "group_norm",
    "hardshrink",
    "instance_norm",
    "layer_norm",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool3d",
    "native_channel_shuffle",
    "pairwise_distance",
    "pdist",
    "pixel_shuffle",
    "pixel_unshuffle",
    "prelu",
    "relu_",
    "rms_norm",
    "rrelu",
    "rrelu_",
    "selu",
    "selu_",
    "threshold",
    "threshold_",
]


def _dropping(function: Callable, name: str, doc: str) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """A dropout under PyTorch's older argument names, and its in-place form."""

    def dropping(input: Tensor, p: float, train: bool) -> Tensor:
        return function(input, p, train)

    def inplace(input: Tensor, p: float, train: bool) -> Tensor:
        return function(input, p, train, True)

    return named(dropping, name, doc), named(inplace, f"{name}_", f"In-place form of `{name}`.")


dropout, dropout_ = _dropping(
    _dropout,
    "dropout",
    "Each element made zero with probability `p`, if `train`; the others divided by 1 - p.",
)
feature_dropout, feature_dropout_ = _dropping(
    _channels,
    "feature_dropout",
    "Whole channels (N, C, *S) made zero with probability `p`, if `train`; others divided by 1 - p.",
)
alpha_dropout, alpha_dropout_ = _dropping(
    _alpha, "alpha_dropout", "Dropout for SELU networks, if `train`: mean and variance stay."
)
feature_alpha_dropout, feature_alpha_dropout_ = _dropping(
    _alpha_of_channels, "feature_alpha_dropout", "`alpha_dropout` of whole channels."
)


def rrelu(
    input: Tensor, lower: float = 0.125, upper: float = 1.0 / 3, training: bool = False, generator: Any = None
) -> Tensor:
    """`input` where it is positive, else times a slope in [lower, upper), drawn in training."""
    if training and generator is not None:
        return activation.with_random_slopes(input, lower, upper, generator)
    return activation.rrelu(input, lower, upper, training)


def rrelu_(
    input: Tensor, lower: float = 0.125, upper: float = 1.0 / 3, training: bool = False, generator: Any = None
) -> Tensor:
    """In-place form of `rrelu`."""
    return copy_into(input, rrelu(input, lower, upper, training, generator))


def batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    """`functional.batch_norm`, weights first."""
    return normalization.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    """`functional.instance_norm`, weights first."""
    return normalization.instance_norm(
        input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


def layer_norm(
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    """`functional.layer_norm`."""
    return normalization.layer_norm(input, normalized_shape, weight, bias, eps)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    """`functional.group_norm`."""
    return normalization.group_norm(input, num_groups, weight, bias, eps)


def _mode(names: dict[str, int], number: int) -> str:
    return next(name for name, value in names.items() if value == number)


def grid_sampler(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """`functional.grid_sample`, its modes numbered."""
    mode = _mode(grids.GRID_SAMPLE_INTERPOLATION_MODES, interpolation_mode)
    padding = _mode(grids.GRID_SAMPLE_PADDING_MODES, padding_mode)
    return grids.grid_sample(input, grid, mode, padding, align_corners)


grid_sampler_2d = grid_sampler_3d = grid_sampler


def affine_grid_generator(theta: Tensor, size: Any, align_corners: bool) -> Tensor:
    """`functional.affine_grid`."""
    return grids.affine_grid(theta, size, align_corners)
