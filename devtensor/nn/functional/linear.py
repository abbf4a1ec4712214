"""Fully connected maps."""

from __future__ import annotations

from math import prod

from devtensor.core.precision import one_op
from devtensor.core.tensor import Tensor
from devtensor.ops import linear as ops
from devtensor.ops.create import cast
from devtensor.ops.linalg import matmul
from devtensor.ops.shape import as_shape

__all__ = ["bilinear", "linear"]


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`input` times the transpose of `weight`, plus `bias`.

    Shapes: input (*B, I), weight (O, I), bias (O,) -> (*B, O); weight (I,), bias () -> (*B,)
    Errors: ShapeError if I differs; DTypeError if dtypes differ.
    """
    if weight.array.ndim != 1:
        return ops.linear(input, weight, bias)
    product = matmul(input, weight)
    return product if bias is None else product + bias


@one_op("widest")
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input1 times each matrix of `weight` times input2, plus `bias`.

    Where autocast lowers the products, the result still has the dtype of `input1`.

    Shapes: input1 (*B, I), input2 (*B, J), weight (O, I, J), bias (O,) -> (*B, O)
    """
    outputs, first, second = weight.array.shape
    lead = tuple(input1.array.shape[:-1])
    rows = as_shape(input1, (prod(lead), first))
    products = as_shape(
        matmul(rows, as_shape(weight.permute(1, 0, 2), (first, outputs * second))), (*lead, outputs, second)
    )
    result = cast(matmul(products, input2.unsqueeze(-1)).squeeze(-1), input1.dtype)
    return result if bias is None else result + bias
