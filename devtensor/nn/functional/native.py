"""What PyTorch offers under `torch` beneath its layers' functions, with the statistics that they found."""

from __future__ import annotations

from math import prod
from typing import Any

from devtensor.core.tensor import Tensor
from devtensor.functions.out import into
from devtensor.nn.functional import normalization
from devtensor.nn.functional.convolution import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from devtensor.nn.functional.padding import pad as _pad
from devtensor.nn.functional.tables import shorten
from devtensor.ops.batch_norm import moments
from devtensor.ops.create import full
from devtensor.ops.norm import in_dtype
from devtensor.ops.shape import as_shape

__all__ = [
    "constant_pad_nd",
    "convolution",
    "embedding_renorm_",
    "native_batch_norm",
    "native_group_norm",
    "native_layer_norm",
]


def convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> Tensor:
    """Cross-correlation, or with `transposed` its transpose, over as many dims as `weight` has."""
    count = weight.array.ndim - 2
    if transposed:
        function = (conv_transpose1d, conv_transpose2d, conv_transpose3d)[count - 1]
        return function(input, weight, bias, stride, padding, output_padding, groups, dilation)
    return (conv1d, conv2d, conv3d)[count - 1](input, weight, bias, stride, padding, dilation, groups)


def constant_pad_nd(input: Tensor, pad: Any, value: Any = 0) -> Tensor:
    """`input` with borders of `value`: pairs (before, after), for the last dim first."""
    return _pad(input, pad, "constant", value)


def embedding_renorm_(input: Tensor, indices: Tensor, max_norm: float, norm_type: float) -> Tensor:
    """The rows that `indices` names shortened to `max_norm`, in place."""
    shorten("embedding_renorm_", input, indices, max_norm, norm_type)
    return input


def _statistics(input: Any, dims: tuple[int, ...], shape: tuple[int, ...], eps: float) -> tuple[Any, Any]:
    """Means and inverse deviations over `dims`, in the input's dtype."""
    mean, var = moments(input, dims)
    dtype = input.kind.dtype
    return as_shape(in_dtype(mean, dtype), shape), as_shape(in_dtype((var + eps).rsqrt(), dtype), shape)


def native_layer_norm(
    input: Any, normalized_shape: Any, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Any, Any]:
    """`layer_norm`, with the means and the inverse deviations that it found.

    Shapes: input (*B, *S) -> (*B, *S), (*B, 1, ...), (*B, 1, ...)
    """
    result = normalization.layer_norm(input, normalized_shape, weight, bias, eps)
    count, ndim = len(tuple(normalized_shape)), input.array.ndim
    kept = (*input.array.shape[: ndim - count], *(1,) * count)
    return result, *_statistics(input.detach(), tuple(range(ndim - count, ndim)), kept, eps)


def native_group_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    N: int,
    C: int,
    HxW: int,
    group: int,
    eps: float,
) -> tuple[Tensor, Any, Any]:
    """`group_norm`, with the means and the inverse deviations that it found.

    Shapes: input (N, C, *S) -> (N, C, *S), (N, group), (N, group)
    """
    result = normalization.group_norm(input, group, weight, bias, eps)
    grouped = as_shape(input, (N, group, prod(input.array.shape) // max(1, N * group)))
    return result, *_statistics(grouped, (2,), (N, group), eps)


def native_batch_norm(
    input: Any,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    *,
    out: tuple[Tensor, Tensor, Tensor] | None = None,
) -> tuple[Tensor, Any, Any]:
    """`batch_norm`, with the means and the inverse deviations that it found in training, else nothing.

    Shapes: input (N, C, *S) -> (N, C, *S), (C,) or (0,), (C,) or (0,)
    """
    statistics = running_mean, running_var
    result = normalization.batch_norm(input, *statistics, weight, bias, training, momentum, eps)
    if not training:
        nothing = full((0,), 0, input.kind.dtype, input.kind.device)
        return into(out, (result, nothing, nothing))
    dims = (0, *range(2, input.array.ndim))
    return into(out, (result, *_statistics(input.detach(), dims, tuple(input.array.shape[1:2]), eps)))
