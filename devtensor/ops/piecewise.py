"""Activations made of straight pieces."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import ShapeError
from devtensor.core.op import composite
from devtensor.core.rules import numeric
from devtensor.ops.activation import activation
from devtensor.ops.compare import where
from devtensor.ops.elementwise import sign
from devtensor.ops.examples import case, fails, singles
from devtensor.ops.extremes import maximum, minimum
from devtensor.ops.parts import abs as _abs
from devtensor.ops.shape import as_shape, per_channel
from devtensor.ops.slopes import at_places, slope
from devtensor.ops.softmax import one_floating


@slope()
def leaky_relu_gradient(grad_output, input, negative_slope=0.01):
    """The gradient where `input` is positive, else `negative_slope` times it.

    Shapes: grad_output (*S), input (*S) -> (*S)
    """
    return where(input > 0, grad_output, grad_output * negative_slope)


leaky_relu_gradient.examples(at_places(apart=0.1))


@activation()
def leaky_relu(input, negative_slope=0.01):
    """`input` where it is positive, else `negative_slope` times it.

    Shapes: input (*S) -> (*S)
    """
    return where(input > 0, input, input * negative_slope)


leaky_relu.vjp(input=lambda g, input, negative_slope: leaky_relu_gradient(g, input, negative_slope))
leaky_relu.examples(singles(apart=0.1))


@slope()
def hardtanh_gradient(grad_output, input, min_val=-1.0, max_val=1.0):
    """The gradient where `input` is between two bounds or NaN, else 0.

    Shapes: grad_output (*S), input (*S) -> (*S)
    """
    return where(input <= min_val, 0.0, where(input >= max_val, 0.0, grad_output))


hardtanh_gradient.examples(at_places(min_val=-0.5, max_val=1.3))


@activation(dtype=numeric)
def hardtanh(input, min_val=-1.0, max_val=1.0):
    """`input` kept between two bounds.

    Shapes: input (*S) -> (*S)
    """
    dtype = input.kind.dtype
    if not dtype.is_floating_point:
        min_val, max_val = int(min_val), int(max_val)
        min_val = min_val if dtype.is_signed else max(min_val, 0)
    return maximum(minimum(input, max_val), min_val)


hardtanh.vjp(input=lambda g, input, min_val, max_val: hardtanh_gradient(g, input, min_val, max_val))
hardtanh.examples(singles())
hardtanh.examples(lambda make: iter([case(make(3, 4), min_val=0.0, max_val=0.5)]))


@activation()
def hardsigmoid(input):
    """input/6 + 1/2, kept between 0 and 1.

    Shapes: input (*S) -> (*S)
    """
    return maximum(minimum(input + 3, 6), 0) / 6


hardsigmoid.vjp(input=lambda g, input: where(_abs(input) < 3, g / 6, 0.0))
hardsigmoid.examples(singles(low=-5, high=5))


@slope()
def hardswish_gradient(grad_output, input):
    """The gradient of a hardswish's input, from that of its output.

    Shapes: grad_output (*S), input (*S) -> (*S)
    """
    between = grad_output * (input / 3 + 0.5)
    return where(input <= -3, 0.0, where(input < 3, between, grad_output))


hardswish_gradient.examples(at_places())


@activation()
def hardswish(input):
    """`input` times its hardsigmoid.

    Shapes: input (*S) -> (*S)
    """
    return input * hardsigmoid(input)


hardswish.vjp(input=lambda g, input: hardswish_gradient(g, input))
hardswish.examples(singles(low=-5, high=5))


@activation(dtype=numeric)
def threshold(input, threshold=0.0, value=0.0):
    """`input` where it exceeds `threshold`, else `value`.

    Shapes: input (*S) -> (*S)
    """
    whole = not input.kind.dtype.is_floating_point
    return where(input <= (int(threshold) if whole else threshold), int(value) if whole else value, input)


threshold.vjp(input=lambda g, input, threshold: where(input <= threshold, 0.0, g))
threshold.examples(singles())
threshold.examples(lambda make: iter([case(make(3, 4), threshold=0.5, value=-1.0)]))


def _parametric(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    shape, weight = inputs[0].shape, inputs[1].shape
    channels = shape[1] if len(shape) > 1 else 1
    if weight not in ((), (1,), (channels,)) or (weight == (channels,) and not shape and channels != 1):
        raise ShapeError(
            f"[{op}] Mismatch of parameter numbers and input channel size: weight {weight}, input {shape}; "
            f"weight needs 1 or {channels} elements"
        )
    return shape


@composite(dtype=one_floating, shape=_parametric, amp="lower", eager=True)
def prelu(input, weight):
    """`input` where it is positive, else `weight` times it; one weight, or one for each channel.

    Shapes: input (N, C, *S), weight (C,) or (1,) -> (N, C, *S)
    Errors: ShapeError for another number of weights.
    """
    if weight.array.ndim:
        ndim = input.array.ndim
        weight = per_channel(weight, ndim) if ndim > 1 else as_shape(weight, (1,) * ndim)
    return where(input > 0, input, input * weight)


@prelu.examples
def _(make):
    yield case(make(3, apart=0.1), make(1))
    yield case(make(2, 3, apart=0.1), make(3))
    yield case(make(2, 3, 2, 2, apart=0.1), make(3))
    yield case(make(2, 3, 2, apart=0.1), make(1))
    yield fails(make(2, 3, 2), make(2), error="Mismatch of parameter numbers")


@activation(inplace=False)
def hardshrink(input, lambd=0.5):
    """`input` where it is further than `lambd` from 0, else 0.

    Shapes: input (*S) -> (*S)
    """
    return where(_abs(input) <= lambd, 0.0, input)


@activation(inplace=False)
def softshrink(input, lambd=0.5):
    """`input` moved towards 0 by `lambd`, and 0 where it is nearer than that.

    Shapes: input (*S) -> (*S)
    """
    return where(_abs(input) <= lambd, 0.0, input - sign(input) * lambd)


for _op in (hardshrink, softshrink):
    _op.vjp(input=lambda g, input, lambd: where(_abs(input) <= lambd, 0.0, g))
    _op.examples(singles())
    _op.examples(lambda make: iter([case(make(3, 4), lambd=1.0)]))
