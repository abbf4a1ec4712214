"""Losses that ask for a margin: distances, rankings and labels told apart by at least so much."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.errors import ArgumentError, ShapeError
from devtensor.core.precision import one_op
from devtensor.core.spec import broadcast_shapes
from devtensor.core.tensor import Tensor
from devtensor.nn.functional.geometry import floats_only
from devtensor.nn.functional.loss import as_input, old_reduction
from devtensor.nn.functional.similarity import pairwise_distance
from devtensor.ops.combine import clamp
from devtensor.ops.compare import eq, where
from devtensor.ops.create import cast
from devtensor.ops.extremes import minimum
from devtensor.ops.functions import exp, log1p
from devtensor.ops.loss import check_reduction, reduce_loss

__all__ = [
    "cosine_embedding_loss",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def reduced(op: str, losses: Any, size_average: Any, reduce: Any, reduction: str) -> Any:
    """The losses reduced as asked, also by the older arguments."""
    reduction = old_reduction(size_average, reduce, reduction)
    check_reduction(op, reduction)
    return reduce_loss(losses, reduction)


def above(distance: Any) -> Any:
    """The part above 0, whose slope at exactly 0 is 1, as that of PyTorch's clamp."""
    return clamp(distance, 0, None)


@one_op("float32")
def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """`input` where `target` is 1, and what it lacks to `margin` where it is -1.

    Shapes: input (*S), target (*S) -> () or (*S)
    """
    losses = where(eq(target, 1), 0.0, above(margin - input)) + where(eq(target, -1), 0.0, input)
    return reduced("hinge_embedding_loss", losses, size_average, reduce, reduction)


@one_op("float32")
def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """What `input1` lacks to be `margin` above `input2` where `target` is 1, and below where it is -1.

    Shapes: all of one number of dims that broadcast to (*S) -> () or (*S)
    """
    if not input1.array.ndim == input2.array.ndim == target.array.ndim:
        raise ShapeError(
            "[margin_ranking_loss] margin_ranking_loss : All input tensors should have same dimension but "
            f"got sizes: input1: {input1.shape}, input2: {input2.shape}, target: {target.shape}"
        )
    losses = above(-target * (input1 - input2) + margin)  # type: ignore[operator]
    return reduced("margin_ranking_loss", losses, size_average, reduce, reduction)


@one_op("float32")
def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """1 - cos where `target` is 1, and what the cosine exceeds `margin` by where it is -1.

    Shapes: input1, input2 (N, D), target (N,) -> () or (N,); or all without N
    """
    ndim = target.array.ndim
    if ndim not in (0, 1):
        raise ShapeError(
            "[cosine_embedding_loss] 0D or 1D target tensor expected, multi-target not supported"
        )
    if not input1.array.ndim == input2.array.ndim == ndim + 1:
        raise ShapeError(
            f"[cosine_embedding_loss] {ndim}D target tensor expects {ndim + 1}D input tensors, but found "
            f"inputs with sizes {list(input1.shape)} and {list(input2.shape)}."
        )
    broadcast_shapes("cosine_embedding_loss", [tuple(input1.array.shape), tuple(input2.array.shape)])
    first, second = (_wide_enough(t) for t in (input1, input2))
    # Inside the root, as in PyTorch, so that a vector of zeros has a gradient.
    lengths = ((first * first).sum(-1) + 1e-12) * ((second * second).sum(-1) + 1e-12)
    cosine = (first * second).sum(-1) / lengths.sqrt()
    losses = where(eq(target, 1), 1 - cosine, 0.0) + where(eq(target, -1), above(cosine - margin), 0.0)
    return reduced("cosine_embedding_loss", losses, size_average, reduce, reduction)


def _wide_enough(input: Any) -> Any:
    return input if input.kind.dtype.is_floating_point else cast(input, "float32")


@one_op("float32")
def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """log(1 + exp(-target * input)), with targets 1 and -1, in the dtype of `input`.

    Shapes: input (*S), target (*S) -> () or (*S)
    """
    floats_only("soft_margin_loss", input)
    losses = as_input("soft_margin_loss", log1p(exp(-target * input)), input)  # type: ignore[operator]
    return reduced("soft_margin_loss", losses, size_average, reduce, reduction)


@one_op("float32")
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """What the p-distance to `negative` lacks to be `margin` more than that to `positive`.

    Shapes: all (N, D) or (D,) -> () or (N,) or ()
    Source: Balntas et al. 2016; `swap` takes the negative's distance to the positive where that is less.
    """
    ndims = [t.array.ndim for t in (anchor, positive, negative)]
    if len(set(ndims)) != 1:
        raise ShapeError(
            "[triplet_margin_loss] The anchor, positive, and negative tensors are expected to have the same "
            f"number of dimensions, but got {ndims[0]}D, {ndims[1]}D, and {ndims[2]}D"
        )
    if margin <= 0:
        raise ArgumentError(f"[triplet_margin_loss] margin must be greater than 0, got {margin}")
    losses = _triplets(lambda a, b: pairwise_distance(a, b, p, eps), anchor, positive, negative, margin, swap)
    return reduced("triplet_margin_loss", losses, size_average, reduce, reduction)


def _triplets(
    distance: Callable, anchor: Any, positive: Any, negative: Any, margin: float, swap: bool
) -> Any:
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return above(near - far + margin)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """`triplet_margin_loss` with a distance of the caller's own.

    Shapes: all of one number of dims -> () or what the distance gives
    """
    check_reduction("triplet_margin_with_distance_loss", reduction)
    if margin <= 0:
        raise ArgumentError(
            f"[triplet_margin_with_distance_loss] margin must be greater than 0, got {margin}"
        )
    ndims = {t.array.ndim for t in (anchor, positive, negative)}
    if len(ndims) != 1:
        raise ShapeError(
            "[triplet_margin_with_distance_loss] The anchor, positive, and negative tensors are expected to "
            "have the same number of dimensions"
        )
    losses = _triplets(distance_function or pairwise_distance, anchor, positive, negative, margin, swap)
    return reduce_loss(losses, reduction)
