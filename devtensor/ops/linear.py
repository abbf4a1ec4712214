"""The affine map of a fully connected layer."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import ShapeError
from devtensor.core.op import HOLOMORPHIC, composite
from devtensor.core.rules import Types, numeric, same
from devtensor.ops.examples import case, fails
from devtensor.ops.linalg import as_rows, matmul, transposed
from devtensor.ops.reduce import sum as _sum

Sizes = tuple[int, ...]


def one_numeric(op: str, operands: Any, params: tuple) -> Types:
    """All inputs must have one dtype already, and it must not be bool."""
    numeric(op, operands, params)
    return same(op, operands, params)


def _check(source: Sizes, weight: Sizes, bias: Sizes | None) -> None:
    if len(weight) != 2 or not source or source[-1] != weight[1]:
        raise ShapeError(
            f"[linear] mat1 and mat2 shapes cannot be multiplied: input {source}, weight {weight}; "
            "the last size of input must equal weight's second"
        )
    if bias is not None and bias != weight[:1]:
        raise ShapeError(f"[linear] bias {bias} for weight {weight}; it needs shape {weight[:1]}")


def _linear_shape(op: str, inputs: Any, params: tuple) -> Sizes:
    source, weight, bias = inputs
    _check(source.shape, weight.shape, None if bias is None else bias.shape)
    return (*source.shape[:-1], weight.shape[0])


@composite(dtype=one_numeric, shape=_linear_shape, amp="lower", complex=HOLOMORPHIC)
def linear(input, weight, bias):
    """`input` times the transpose of `weight`, plus `bias` unless that is None.

    Shapes: input (*B, I), weight (O, I), bias (O,) -> (*B, O)
    Errors: ShapeError if I differs or bias does not fit. DTypeError if dtypes differ.
    """
    _check(input.array.shape, weight.array.shape, None if bias is None else bias.array.shape)
    product = matmul(input, transposed(weight))
    return product if bias is None else product + bias


linear.vjp(
    input=lambda g, weight: matmul(g, weight),
    weight=lambda g, input: matmul(transposed(as_rows(g)), as_rows(input)),
    bias=lambda g: _sum(g, tuple(range(g.array.ndim - 1))) if g.array.ndim > 1 else g,
)


@linear.examples
def _(make):
    yield case(make(3, 4), make(5, 4), make(5))
    yield case(make(3, 4), make(5, 4), None)
    yield case(make(4), make(5, 4), make(5))
    yield case(make(2, 3, 4), make(5, 4), make(5))
    yield case(make(0, 4), make(5, 4), make(5))
    yield case(make(4, 3, layout="transposed"), make(4, 3, layout="sliced"), make(4))
    yield fails(make(3, 4), make(5, 6), make(5), error="cannot be multiplied")
    yield fails(make(3, 4), make(5, 4), make(4), error="it needs shape")
