"""Normalisation layers' functions."""

from __future__ import annotations

from math import prod
from typing import Any

from devtensor.core.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from devtensor.core.inplace import write
from devtensor.core.state import current, no_grad
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.formats import in_order
from devtensor.nn.functional.pooling import avg_pool2d
from devtensor.ops import norm as ops
from devtensor.ops.batch_norm import batch_norm as batch_norm_op
from devtensor.ops.batch_norm import moments, running_average
from devtensor.ops.create import copy
from devtensor.ops.extremes import maximum
from devtensor.ops.group_norm import group_norm as group_norm_op
from devtensor.ops.lengths import vector_norm
from devtensor.ops.shape import as_shape
from devtensor.ops.windows import pad

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "normalize",
    "rms_norm",
]

EPS: dict[str, float] = {
    **dict.fromkeys(("float16", "bfloat16", "float32", "complex64"), 2.0**-23),
    **dict.fromkeys(("float64", "complex128"), 2.0**-52),
}
"""The spacing of numbers beside 1 in the dtype that a dtype is computed in."""


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: Any = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Each channel less its mean, over its deviation, times `weight` plus `bias`.

    In training the statistics are the batch's, and the running ones, if given, move towards them by
    `momentum`; else the running ones are used.

    Shapes: input (N, C, *S), all others (C,) -> (N, C, *S)
    Source: Ioffe and Szegedy 2015; the running variance takes the unbiased one, as in PyTorch.
    Errors: ShapeError if training has one value per channel; ArgumentError without statistics outside
    training.
    """
    if eps < 0.0 or (training and eps == 0.0):
        raise ArgumentError(f"[batch_norm] batch_norm eps must be positive during training, but got {eps}")
    _check_alike("batch_norm", input, weight, bias, running_mean, running_var)
    if not training and tuple(input.array.shape) != (0,):
        if running_mean is None or running_var is None:
            raise ArgumentError(
                "[batch_norm] Expected running_mean and running_var to be defined when training=False"
            )
        return batch_norm_op(input, running_mean, running_var, weight, bias, eps)
    if tuple(input.array.shape) == (0,):
        return copy(input)
    dims = (0, *range(2, input.array.ndim))
    count = _values_per_channel(input)
    _check_channels(input, running_mean=running_mean, running_var=running_var)
    mean, var = moments(input, dims)
    if running_mean is not None and running_var is not None:
        with no_grad():
            _move(running_mean, mean, momentum)
            _move(running_var, var, momentum, count / (count - 1))
    return batch_norm_op(input, mean, var, weight, bias, eps)


def _check_alike(op: str, input: Tensor, *others: Tensor | None) -> None:
    """Refuse mixed dtypes where no layer, such as autocast, may settle them."""
    if not current().layers:
        ops.check_alike(op, input.kind.dtype, [other.kind.dtype for other in others if other is not None])


def _values_per_channel(input: Tensor) -> int:
    shape = input.array.shape
    count = input.shape.numel() // shape[1] if len(shape) > 1 and shape[1] else 0
    if count == 1:
        raise ArgumentError(
            "[batch_norm] Expected more than 1 value per channel when training, got input size "
            f"{input.shape}; give a larger batch, or call eval()"
        )
    return count


def _check_channels(input: Tensor, **statistics: Tensor | None) -> None:
    """Refuse running statistics of another number of channels, before any is moved."""
    channels = input.array.shape[1] if input.array.ndim > 1 else 0
    for name, running in statistics.items():
        if running is not None and tuple(running.array.shape) != (channels,):
            raise ShapeError(
                f"[batch_norm] {name} should contain {channels} elements not {running.shape.numel()}: input "
                f"{tuple(input.array.shape)}, {name} {tuple(running.array.shape)}"
            )


def _move(running: Any, found: Any, momentum: Any, factor: float = 1.0) -> None:
    """Move a running statistic towards `factor` times what the batch gave."""
    if not isinstance(momentum, Tensor):
        write(running, running_average(running, found, momentum, factor))
        return
    moved = running * (1 - momentum) + found * (momentum * factor)
    write(running, ops.in_dtype(moved, running.kind.dtype))


def _last_dims(op: str, input: Tensor, normalized_shape: Any) -> int:
    if isinstance(normalized_shape, int):
        raise ArgumentTypeError(
            f"[{op}] normalized_shape must be tuple of ints, not int; give ({normalized_shape},)"
        )
    shape = tuple(normalized_shape)
    if not shape or tuple(input.array.shape[-len(shape) :]) != shape:
        raise ShapeError(
            f"[{op}] Given normalized_shape={list(shape)}, expected input with shape [*, "
            f"{', '.join(map(str, shape))}], but got input of size{list(input.array.shape)}"
        )
    return len(shape)


def layer_norm(
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """The last dims with mean 0 and variance 1, times `weight` plus `bias`.

    Shapes: input (*B, *normalized_shape), weight, bias (*normalized_shape) -> as input
    """
    count = _last_dims("layer_norm", input, normalized_shape)
    return ops.layer_norm(_row_by_row(input), weight, bias, count, eps)


def rms_norm(
    input: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """The last dims over their root mean square, times `weight`.

    Without `eps` it is that of the dtype in which the norm is computed, float32 for half types.

    Shapes: input (*B, *normalized_shape), weight (*normalized_shape) -> as input
    """
    count = _last_dims("rms_norm", input, normalized_shape)
    eps = EPS.get(input.kind.dtype.name, 0.0) if eps is None else eps
    return ops.rms_norm(_row_by_row(input), weight, count, eps)


def _row_by_row(input: Tensor) -> Tensor:
    """`input` as the result shall lie, as PyTorch's does, whatever the input's own order."""
    return input if input.array.flags.c_contiguous else copy(input)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Channels normalised group by group, times `weight` plus `bias` for each channel.

    Shapes: input (N, C, *S), weight, bias (C,) -> (N, C, *S)
    """
    return group_norm_op(input, weight, bias, num_groups, eps)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Each channel of each sample normalised by itself, or by running statistics.

    Shapes: input (N, C, *S), all others (C,) -> (N, C, *S)
    """
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    _check_alike("instance_norm", input, weight, bias, running_mean, running_var)
    if prod(input.array.shape[2:]) == 1:
        raise ArgumentError(
            "[instance_norm] Expected more than 1 spatial element when training, got input size "
            f"{tuple(input.array.shape)}"
        )
    if running_mean is not None and running_var is not None:
        dims = tuple(range(2, input.array.ndim))
        count = input.shape.numel() // max(1, input.array.shape[0] * input.array.shape[1])
        with no_grad():
            mean, var = moments(input, dims)
            _move(running_mean, mean.mean(0), momentum)
            _move(running_var, var.mean(0), momentum, count / max(1, count - 1))
    return in_order(group_norm_op(input, weight, bias, input.array.shape[1], eps))


def local_response_norm(
    input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    """Each channel over a power of the mean square of its `size` neighbours.

    Shapes: input (N, C, *S) -> (N, C, *S)
    Source: Krizhevsky, Sutskever and Hinton 2012; the mean counts channels that are not there as zeros, as in
    PyTorch.
    Errors: ShapeError unless there are at least 3 dims.
    """
    shape = tuple(input.array.shape)
    if len(shape) < 3:
        raise ArgumentError(
            f"[local_response_norm] Expected 3D or higher dimensionality input (got {len(shape)})"
        )
    if 0 in shape:
        return input
    lines = as_shape(input * input, (shape[0], 1, shape[1], prod(shape[2:])))
    padded = pad(lines, ((0, 0), (0, 0), (size // 2, (size - 1) // 2), (0, 0)))
    near = as_shape(avg_pool2d(padded, (size, 1), 1), shape)
    return input / (near * alpha + k).pow(beta)  # type: ignore[attr-defined]


def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Tensor | None = None) -> Any:
    """`input` over its p-norm along `dim`, which is taken to be at least `eps`.

    Shapes: input (*S) -> (*S)
    """
    if not input.dtype.differentiable:
        raise DTypeError(
            f"[normalize] got {describe(input)}; it needs a floating point or complex dtype; use .float()"
        )
    result = input / maximum(vector_norm(input, dim, True, p), eps)
    return result if out is None else out.copy_(result)  # type: ignore[attr-defined]
