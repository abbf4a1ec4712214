"""Gradients of activations, each an op of its own, so that a backend may have it in one kernel."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from devtensor.core.op import HOLOMORPHIC, composite
from devtensor.core.rules import broadcast, floating
from devtensor.ops.compare import where
from devtensor.ops.examples import Case, case

slope = partial(composite, dtype=floating, shape=broadcast, amp="widest")


def at_places(apart: float = 0.0, **params: Any) -> Any:
    """Examples of an upstream gradient beside numbers that lie so far from 0 at least."""

    def examples(make: Any) -> Iterator[Case]:
        yield case(make(3, 4), make(3, 4, apart=apart), **params)
        yield case(make(4, 3, layout="transposed"), make(4, 3, apart=apart), **params)
        yield case(make(), make(apart=apart), **params)
        yield case(make(2, 0), make(2, 0), **params)

    return examples


@slope(complex=HOLOMORPHIC)
def sigmoid_gradient(grad_output, output):
    """The gradient of a sigmoid's input, from its output and that one's gradient.

    Shapes: grad_output (*S), output (*S) -> (*S)
    """
    return grad_output * (output * (1 - output))


@slope(complex=HOLOMORPHIC)
def tanh_gradient(grad_output, output):
    """The gradient of a tanh's input, from its output and that one's gradient.

    Shapes: grad_output (*S), output (*S) -> (*S)
    """
    return grad_output * (1 - output * output)


@slope()
def relu_gradient(grad_output, output):
    """The gradient where the output is positive or NaN, else 0.

    Shapes: grad_output (*S), output (*S) -> (*S)
    """
    return where(output <= 0, 0.0, grad_output)


sigmoid_gradient.examples(at_places())
tanh_gradient.examples(at_places())
relu_gradient.examples(at_places(apart=0.1))
