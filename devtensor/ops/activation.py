"""Activations: what stands between two layers."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from devtensor.core.errors import ShapeError
from devtensor.core.op import HOLOMORPHIC, OWN, Dim, composite
from devtensor.core.placement import IN_ROWS, LIKE_FIRST
from devtensor.core.rules import Types, broadcast, floating, numeric, only_floating, same_shape
from devtensor.ops.compare import where
from devtensor.ops.error_functions import erf
from devtensor.ops.examples import case, fails, singles
from devtensor.ops.extremes import maximum, minimum
from devtensor.ops.functions import exp, expm1, log1p, tanh
from devtensor.ops.hyperbolic import sigmoid
from devtensor.ops.parts import abs as _abs
from devtensor.ops.shape import getitem
from devtensor.ops.slopes import at_places, relu_gradient, slope
from devtensor.ops.softmax import one_floating


def no_truths(op: str, operands: Any, params: tuple) -> Types:
    """Like `floating`, and bool is refused."""
    numeric(op, operands, params)
    return floating(op, operands, params)


# What runs inside must not widen them: under autocast an activation keeps its input's dtype.
activation = partial(composite, dtype=only_floating, shape=broadcast, inplace=True)


@composite(dtype=numeric, shape=broadcast, inplace=True)
def relu(input):
    """`input` where it is positive, else 0; NaN stays NaN.

    Shapes: input (*S) -> (*S)
    Source: the gradient at 0 is 0, as in PyTorch.
    """
    return maximum(input, 0)


relu.vjp(input=lambda g, out: relu_gradient(g, out))
relu.examples(singles(apart=0.1))


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


@composite(dtype=only_floating, shape=same_shape, placement=LIKE_FIRST)
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


@composite(dtype=one_floating, shape=broadcast, amp="widest")
def gelu_gradient(grad_output, input, approximate="none"):
    """The gradient of a GELU's input, from that of its output.

    Shapes: grad_output (*S), input (*S) -> (*S)
    """
    return _gelu_gradient(grad_output, input, approximate)


@gelu_gradient.examples
def _(make):
    yield case(make(3, 4), make(3, 4))
    yield case(make(2, 0), make(2, 0))
    yield case(make(3, 4), make(3, 4), approximate="tanh")
    yield case(make(4, 3, layout="transposed"), make(4, 3))
    yield case(make(), make())


gelu.vjp(input=lambda g, input, approximate: gelu_gradient(g, input, approximate))
gelu.examples(singles())
gelu.examples(lambda make: iter([case(make(3, 4), approximate="tanh")]))


@slope(complex=HOLOMORPHIC)
def silu_gradient(grad_output, input):
    """The gradient of a SiLU's input, from that of its output.

    Shapes: grad_output (*S), input (*S) -> (*S)
    """
    gate = sigmoid(input)
    return grad_output * (gate * (input * (1 - gate) + 1))


silu_gradient.examples(at_places())


@activation(complex=HOLOMORPHIC)
def silu(input):
    """`input` times its sigmoid.

    Shapes: input (*S) -> (*S)
    """
    return input * sigmoid(input)


silu.vjp(input=lambda g, input: silu_gradient(g, input))
silu.examples(singles())


@slope()
def elu_gradient(grad_output, input, alpha=1.0, scale=1.0, input_scale=1.0):
    """The gradient of an ELU's input, from that of its output.

    Shapes: grad_output (*S), input (*S) -> (*S)
    """
    below = grad_output * exp(minimum(input, 0) * input_scale) * (scale * alpha * input_scale)
    return where(input <= 0, below, grad_output * scale)


elu_gradient.examples(at_places(apart=0.1))
elu_gradient.examples(at_places(apart=0.1, alpha=1.7, scale=1.1, input_scale=0.6))


@activation()
def elu(input, alpha=1.0, scale=1.0, input_scale=1.0):
    """scale * `input` where it is positive, else scale * alpha * (exp(input_scale * input) - 1).

    Shapes: input (*S) -> (*S)
    Source: Clevert et al. 2015; the scales make SELU (Klambauer et al. 2017) and CELU (Barron 2017) of it.
    """
    below = expm1(minimum(input, 0) * input_scale) * (scale * alpha)
    return where(input <= 0, below, input * scale)


elu.vjp(input=lambda g, input, alpha, scale, input_scale: elu_gradient(g, input, alpha, scale, input_scale))
elu.examples(singles(apart=0.1))
elu.examples(lambda make: iter([case(make(3, 4, apart=0.1), alpha=1.7, scale=1.1, input_scale=0.6)]))


@slope()
def softplus_gradient(grad_output, input, beta=1.0, threshold=20.0):
    """The gradient of a softplus' input, from that of its output.

    Shapes: grad_output (*S), input (*S) -> (*S)
    """
    scaled = input * beta
    return where(scaled > threshold, grad_output, grad_output * sigmoid(scaled))


softplus_gradient.examples(at_places())
softplus_gradient.examples(at_places(beta=2.0, threshold=1.5))


@activation(amp="float32", inplace=False)
def softplus(input, beta=1.0, threshold=20.0):
    """log(1 + exp(beta * input)) / beta; `input` itself where beta * input exceeds `threshold`.

    Shapes: input (*S) -> (*S)
    """
    scaled = input * beta
    smooth = (log1p(exp(-_abs(scaled))) + maximum(scaled, 0)) / beta
    return where(scaled > threshold, input, smooth)


softplus.vjp(input=lambda g, input, beta, threshold: softplus_gradient(g, input, beta, threshold))
softplus.examples(singles())
softplus.examples(lambda make: iter([case(make(3, 4), beta=2.0, threshold=1.5)]))


@activation(inplace=False, placement=IN_ROWS)
def logsigmoid(input):
    """Logarithm of the sigmoid, exact far below 0.

    Shapes: input (*S) -> (*S)
    """
    return minimum(input, 0) - log1p(exp(-_abs(input)))


logsigmoid.vjp(input=lambda g, input: g * sigmoid(-input))
logsigmoid.examples(singles())


@slope()
def mish_gradient(grad_output, input):
    """The gradient of a mish's input, from that of its output.

    Shapes: grad_output (*S), input (*S) -> (*S)
    """
    inner = tanh(-logsigmoid(-input))
    return grad_output * (inner + input * sigmoid(input) * (1 - inner * inner))


mish_gradient.examples(at_places())


@activation()
def mish(input):
    """`input` times the tanh of its softplus.

    Shapes: input (*S) -> (*S)
    Source: Misra 2019.
    """
    return input * tanh(-logsigmoid(-input))


mish.vjp(input=lambda g, input: mish_gradient(g, input))
mish.examples(singles())


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


@composite(dtype=only_floating, shape=_halved, eager=True)
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
