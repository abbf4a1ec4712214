"""Losses that tell the labels of a sample apart from all others, by a margin."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import ArgumentError, ShapeError
from devtensor.core.precision import one_op
from devtensor.core.tensor import Tensor
from devtensor.nn.functional.geometry import floats_only
from devtensor.nn.functional.loss import old_reduction
from devtensor.nn.functional.margins import above, reduced
from devtensor.ops.activation import logsigmoid
from devtensor.ops.compare import eq, where
from devtensor.ops.create import arange, cast
from devtensor.ops.gathering import gather
from devtensor.ops.loss import check_reduction
from devtensor.ops.scans import cumsum
from devtensor.ops.shape import as_shape

__all__ = [
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
]


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """Mean over the classes of the cross entropy of sigmoid(input) against `target`.

    Shapes: input (*B, C), target (*B, C), weight broadcasts to these -> () or (*B,)
    """
    losses: Any = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))  # type: ignore[operator]
    losses = losses if weight is None else losses * weight
    means = losses.sum(-1) / losses.shape[-1]
    return reduced("multilabel_soft_margin_loss", means, size_average, reduce, reduction)


def _rows(op: str, input: Tensor) -> tuple[Any, bool]:
    """`input` as (N, C), and whether N had to be added."""
    shape = tuple(input.array.shape)
    if len(shape) > 2 or (len(shape) == 2 and not shape[1]) or shape == (0,):
        raise ShapeError(
            f"[{op}] Expected non-empty vector or matrix with optional 0-dim batch size, but got {shape}"
        )
    return (input, False) if len(shape) == 2 else (as_shape(input, (1, input.shape.numel())), True)


@one_op("float32")
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """How far other classes come nearer than `margin` to the class `target`: the mean of p-th powers.

    Shapes: input (N, C) or (C,), target (N,) or (), weight (C,) -> () or (N,)
    Errors: ArgumentError unless p is 1 or 2; IndexingError for a target that is no class.
    """
    floats_only("multi_margin_loss", input)
    check_reduction("multi_margin_loss", old_reduction(size_average, reduce, reduction))
    if weight is not None and weight.array.ndim != 1:
        raise ArgumentError("[multi_margin_loss] weight must be one-dimensional")
    if p not in (1, 2):
        raise ArgumentError("[multi_margin_loss] only p == 1 and p == 2 supported")
    rows, single = _rows("multi_margin_loss", input)
    count, classes = rows.array.shape
    if target.shape.numel() != count or target.array.ndim > 1:
        raise ShapeError(
            f"[multi_margin_loss] inconsistent target size, expected {count} but got {list(target.shape)}"
        )
    if weight is not None and tuple(weight.array.shape) != (classes,):
        raise ShapeError(
            f"[multi_margin_loss] inconsistent weight size, expected {classes} but got {list(weight.shape)}"
        )
    places = as_shape(target, (count, 1))
    excess = above(rows - gather(rows, places, 1) + margin)
    excess = excess if p == 1 else excess * excess
    if weight is not None:
        excess = excess * as_shape(weight[as_shape(places, (count,))], (count, 1))
    own: Any = eq(places, arange(0, 1, classes, "int64", rows.kind.device))
    losses = where(own, 0.0, excess).sum(1) / classes
    losses = as_shape(losses, ()) if single and not target.array.ndim else losses
    return reduced("multi_margin_loss", losses, size_average, reduce, reduction)


@one_op("float32")
def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """How far other classes come nearer than 1 to the classes that `target` lists up to its first -1.

    Shapes: input (N, C) or (C,), target as input -> () or (N,)
    Errors: ShapeError unless target has input's shape; IndexingError for a target that is no class.
    """
    floats_only("multilabel_margin_loss", input)
    check_reduction("multilabel_margin_loss", old_reduction(size_average, reduce, reduction))
    rows, single = _rows("multilabel_margin_loss", input)
    if tuple(target.array.shape) != tuple(input.array.shape):
        raise ShapeError(
            f"[multilabel_margin_loss] inconsistent target size: {list(target.shape)} for input of size: "
            f"{list(input.shape)}"
        )
    shape = tuple(rows.array.shape)
    listed = as_shape(target, shape)
    counts: Any = eq(cumsum(cast(listed < 0, "int64"), 1), 0)  # type: ignore[operator]
    places: Any = where(counts, listed, 0)
    classes = arange(0, 1, shape[1], "int64", rows.kind.device)
    named = (eq(places.unsqueeze(-1), classes) & counts.unsqueeze(-1)).any(1)
    wanted: Any = gather(rows, places, 1)
    wanted = wanted.unsqueeze(-1)
    excess = above(1 - (wanted - rows.unsqueeze(1)))
    pairs = counts.unsqueeze(-1) & named.unsqueeze(1).logical_not()
    losses = where(pairs, excess, 0.0).sum((1, 2)) / shape[1]
    losses = as_shape(losses, ()) if single else losses
    return reduced("multilabel_margin_loss", losses, size_average, reduce, reduction)
