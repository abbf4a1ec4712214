"""Losses in PyTorch's spellings."""

from __future__ import annotations

import warnings
from typing import Any

from devtensor.core.errors import ArgumentError, DTypeError, ShapeError
from devtensor.core.tensor import Tensor
from devtensor.ops import classification
from devtensor.ops import loss as ops
from devtensor.ops.shape import as_shape

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "smooth_l1_loss",
]


def old_reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """PyTorch's former spelling of `reduction` by two flags, which win where they are given."""
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


def _warn_of_sizes(op: str, input: Tensor, target: Tensor) -> None:
    if input.array.shape != target.array.shape:
        warnings.warn(
            f"[{op}] Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}). This will likely lead to incorrect results due to broadcasting. Please "
            "ensure they have the same size.",
            stacklevel=3,
        )


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Squared distance of `input` from `target`; with `weight`, weighted by it.

    Shapes: input (*A), target (*B), weight as these -> () or broadcast(*A, *B)
    """
    _warn_of_sizes("mse_loss", input, target)
    reduction = old_reduction(size_average, reduce, reduction)
    return _weighted(ops.mse_loss, input, target, weight, reduction)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Distance of `input` from `target`; with `weight`, weighted by it.

    Shapes: input (*A), target (*B), weight as these -> () or broadcast(*A, *B)
    """
    _warn_of_sizes("l1_loss", input, target)
    reduction = old_reduction(size_average, reduce, reduction)
    return _weighted(ops.l1_loss, input, target, weight, reduction)


def _weighted(loss: Any, input: Tensor, target: Tensor, weight: Any, reduction: str, *settings: Any) -> Any:
    """A loss in which each element counts by its weight, if there are any."""
    if weight is None:
        return loss(input, target, reduction, *settings)
    ops.check_reduction("loss", reduction)
    losses = loss(input, target, "none", *settings)
    if weight.array.shape != losses.array.shape:
        raise ShapeError(
            f"[loss] Inputs and weight must have the same size: {losses.shape}, weight {weight.shape}"
        )
    losses = losses * weight
    return losses.sum() / weight.sum() if reduction == "mean" else ops.reduce_loss(losses, reduction)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """Half the squared distance over `beta` where it is below `beta`, else the distance less beta/2.

    Shapes: input (*A), target (*B) -> () or broadcast(*A, *B)
    """
    _warn_of_sizes("smooth_l1_loss", input, target)
    if beta < 0:
        raise ArgumentError(
            f"[smooth_l1_loss] smooth_l1_loss does not support negative values for beta; got {beta}"
        )
    return ops.smooth_l1_loss(input, target, old_reduction(size_average, reduce, reduction), beta)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """Half the squared distance where it is at most `delta`, else delta * (distance - delta/2).

    Shapes: input (*A), target (*B), weight as these -> () or broadcast(*A, *B)
    """
    _warn_of_sizes("huber_loss", input, target)
    if delta <= 0:
        raise ArgumentError(
            f"[huber_loss] huber_loss does not support non-positive values for delta; got {delta}"
        )
    return _weighted(ops.huber_loss, input, target, weight, reduction, delta)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Cross entropy of probabilities `input` against `target`.

    Shapes: input (*A), target (*A), weight broadcasts to (*A) -> () or (*A)
    """
    _same_sizes("binary_cross_entropy", input, target)
    return ops.binary_cross_entropy(input, target, weight, old_reduction(size_average, reduce, reduction))


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Cross entropy of sigmoid(input) against `target`; `pos_weight` multiplies the part of the positives.

    Shapes: input (*A), target (*A), weight and pos_weight broadcast to (*A) -> () or (*A)
    """
    _same_sizes("binary_cross_entropy_with_logits", input, target)
    reduction = old_reduction(size_average, reduce, reduction)
    return ops.binary_cross_entropy_with_logits(input, target, weight, pos_weight, reduction)


def _same_sizes(op: str, input: Tensor, target: Tensor) -> None:
    if input.array.shape != target.array.shape:
        raise ShapeError(
            f"[{op}] Target size ({target.shape}) must be the same as input size ({input.shape}); "
            "reshape one of them, for example with target.unsqueeze(1)"
        )


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """The divergence of log-probabilities `input` from `target`; "batchmean" divides by the first size.

    Shapes: input (*A), target (*B) -> () or broadcast(*A, *B)
    """
    return ops.kl_div(input, target, old_reduction(size_average, reduce, reduction), log_target)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Minus the log-probability that `input` gives to the class `target`.

    Shapes: input (N, C, *K) or (C,), target (N, *K) or (), weight (C,) -> () or as target
    """
    reduction = old_reduction(size_average, reduce, reduction)
    input, target, single = _batched(input, target)
    return _unbatched(classification.nll_loss(input, target, weight, reduction, ignore_index), single)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Minus the logarithm of the probability that softmax(input) gives to the class `target`.

    `target` holds class numbers, or probabilities of all classes if it has the shape of `input`.

    Shapes: input (N, C, *K) or (C,), target (N, *K) or (), or as input; weight (C,) -> () or (N, *K)
    Errors: ShapeError if sizes do not fit; IndexingError for a target that is no class.
    """
    reduction = old_reduction(size_average, reduce, reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ArgumentError(
            f"[cross_entropy] label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}"
        )
    if target.kind.dtype.is_floating_point:
        single = input.array.ndim == 1
        if single and target.array.ndim == 1:
            input, target = _with_batch(input), _with_batch(target)
        return _unbatched(
            classification.soft_cross_entropy(input, target, weight, reduction, label_smoothing), single
        )
    if target.array.shape == input.array.shape and target.array.ndim:
        raise DTypeError(
            "[cross_entropy] Expected floating point type for target with class probabilities, got "
            f"{target.kind.dtype}"
        )
    input, target, single = _batched(input, target)
    return _unbatched(
        classification.cross_entropy(input, target, weight, reduction, ignore_index, label_smoothing), single
    )


def _with_batch(input: Tensor) -> Tensor:
    return as_shape(input, (1, *input.array.shape))


def _batched(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor, bool]:
    """One sample as a batch of one, and whether it was."""
    if input.array.ndim == 1 and target.array.ndim == 0:
        return _with_batch(input), _with_batch(target), True
    return input, target, False


def _unbatched(loss: Tensor, single: bool) -> Tensor:
    return as_shape(loss, ()) if single else loss
