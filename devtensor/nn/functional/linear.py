"""Fully connected maps and tables of rows."""

from __future__ import annotations

from math import prod

from devtensor.core.dtype import int64
from devtensor.core.errors import ArgumentError, DTypeError
from devtensor.core.tensor import Tensor
from devtensor.ops import linear as ops
from devtensor.ops.compare import eq, where
from devtensor.ops.create import arange, cast
from devtensor.ops.index import embedding as _rows
from devtensor.ops.linalg import matmul
from devtensor.ops.reduce import amax
from devtensor.ops.shape import as_shape

__all__ = ["bilinear", "embedding", "linear", "one_hot"]


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`input` times the transpose of `weight`, plus `bias`.

    Shapes: input (*B, I), weight (O, I), bias (O,) -> (*B, O); weight (I,), bias () -> (*B,)
    Errors: ShapeError if I differs; DTypeError if dtypes differ.
    """
    if weight.array.ndim != 1:
        return ops.linear(input, weight, bias)
    product = matmul(input, weight)
    return product if bias is None else product + bias


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input1 times each matrix of `weight` times input2, plus `bias`.

    Shapes: input1 (*B, I), input2 (*B, J), weight (O, I, J), bias (O,) -> (*B, O)
    """
    outputs, first, second = weight.array.shape
    lead = tuple(input1.array.shape[:-1])
    rows = as_shape(input1, (prod(lead), first))
    products = as_shape(
        matmul(rows, as_shape(weight.permute(1, 0, 2), (first, outputs * second))), (*lead, outputs, second)
    )
    result = (products * input2.unsqueeze(-2)).sum(-1)
    return result if bias is None else result + bias


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of `weight` that `input` names; the row `padding_idx` receives no gradient.

    Shapes: input (*I), weight (V, D) -> (*I, D)
    Errors: IndexingError if an index is not in [0, V). Gradients are dense: `sparse` is refused.
    """
    for name, value in (
        ("max_norm", max_norm),
        ("scale_grad_by_freq", scale_grad_by_freq),
        ("sparse", sparse),
    ):
        if value:
            raise ArgumentError(f"[embedding] {name}={value} is not supported; leave it out")
    rows = _rows(weight, input)
    if padding_idx is None:
        return rows
    count = weight.array.shape[0]
    if not -count <= padding_idx < count:
        raise ArgumentError(f"[embedding] padding_idx {padding_idx} must be within num_embeddings, {count}")
    if not rows.requires_grad:
        return rows
    padding = eq(input, padding_idx % count).unsqueeze(-1)  # type: ignore[attr-defined]
    return where(padding, rows.detach(), rows)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """1 at the place that each element names, 0 elsewhere; without `num_classes`, one more than the largest.

    Shapes: tensor (*S), int64 -> (*S, num_classes)
    Errors: DTypeError for anything but int64; ArgumentError for a negative class, or one that is too large.
    """
    if tensor.kind.dtype is not int64:
        raise DTypeError(
            f"[one_hot] one_hot is only applicable to index tensor of type int64, got {tensor.kind.dtype}"
        )
    if num_classes < 0:
        if not tensor.shape.numel():
            raise ArgumentError(
                "[one_hot] Can not infer total number of classes from empty tensor; give num_classes"
            )
        num_classes = int(amax(tensor).item()) + 1
    classes = arange(0, 1, num_classes, "int64", tensor.kind.device)
    return cast(eq(tensor.unsqueeze(-1), classes), int64)
