"""Activations: what stands between two layers."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from devtensor.core.errors import ShapeError
from devtensor.core.op import HOLOMORPHIC, OWN, Dim, composite
from devtensor.core.placement import LIKE_FIRST
from devtensor.core.rules import Types, broadcast, floating, numeric, only_floating, same, same_shape
from devtensor.ops.compare import where
from devtensor.ops.elementwise import maximum, minimum, sign
from devtensor.ops.examples import along_a_dim, case, fails, singles
from devtensor.ops.functions import erf, exp, expm1, log, log1p, sigmoid, tanh
from devtensor.ops.parts import abs as _abs
from devtensor.ops.reduce import amax
from devtensor.ops.reduce import sum as _sum
from devtensor.ops.shape import as_shape, getitem, per_channel


def no_truths(op: str, operands: Any, params: tuple) -> Types:
    """Like `floating`, and bool is refused."""
    numeric(op, operands, params)
    return floating(op, operands, params)


def one_floating(op: str, operands: Any, params: tuple) -> Types:
    """All inputs must have one dtype already, a floating-point one."""
    only_floating(op, operands, params)
    return same(op, operands, params)


# What runs inside must not widen them: under autocast an activation keeps its input's dtype.
activation = partial(composite, dtype=only_floating, shape=broadcast, amp="widest", inplace=True)


def _from_top(input: Any, dim: int) -> Any:
    """Distances from the largest value along `dim`."""
    return input - amax(input, (dim,), True) if 0 not in input.array.shape else input


@composite(dtype=only_floating, shape=same_shape, amp="float32")
def softmax(input, dim: Dim = -1):
    """exp(input) / sum(exp(input)) along `dim`, computed after subtracting the largest value.

    Shapes: input (*S) -> (*S)
    """
    if not input.array.ndim:
        return exp(input - input)
    powers = exp(_from_top(input, dim))
    return powers / _sum(powers, (dim,), True)


@composite(dtype=only_floating, shape=same_shape, amp="float32")
def log_softmax(input, dim: Dim = -1):
    """Logarithm of `softmax`, computed without leaving the logarithm.

    Shapes: input (*S) -> (*S)
    """
    if not input.array.ndim:
        return input - input
    distances = _from_top(input, dim)
    return distances - log(_sum(exp(distances), (dim,), True))


def _total(g: Any, dim: int) -> Any:
    return _sum(g, (dim,) if g.array.ndim else (), True)


@composite(dtype=one_floating, shape=same_shape, amp="widest")
def softmax_gradient(grad_output, output, dim: Dim = -1):
    """The gradient of a softmax's input, from that of its output: output * (grad_output - their dot product).

    Shapes: grad_output (*S), output (*S) -> (*S)
    """
    weighted = grad_output * output
    return weighted - output * _total(weighted, dim)


@softmax_gradient.examples
def _(make):
    yield case(make(2, 3), make(2, 3))
    yield case(make(2, 3, 4), make(2, 3, 4), dim=1)
    yield case(make(4, 3, layout="transposed"), make(4, 3, layout="sliced"), dim=0)
    yield case(make(), make())
    yield case(make(2, 0), make(2, 0), dim=1)


softmax.vjp(input=lambda g, out, dim: softmax_gradient(g, out, dim))
log_softmax.vjp(input=lambda g, out, dim: g - exp(out) * _total(g, dim))
for _op in (softmax, log_softmax):
    _op.examples(along_a_dim())
    _op.examples(lambda make: iter([case(make(2, 3, low=-90, high=90)), case(make(2, 0), dim=1)]))


def _phi(input: Any) -> Any:
    """Probability that a standard normal lies below `input`."""
    return (erf(input * math.sqrt(0.5)) + 1) * 0.5


def _gelu_inner(input: Any) -> Any:
    return tanh((input + input * input * input * 0.044715) * math.sqrt(2 / math.pi))


def _gelu_gradient(g: Any, input: Any, approximate: str) -> Any:
    if approximate == "none":
        density = exp(input * input * -0.5) * (1 / math.sqrt(2 * math.pi))
        return g * (_phi(input) + input * density)
    inner = _gelu_inner(input)
    slope = (input * input * (3 * 0.044715) + 1) * math.sqrt(2 / math.pi)
    return g * ((inner + 1 + input * (1 - inner * inner) * slope) * 0.5)


@composite(dtype=only_floating, shape=same_shape, amp="widest", placement=LIKE_FIRST)
def gelu(input, approximate="none"):
    """`input` times the probability that a standard normal lies below it.

    Shapes: input (*S) -> (*S)
    Source: Hendrycks and Gimpel 2016; `approximate="tanh"` is their approximation.
    """
    if approximate == "none":
        return input * _phi(input)
    if approximate != "tanh":
        raise ShapeError(f"[gelu] approximate argument must be either none or tanh; got {approximate!r}")
    return input * ((_gelu_inner(input) + 1) * 0.5)


@composite(dtype=one_floating, shape=same_shape, amp="widest")
def gelu_gradient(grad_output, input, approximate="none"):
    """The gradient of a GELU's input, from that of its output.

    Shapes: grad_output (*S), input (*S) -> (*S)
    """
    return _gelu_gradient(grad_output, input, approximate)


@gelu_gradient.examples
def _(make):
    yield case(make(3, 4), make(3, 4))
    yield case(make(3, 4), make(3, 4), approximate="tanh")
    yield case(make(4, 3, layout="transposed"), make(4, 3))
    yield case(make(), make())


gelu.vjp(input=lambda g, input, approximate: gelu_gradient(g, input, approximate))
gelu.examples(singles())
gelu.examples(lambda make: iter([case(make(3, 4), approximate="tanh")]))


def _silu_gradient(g: Any, input: Any) -> Any:
    gate = sigmoid(input)
    return g * (gate * (input * (1 - gate) + 1))


@activation(complex=HOLOMORPHIC)
def silu(input):
    """`input` times its sigmoid.

    Shapes: input (*S) -> (*S)
    """
    return input * sigmoid(input)


silu.vjp(input=_silu_gradient)
silu.examples(singles())


@activation()
def leaky_relu(input, negative_slope=0.01):
    """`input` where it is positive, else `negative_slope` times it.

    Shapes: input (*S) -> (*S)
    """
    return where(input > 0, input, input * negative_slope)


leaky_relu.vjp(input=lambda g, input, negative_slope: where(input > 0, g, g * negative_slope))
leaky_relu.examples(singles(apart=0.1))


@activation()
def elu(input, alpha=1.0, scale=1.0, input_scale=1.0):
    """scale * `input` where it is positive, else scale * alpha * (exp(input_scale * input) - 1).

    Shapes: input (*S) -> (*S)
    Source: Clevert et al. 2015; the scales make SELU (Klambauer et al. 2017) and CELU (Barron 2017) of it.
    """
    below = expm1(minimum(input, 0) * input_scale) * (scale * alpha)
    return where(input > 0, input * scale, below)


elu.vjp(
    input=lambda g, input, alpha, scale, input_scale: where(
        input > 0, g * scale, g * exp(minimum(input, 0) * input_scale) * (scale * alpha * input_scale)
    )
)
elu.examples(singles(apart=0.1))
elu.examples(lambda make: iter([case(make(3, 4, apart=0.1), alpha=1.7, scale=1.1, input_scale=0.6)]))


@activation(amp="float32", inplace=False)
def softplus(input, beta=1.0, threshold=20.0):
    """log(1 + exp(beta * input)) / beta; `input` itself where beta * input exceeds `threshold`.

    Shapes: input (*S) -> (*S)
    """
    scaled = input * beta
    smooth = (log1p(exp(-_abs(scaled))) + maximum(scaled, 0)) / beta
    return where(scaled > threshold, input, smooth)


softplus.vjp(
    input=lambda g, input, beta, threshold: where(input * beta > threshold, g, g * sigmoid(input * beta))
)
softplus.examples(singles())
softplus.examples(lambda make: iter([case(make(3, 4), beta=2.0, threshold=1.5)]))


@activation(inplace=False)
def logsigmoid(input):
    """Logarithm of the sigmoid, exact far below 0.

    Shapes: input (*S) -> (*S)
    """
    return minimum(input, 0) - log1p(exp(-_abs(input)))


logsigmoid.vjp(input=lambda g, input: g * sigmoid(-input))
logsigmoid.examples(singles())


def _mish_gradient(g: Any, input: Any) -> Any:
    inner = tanh(-logsigmoid(-input))
    return g * (inner + input * sigmoid(input) * (1 - inner * inner))


@activation()
def mish(input):
    """`input` times the tanh of its softplus.

    Shapes: input (*S) -> (*S)
    Source: Misra 2019.
    """
    return input * tanh(-logsigmoid(-input))


mish.vjp(input=_mish_gradient)
mish.examples(singles())


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


hardtanh.vjp(
    input=lambda g, input, min_val, max_val: where(input > min_val, where(input < max_val, g, 0.0), 0.0)
)
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


@activation()
def hardswish(input):
    """`input` times its hardsigmoid.

    Shapes: input (*S) -> (*S)
    """
    return input * hardsigmoid(input)


hardswish.vjp(input=lambda g, input: where(input > -3, where(input < 3, g * (input / 3 + 0.5), g), 0.0))
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


@activation(dtype=no_truths, inplace=False, complex=OWN)
def softsign(input):
    """input / (1 + |input|).

    Shapes: input (*S) -> (*S)
    """
    return input / (_abs(input) + 1)


softsign.examples(singles(apart=0.1))


@activation(dtype=no_truths, inplace=False, complex=HOLOMORPHIC)
def tanhshrink(input):
    """`input` less its tanh.

    Shapes: input (*S) -> (*S)
    """
    return input - tanh(input)


tanhshrink.examples(singles())


def _halved(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    (dim,), shape = params, inputs[0].shape
    if not shape or shape[dim] % 2:
        raise ShapeError(f"[{op}] Halving dimension must be even, but dimension {dim} of {shape} is not")
    return (*shape[:dim], shape[dim] // 2, *shape[dim + 1 :])


@composite(dtype=only_floating, shape=_halved, amp="widest", eager=True)
def glu(input, dim: Dim = -1):
    """The first half of `input` along `dim` times the sigmoid of the second.

    Shapes: input (..., 2*D, ...) -> (..., D, ...)
    Errors: ShapeError if the size is odd.
    """
    half = input.array.shape[dim] // 2
    front = (slice(None),) * dim
    return getitem(input, (*front, slice(0, half))) * sigmoid(getitem(input, (*front, slice(half, None))))


@glu.examples
def _(make):
    yield case(make(2, 4))
    yield case(make(2, 4, 3), dim=1)
    yield case(make(6), dim=0)
    yield fails(make(2, 3), error="Halving dimension must be even")


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
    _op.vjp(input=lambda g, input, lambd: where(_abs(input) > lambd, g, 0.0))
    _op.examples(singles())
    _op.examples(lambda make: iter([case(make(3, 4), lambd=1.0)]))
