"""The affine map of a fully connected layer."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import ShapeError
from devtensor.core.op import composite
from devtensor.core.rules import same
from devtensor.ops.examples import case, fails
from devtensor.ops.linalg import matmul, transposed
from devtensor.ops.reduce import sum_to
from devtensor.ops.shape import as_shape


def _linear_shape(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    source, weight, bias = inputs
    if len(weight.shape) != 2 or not source.shape or source.shape[-1] != weight.shape[1]:
        raise ShapeError(
            f"[{op}] mat1 and mat2 shapes cannot be multiplied: input {source.shape}, weight {weight.shape}; "
            "the last size of input must equal weight's second"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(
            f"[{op}] bias {bias.shape} for weight {weight.shape}; it needs shape {weight.shape[:1]}"
        )
    return (*source.shape[:-1], weight.shape[0])


@composite(dtype=same, shape=_linear_shape, amp="lower")
def linear(input, weight, bias):
    """`input` times the transpose of `weight`, plus `bias` unless that is None.

    Shapes: input (*B, I), weight (O, I), bias (O,) -> (*B, O)
    Errors: ShapeError if I differs or bias does not fit. DTypeError if dtypes differ.
    """
    product = matmul(input, transposed(weight))
    return product if bias is None else product + bias


def _rows(input: Any) -> Any:
    """All leading dims made one."""
    shape = input.array.shape
    if len(shape) == 2:
        return input
    count = 1
    for size in shape[:-1]:
        count *= size
    return as_shape(input, (count, shape[-1]))


linear.vjp(
    input=lambda g, weight: matmul(g, weight),
    weight=lambda g, input: matmul(transposed(_rows(g)), _rows(input)),
    bias=lambda g, like: sum_to(g, like.bias.shape),
)


@linear.examples
def _(make):
    yield case(make(3, 4), make(5, 4), make(5))
    yield case(make(3, 4), make(5, 4), None)
    yield case(make(4), make(5, 4), make(5))
    yield case(make(2, 3, 4), make(5, 4), make(5))
    yield case(make(0, 4), make(5, 4), make(5))
    yield case(make(4, 3, layout="transposed"), make(4, 3, layout="sliced"), make(4))
    yield fails(make(3, 4), make(5, 6), make(5), error="cannot be multiplied|K=4")
