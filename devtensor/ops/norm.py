"""Normalisation. Half types are computed in float32 and rounded once, at the end."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from devtensor.core.dtype import FLOAT, DType, float32
from devtensor.core.errors import DTypeError, ShapeError
from devtensor.core.op import HOLOMORPHIC, Dims, composite
from devtensor.core.placement import PLANES
from devtensor.core.rules import Operand, Types
from devtensor.ops.create import cast
from devtensor.ops.examples import case, fails
from devtensor.ops.functions import rsqrt
from devtensor.ops.reduce import mean as _mean
from devtensor.ops.reduce import sum as _sum
from devtensor.ops.reduce import widened
from devtensor.ops.shape import as_shape, per_channel


def _wide(op: str, dtype: DType) -> DType:
    if dtype.category < FLOAT:
        raise DTypeError(
            f"[{op}] got {dtype.name}; it needs floating-point input; convert with .float() first"
        )
    return float32 if dtype.itemsize == 2 else dtype


def statistical(op: str, operands: Sequence[Operand], params: tuple) -> Types:
    """Statistics of half types are taken, and given, in float32."""
    dtype = _wide(op, operands[0].dtype)
    return Types(dtype, dtype)


def like_input(op: str, operands: Sequence[Operand], params: tuple) -> Types:
    """The first input decides; statistics and weights may be wider, as in mixed-precision training."""
    _wide(op, operands[0].dtype)
    return Types(None, operands[0].dtype)


def check_alike(op: str, dtype: DType, others: Sequence[DType]) -> None:
    """Refuse weights and statistics of another dtype than the input's, and than float32 beside a half type.

    Errors: DTypeError that names them.
    """
    if all([other is dtype for other in others]):
        return
    if dtype.itemsize != 2 or any([other is not float32 for other in others]):
        given = ", ".join(other.name for other in others)
        raise DTypeError(
            f"[{op}] mixed dtype: input is {dtype.name}, weights and statistics are {given}; all inputs must "
            "share the same datatype, or be float32 beside a half type; convert with .to(dtype)"
        )


def with_weights(op: str, operands: Sequence[Operand], params: tuple) -> Types:
    """Like `like_input`, of weights in the input's dtype, or in float32 beside a half type."""
    types = like_input(op, operands, params)
    check_alike(op, operands[0].dtype, [operand.dtype for operand in operands[1:]])
    return types


def in_dtype(input: Any, dtype: DType) -> Any:
    """`input` converted, itself if it has the dtype already."""
    return input if input.kind.dtype is dtype else cast(input, dtype)


def _fitting(parts: Sequence[tuple[Any, Any]]) -> tuple:
    """Gradients in the dtypes of the inputs that they belong to; None for inputs that are absent."""
    return tuple(None if spec is None else in_dtype(g, spec.dtype) for g, spec in parts)


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


def _moments_gradient(gs: Any, input: Any, outs: Any, like: Any, dim: tuple[int, ...]) -> tuple:
    shape = like.input.shape
    kept = tuple(1 if d in dim else size for d, size in enumerate(shape))
    count = max(1, prod(shape[d] for d in dim))
    slope, shift = as_shape(gs[1] * (2 / count), kept), as_shape(gs[0] / count, kept)
    return ((input - as_shape(outs[0], kept)) * slope + shift,)


# Joint because both outputs' gradients meet in the one input.
moments.joint_vjp(_moments_gradient)


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
    scale = rsqrt(var + eps)
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    ndim = input.array.ndim
    return in_dtype(widened(input) * per_channel(scale, ndim) + per_channel(shift, ndim), input.kind.dtype)


def _wide_sums(op: str, operands: Sequence[Operand], params: tuple) -> Types:
    """Sums of half types are taken, and given, in float32; weights may be wider than the rest."""
    return Types(None, _wide(op, operands[0].dtype))


def _batch_slopes_shape(op: str, inputs: Any, params: tuple) -> list:
    shape = _channels_fit(op, inputs[1].shape, ("mean", "scale"), inputs[2:])
    if inputs[0].shape != shape:
        raise ShapeError(f"[{op}] grad_output {inputs[0].shape}, input {shape}; both need one shape")
    return [shape, shape[1:2], shape[1:2]]


@composite(dtype=(like_input, _wide_sums, _wide_sums), shape=_batch_slopes_shape, eager=True)
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


def _batch_gradients(g: Any, input: Any, mean: Any, var: Any, weight: Any, like: Any, eps: float) -> tuple:
    inverse = rsqrt(var + eps)
    scale = inverse if weight is None else inverse * weight
    slope, total, along = batch_norm_gradient(g, input, mean, scale)
    return _fitting(
        (
            (slope, like.input),
            (-scale * total, like.mean),
            (scale * inverse * inverse * along * -0.5, like.var),
            (inverse * along, like.weight),
            (total, like.bias),
        )
    )


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


def _layer_shape(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    shape, count = inputs[0].shape, params[0]
    for name, spec in zip(("weight", "bias"), inputs[1:], strict=False):
        if spec is not None and spec.shape != shape[len(shape) - count :]:
            raise ShapeError(
                f"[{op}] Expected {name} to be of same shape as normalized_shape: input {shape}, {name} "
                f"{spec.shape}, the last {count} dim(s) are normalized"
            )
    return shape


def _standard(input: Any, dims: tuple[int, ...], eps: float) -> tuple[Any, Any]:
    """`input` less its mean, over its deviation; and 1 / deviation."""
    apart = input - _mean(input, dims, True)
    inverse = rsqrt(_mean(apart * apart, dims, True) + eps)
    return apart * inverse, inverse


def _last(input: Any, count: int) -> tuple[int, ...]:
    ndim = input.array.ndim
    return tuple(range(ndim - count, ndim))


@composite(dtype=with_weights, shape=_layer_shape, amp="float32", eager=True)
def layer_norm(input, weight, bias, count=1, eps=1e-5):
    """`input` with mean 0 and variance 1 over the last `count` dims, times weight plus bias (or None).

    Shapes: input (*B, *S), weight, bias (*S) -> (*B, *S)
    Source: Ba, Kiros and Hinton 2016.
    """
    result = _standard(widened(input), _last(input, count), eps)[0]
    result = result if weight is None else result * weight
    return in_dtype(result if bias is None else result + bias, input.kind.dtype)


def _layer_slopes_shape(op: str, inputs: Any, params: tuple) -> list:
    shape, count = inputs[1].shape, params[0]
    if inputs[0].shape != shape:
        raise ShapeError(f"[{op}] grad_output {inputs[0].shape}, input {shape}; both need one shape")
    return [shape, shape[len(shape) - count :]]


@composite(dtype=(statistical, statistical), shape=_layer_slopes_shape, amp="float32", eager=True)
def layer_norm_gradient(grad_output, input, weight, count=1, eps=1e-5):
    """The gradients of a layer norm's input and weight, from that of its output.

    Shapes: grad_output (*B, *S), input (*B, *S), weight (*S) or None -> (*B, *S), (*S)
    """
    dims = _last(input, count)
    standard, inverse = _standard(input, dims, eps)
    weighted = grad_output if weight is None else grad_output * weight
    slope = weighted - _mean(weighted, dims, True) - standard * _mean(weighted * standard, dims, True)
    return slope * inverse, _over(grad_output * standard, tuple(range(dims[0])))


@layer_norm_gradient.examples
def _(make):
    yield case(make(3, 4), make(3, 4), make(4))
    yield case(make(2, 3, 4), make(2, 3, 4), make(3, 4), count=2, eps=0.1)
    yield case(make(3, 4), make(3, 4), None)
    yield case(make(5), make(5), make(5))
    yield case(make(3, 4, layout="transposed"), make(3, 4), make(4))
    yield fails(make(3, 4), make(4, 4), None, error="both need one shape")


def _layer_gradients(g: Any, input: Any, weight: Any, like: Any, count: int, eps: float) -> tuple:
    g = widened(g)
    slope, along = layer_norm_gradient(g, widened(input), weight, count, eps)
    rest = tuple(range(len(like.input.shape) - count))
    return _fitting(
        (
            (slope, like.input),
            (along if weight is not None else None, like.weight),
            (_over(g, rest) if like.bias is not None else None, like.bias),
        )
    )


def _over(g: Any, dims: tuple[int, ...]) -> Any:
    return _sum(g, dims) if dims else g


# Joint because input and weight both need the standardised input again.
layer_norm.joint_vjp(_layer_gradients)


@layer_norm.examples
def _(make):
    yield case(make(3, 4), make(4), make(4))
    yield case(make(2, 3, 4), make(3, 4), make(3, 4), count=2, eps=0.1)
    yield case(make(2, 3, 4), None, None)
    yield case(make(5), make(5), None)
    yield case(make(0, 4), make(4), make(4))
    yield case(make(3, 4, layout="transposed"), make(4), make(4))
    yield fails(make(3, 4), make(3), None, error="Expected weight to be of same shape")


@composite(dtype=like_input, shape=_layer_shape, amp="float32", eager=True, complex=HOLOMORPHIC)
def rms_norm(input, weight, count=1, eps=1e-5):
    """`input` over its root mean square over the last `count` dims, times weight, which may be None.

    Shapes: input (*B, *S), weight (*S) -> (*B, *S)
    Source: Zhang and Sennrich 2019.
    """
    wide = widened(input)
    result = wide * rsqrt(_mean(wide * wide, _last(input, count), True) + eps)
    return in_dtype(result if weight is None else result * weight, input.kind.dtype)


def _rms_gradients(g: Any, input: Any, weight: Any, like: Any, count: int, eps: float) -> tuple:
    dims = _last(input, count)
    g, wide = widened(g), widened(input)
    inverse = rsqrt(_mean(wide * wide, dims, True) + eps)
    standard = wide * inverse
    weighted = g if weight is None else g * weight
    return _fitting(
        (
            ((weighted - standard * _mean(weighted * standard, dims, True)) * inverse, like.input),
            (_over(g * standard, tuple(range(dims[0]))) if weight is not None else None, like.weight),
        )
    )


rms_norm.joint_vjp(_rms_gradients)


@rms_norm.examples
def _(make):
    yield case(make(3, 4), make(4))
    yield case(make(2, 3, 4), make(3, 4), count=2, eps=0.1)
    yield case(make(2, 3, 4), None)
    yield case(make(3, 4, layout="transposed"), make(4))
    yield fails(make(3, 4), make(3), error="Expected weight to be of same shape")


def _group_shape(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    shape, groups = inputs[0].shape, params[0]
    if len(shape) < 2 or groups < 1 or shape[1] % groups:
        raise ShapeError(
            f"[{op}] Expected number of channels in input to be divisible by num_groups, but got input of "
            f"shape {list(shape)} and num_groups={groups}"
        )
    for name, spec in zip(("weight", "bias"), inputs[1:], strict=True):
        if spec is not None and spec.shape != shape[1:2]:
            raise ShapeError(
                f"[{op}] Expected {name} to be a vector of size equal to the number of channels in input, "
                f"but got {name} of shape {list(spec.shape)} and input of shape {list(shape)}"
            )
    return shape


@composite(dtype=with_weights, shape=_group_shape, amp="float32", eager=True, placement=PLANES)
def group_norm(input, weight, bias, num_groups=1, eps=1e-5):
    """Channels normalised group by group, times weight plus bias for each channel; these may be None.

    Shapes: input (N, C, *S), weight, bias (C,) -> (N, C, *S)
    Source: Wu and He 2018.
    """
    shape = tuple(input.array.shape)
    wide = widened(input)
    grouped = as_shape(wide, (shape[0], num_groups, prod(shape[1:]) // num_groups))
    result = as_shape(layer_norm(grouped, None, None, 1, eps), shape)
    ndim = len(shape)
    result = result if weight is None else result * per_channel(weight, ndim)
    return in_dtype(result if bias is None else result + per_channel(bias, ndim), input.kind.dtype)


@group_norm.examples
def _(make):
    yield case(make(2, 4), make(4), make(4), num_groups=2)
    yield case(make(2, 4, 3), make(4), None, num_groups=4)
    yield case(make(2, 6, 2, 2), make(6), make(6), num_groups=3, eps=0.1)
    yield case(make(2, 4, 3), None, None)
    yield fails(make(2, 4), None, None, num_groups=3, error="divisible by num_groups")
