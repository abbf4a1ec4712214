"""Batch norm, the statistics that it takes, and their gradients. Half types are computed in float32."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from devtensor.core.errors import ShapeError
from devtensor.core.op import Dims, Plain, composite
from devtensor.core.placement import PLANES
from devtensor.ops.examples import case, fails
from devtensor.ops.functions import rsqrt
from devtensor.ops.norm import fitting, in_dtype, like_input, statistical, wide_sums
from devtensor.ops.reduce import mean as _mean
from devtensor.ops.reduce import sum as _sum
from devtensor.ops.reduce import widened
from devtensor.ops.shape import as_shape, per_channel


def _two_statistics(op: str, inputs: Any, params: tuple) -> list:
    (dims,) = params
    shape = tuple(size for d, size in enumerate(inputs[0].shape) if d not in dims)
    return [shape, shape]


@composite(dtype=(statistical, statistical), shape=_two_statistics)
def moments(input, dim: Dims = None):
    """Mean and biased variance over `dim`.

    Shapes: input (*S) -> (S without dim), (S without dim)
    """
    mean = _mean(input, dim, True)
    apart = input - mean
    var = _mean(apart * apart, dim)
    return as_shape(mean, tuple(var.array.shape)), var


def _moments_shape(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    expected = tuple(_two_statistics(op, inputs, params)[0])
    for name, spec in zip(("mean", "mean_slope", "var_slope"), inputs[1:], strict=True):
        if spec.shape != expected:
            raise ShapeError(f"[{op}] values {inputs[0].shape}, {name} {spec.shape}; it needs {expected}")
    return inputs[0].shape


@composite(dtype=like_input, shape=_moments_shape, eager=True)
def moments_gradient(values, mean, mean_slope, var_slope, dim: Dims = None):
    """The gradient of the values that gave `moments` this mean, from those of the mean and the variance.

    Shapes: values (*S), mean, mean_slope, var_slope (S without dim) -> (*S)
    """
    shape = tuple(values.array.shape)
    kept = tuple(1 if d in dim else size for d, size in enumerate(shape))
    count = max(1, prod(shape[d] for d in dim))
    slope, shift = as_shape(var_slope * (2 / count), kept), as_shape(mean_slope / count, kept)
    return in_dtype((widened(values) - as_shape(mean, kept)) * slope + shift, values.kind.dtype)


@moments_gradient.examples
def _(make):
    yield case(make(5, 3), make(3), make(3), make(3), dim=0)
    yield case(make(2, 3, 4, 2), make(3), make(3), make(3), dim=(0, 2, 3))
    yield case(make(2, 3, 4), make(2, 4), make(2, 4), make(2, 4), dim=1)
    yield case(make(4, 3, layout="transposed"), make(4), make(4), make(4), dim=1)
    yield case(make(3), make(), make(), make())
    yield fails(make(5, 3), make(5), make(3), make(3), dim=0, error=r"mean \(5,\); it needs \(3,\)")


# Joint because both outputs' gradients meet in the one input.
moments.joint_vjp(lambda gs, input, outs, dim: (moments_gradient(input, outs[0], gs[0], gs[1], dim),))


@moments.examples
def _(make):
    yield case(make(5, 3), dim=0)
    yield case(make(2, 3, 4, 2), dim=(0, 2, 3))
    yield case(make(4, 3, layout="transposed"), dim=(1,))
    yield case(make(3))


def _batch_shape(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    return _channels_fit(op, inputs[0].shape, ("mean", "var", "weight", "bias"), inputs[1:])


def _channels_fit(op: str, shape: Any, names: Sequence[str], specs: Any) -> tuple[int, ...]:
    """The shape, if each of the specs that are there has one number per channel of it."""
    channels = shape[1] if len(shape) > 1 else None
    for name, spec in zip(names, specs, strict=True):
        if spec is not None and spec.shape != (channels,):
            raise ShapeError(
                f"[{op}] input {shape}, {name} {spec.shape}; {name} should contain {channels} elements"
            )
    return shape


@composite(dtype=like_input, shape=_batch_shape, eager=True, placement=PLANES)
def batch_norm(input, mean, var, weight, bias, eps=1e-5):
    """(input - mean) / sqrt(var + eps) * weight + bias for each channel; weight and bias may be None.

    Shapes: input (N, C, *S), mean, var, weight, bias (C,) -> (N, C, *S)
    Source: Ioffe and Szegedy 2015; the statistics are the caller's: those of `moments`, or running ones.
    Errors: ShapeError unless there is one number per channel.
    """
    mean, scale = widened(mean), rsqrt(widened(var) + eps)
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    ndim = input.array.ndim
    return in_dtype(widened(input) * per_channel(scale, ndim) + per_channel(shift, ndim), input.kind.dtype)


def _batch_slopes_shape(op: str, inputs: Any, params: tuple) -> list:
    shape = _channels_fit(op, inputs[1].shape, ("mean", "scale"), inputs[2:])
    if inputs[0].shape != shape:
        raise ShapeError(f"[{op}] grad_output {inputs[0].shape}, input {shape}; both need one shape")
    return [shape, shape[1:2], shape[1:2]]


@composite(dtype=(like_input, wide_sums, wide_sums), shape=_batch_slopes_shape, eager=True)
def batch_norm_gradient(grad_output, input, mean, scale):
    """What `batch_norm`'s gradients are made of, from that of its output.

    The first result is grad_output * scale, the second grad_output summed over all but the channels, the
    third that times (input - mean), summed likewise.

    Shapes: grad_output, input (N, C, *S), mean, scale (C,) -> (N, C, *S), (C,), (C,)
    """
    ndim = input.array.ndim
    dims = (0, *range(2, ndim))
    wide = widened(grad_output)
    apart = widened(input) - per_channel(mean, ndim)
    slope = in_dtype(wide * per_channel(scale, ndim), grad_output.kind.dtype)
    return slope, _sum(wide, dims), _sum(wide * apart, dims)


@batch_norm_gradient.examples
def _(make):
    yield case(make(4, 3), make(4, 3), make(3), make(3))
    yield case(make(2, 3, 4, 2), make(2, 3, 4, 2), make(3), make(3))
    yield case(make(3, 4, layout="transposed"), make(3, 4), make(4), make(4))
    yield fails(make(4, 3), make(3, 3), make(3), make(3), error="both need one shape")
    yield fails(make(4, 3), make(4, 3), make(2), make(3), error="mean should contain 3 elements")


def _all_slopes_shape(op: str, inputs: Any, params: tuple) -> list:
    shape = _channels_fit(op, inputs[1].shape, ("mean", "var", "weight"), inputs[2:])
    if inputs[0].shape != shape:
        raise ShapeError(f"[{op}] grad_output {inputs[0].shape}, input {shape}; both need one shape")
    return [shape, *[shape[1:2]] * 4]


@composite(dtype=(like_input, *[wide_sums] * 4), shape=_all_slopes_shape, eager=True)
def batch_norm_gradients(grad_output, input, mean, var, weight, eps=1e-5):
    """The gradients of `batch_norm`'s input, mean, var, weight and bias, from that of its output.

    Shapes: grad_output, input (N, C, *S), mean, var, weight (C,) -> (N, C, *S), (C,), (C,), (C,), (C,)
    """
    inverse = rsqrt(widened(var) + eps)
    scale = inverse if weight is None else inverse * widened(weight)
    slope, total, along = batch_norm_gradient(grad_output, input, widened(mean), scale)
    of_var = scale * inverse * inverse * along * -0.5
    return slope, -scale * total, of_var, inverse * along, total


@batch_norm_gradients.examples
def _(make):
    positive = {"low": 0.5, "high": 2.0}
    yield case(make(4, 3), make(4, 3), make(3), make(3, **positive), make(3))
    yield case(make(2, 3, 4, 2), make(2, 3, 4, 2), make(3), make(3, **positive), None, eps=0.1)
    yield case(make(3, 4, layout="transposed"), make(3, 4), make(4), make(4, **positive), make(4))
    yield fails(make(4, 3), make(3, 3), make(3), make(3), None, error="both need one shape")
    yield fails(make(4, 3), make(4, 3), make(3), make(2), None, error="var should contain 3 elements")


def _batch_gradients(g: Any, input: Any, mean: Any, var: Any, weight: Any, like: Any, eps: float) -> tuple:
    slopes = batch_norm_gradients(g, input, mean, var, weight, eps)
    return fitting(tuple(zip(slopes, (like.input, like.mean, like.var, like.weight, like.bias), strict=True)))


# Joint because all five need the same two sums over the batch.
batch_norm.joint_vjp(_batch_gradients)


@batch_norm.examples
def _(make):
    positive = {"low": 0.5, "high": 2.0}
    yield case(make(4, 3), make(3), make(3, **positive), make(3), make(3))
    yield case(make(2, 3, 4, 2), make(3), make(3, **positive), None, None, eps=0.1)
    yield case(make(2, 3, 4), make(3), make(3, **positive), make(3), None)
    yield case(make(0, 3), make(3), make(3, **positive), make(3), make(3))
    yield case(make(3, 4, layout="transposed"), make(4), make(4, **positive), make(4), make(4))
    yield fails(make(4, 3), make(2), make(3), None, None, error="mean should contain 3 elements")


def _averaged(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    running, found = (spec.shape for spec in inputs)
    if running != found:
        raise ShapeError(f"[{op}] running {running}, found {found}; both need one shape")
    return running


@composite(dtype=like_input, shape=_averaged, eager=True)
def running_average(running, found, momentum: Plain = 0.1, factor: Plain = 1.0):
    """A running statistic moved towards `found` times `factor` by the share `momentum`, in its own dtype.

    Shapes: running (*S), found (*S) -> (*S)
    """
    moved = widened(running) * (1 - momentum) + widened(found) * (momentum * factor)
    return in_dtype(moved, running.kind.dtype)


@running_average.examples
def _(make):
    yield case(make(3), make(3))
    yield case(make(3), make(3), momentum=0.3, factor=1.25)
    yield fails(make(3), make(4), error="both need one shape")
