"""Softmax, its logarithm, and their derivatives."""

from __future__ import annotations

from typing import Any

from devtensor.core.op import Dim, Plain, composite
from devtensor.core.rules import Types, only_floating, same, same_shape
from devtensor.ops.examples import along_a_dim, case
from devtensor.ops.functions import exp, log
from devtensor.ops.reduce import amax
from devtensor.ops.reduce import sum as _sum


def one_floating(op: str, operands: Any, params: tuple) -> Types:
    """All inputs must have one dtype already, a floating-point one."""
    only_floating(op, operands, params)
    return same(op, operands, params)


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
def softmax_gradient(grad_output, output, dim: Dim = -1, scale: Plain = 1.0):
    """The gradient of what a softmax of `scale` times it gave `output`, from that of the output.

    It is scale * output * (grad_output - their dot product).

    Shapes: grad_output (*S), output (*S) -> (*S)
    """
    weighted = grad_output * output
    slope = weighted - output * _total(weighted, dim)
    return slope if scale == 1.0 else slope * scale


@softmax_gradient.examples
def _(make):
    yield case(make(2, 3), make(2, 3))
    yield case(make(2, 3, 4), make(2, 3, 4), dim=1)
    yield case(make(4, 3, layout="transposed"), make(4, 3, layout="sliced"), dim=0)
    yield case(make(), make())
    yield case(make(2, 0), make(2, 0), dim=1)
    yield case(make(2, 3), make(2, 3), dim=0, scale=0.25)
    yield case(make(2, 3), make(2, 3), scale=-2.0)


@composite(dtype=one_floating, shape=same_shape, amp="widest")
def log_softmax_gradient(grad_output, output, dim: Dim = -1):
    """The gradient of a log_softmax's input, from that of its output.

    It is grad_output - exp(output) * the sum of grad_output.

    Shapes: grad_output (*S), output (*S) -> (*S)
    """
    return grad_output - exp(output) * _total(grad_output, dim)


@log_softmax_gradient.examples
def _(make):
    logarithms = {"low": -4.0, "high": 0.0}
    yield case(make(2, 3), make(2, 3, **logarithms))
    yield case(make(2, 3, 4), make(2, 3, 4, **logarithms), dim=1)
    yield case(make(4, 3, layout="transposed"), make(4, 3, layout="sliced", **logarithms), dim=0)
    yield case(make(), make(**logarithms))
    yield case(make(2, 0), make(2, 0), dim=1)


softmax.vjp(input=lambda g, out, dim: softmax_gradient(g, out, dim))
log_softmax.vjp(input=lambda g, out, dim: log_softmax_gradient(g, out, dim))
for _op in (softmax, log_softmax):
    _op.examples(along_a_dim())
    _op.examples(lambda make: iter([case(make(2, 3, low=-90, high=90)), case(make(2, 0), dim=1)]))
