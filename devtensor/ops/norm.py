"""Normalisation. Half types are computed in float32 and rounded once, at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from devtensor.core.dtype import FLOAT, DType, float32
from devtensor.core.errors import DTypeError, ShapeError
from devtensor.core.op import HOLOMORPHIC, composite
from devtensor.core.rules import Operand, Types
from devtensor.ops.create import cast
from devtensor.ops.examples import case, fails
from devtensor.ops.functions import rsqrt
from devtensor.ops.reduce import mean as _mean
from devtensor.ops.reduce import sum as _sum
from devtensor.ops.reduce import widened


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


def fitting(parts: Sequence[tuple[Any, Any]]) -> tuple:
    """Gradients in the dtypes of the inputs that they belong to; None for inputs that are absent."""
    return tuple(None if spec is None else in_dtype(g, spec.dtype) for g, spec in parts)


def wide_sums(op: str, operands: Sequence[Operand], params: tuple) -> Types:
    """Sums of half types are taken, and given, in float32; weights may be wider than the rest."""
    return Types(None, _wide(op, operands[0].dtype))


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


@composite(dtype=(like_input, wide_sums), shape=_layer_slopes_shape, eager=True)
def layer_norm_gradient(grad_output, input, weight, count=1, eps=1e-5):
    """The gradients of a layer norm's input and weight, from that of its output, in float32 or wider.

    Shapes: grad_output (*B, *S), input (*B, *S), weight (*S) or None -> (*B, *S), (*S)
    """
    dims, g = _last(input, count), widened(grad_output)
    standard, inverse = _standard(widened(input), dims, eps)
    weighted = g if weight is None else g * weight
    slope = weighted - _mean(weighted, dims, True) - standard * _mean(weighted * standard, dims, True)
    return in_dtype(slope * inverse, grad_output.kind.dtype), _over(g * standard, tuple(range(dims[0])))


def _row_gradients(make: Any) -> Any:
    yield case(make(3, 4), make(3, 4), make(4))
    yield case(make(2, 3, 4), make(2, 3, 4), make(3, 4), count=2, eps=0.1)
    yield case(make(3, 4), make(3, 4), None)
    yield case(make(5), make(5), make(5))
    yield case(make(3, 4, layout="transposed"), make(3, 4), make(4))
    yield fails(make(3, 4), make(4, 4), None, error="both need one shape")


layer_norm_gradient.examples(_row_gradients)


def _layer_gradients(g: Any, input: Any, weight: Any, like: Any, count: int, eps: float) -> tuple:
    slope, along = layer_norm_gradient(g, input, weight, count, eps)
    rest = tuple(range(len(like.input.shape) - count))
    return fitting(
        (
            (slope, like.input),
            (along if weight is not None else None, like.weight),
            (_over(widened(g), rest) if like.bias is not None else None, like.bias),
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


@composite(dtype=(like_input, wide_sums), shape=_layer_slopes_shape, eager=True, complex=HOLOMORPHIC)
def rms_norm_gradient(grad_output, input, weight, count=1, eps=1e-5):
    """The gradients of an RMS norm's input and weight, from that of its output, in float32 or wider.

    Shapes: grad_output (*B, *S), input (*B, *S), weight (*S) or None -> (*B, *S), (*S)
    """
    dims, g, wide = _last(input, count), widened(grad_output), widened(input)
    inverse = rsqrt(_mean(wide * wide, dims, True) + eps)
    standard = wide * inverse
    weighted = g if weight is None else g * weight
    slope = (weighted - standard * _mean(weighted * standard, dims, True)) * inverse
    return in_dtype(slope, grad_output.kind.dtype), _over(g * standard, tuple(range(dims[0])))


rms_norm_gradient.examples(_row_gradients)


def _rms_gradients(g: Any, input: Any, weight: Any, like: Any, count: int, eps: float) -> tuple:
    slope, along = rms_norm_gradient(g, input, weight, count, eps)
    return fitting(((slope, like.input), (along if weight is not None else None, like.weight)))


rms_norm.joint_vjp(_rms_gradients)


@rms_norm.examples
def _(make):
    yield case(make(3, 4), make(4))
    yield case(make(2, 3, 4), make(3, 4), count=2, eps=0.1)
    yield case(make(2, 3, 4), None)
    yield case(make(3, 4, layout="transposed"), make(4))
    yield fails(make(3, 4), make(3), error="Expected weight to be of same shape")
