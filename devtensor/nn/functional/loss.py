"""Losses in PyTorch's spellings."""

from __future__ import annotations

from typing import Any

from devtensor.core.callers import warn
from devtensor.core.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from devtensor.core.precision import one_op
from devtensor.core.tensor import Tensor
from devtensor.nn._reduction import legacy_get_string
from devtensor.nn.functional.geometry import may_look
from devtensor.ops import loss as ops
from devtensor.ops.elementwise import sub
from devtensor.ops.norm import in_dtype
from devtensor.ops.parts import abs

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "smooth_l1_loss",
]


def old_reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """PyTorch's former spelling of `reduction` by two flags, which win where they are given."""
    if size_average is None and reduce is None:
        return reduction
    return legacy_get_string(size_average, reduce)


def _warn_of_sizes(op: str, input: Tensor, target: Tensor) -> None:
    if input.array.shape != target.array.shape:
        warn(
            f"[{op}] Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}). This will likely lead to incorrect results due to broadcasting. Please "
            "ensure they have the same size."
        )


def as_input(op: str, losses: Tensor, input: Tensor) -> Tensor:
    """Losses in the dtype of `input`, whatever the target's.

    Errors: DTypeError for losses that this dtype cannot hold.
    """
    if losses.dtype.category > input.dtype.category:
        raise DTypeError(
            f"[{op}] result type {losses.dtype.name} can't be cast to {input.dtype.name}, the input's; "
            "convert the input with .float() first"
        )
    return in_dtype(losses, input.dtype)


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
    if input.dtype.differentiable or target.dtype.differentiable:
        return _weighted(ops.l1_loss, input, target, weight, reduction)
    # Of integers the loss is a number of their own dtype, which wraps around.
    losses = abs(sub(input, target))
    ops.check_reduction("l1_loss", reduction)
    return ops.reduce_loss(losses if weight is None else losses * weight, reduction)


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
        raise ShapeError(
            f"[smooth_l1_loss] smooth_l1_loss does not support negative values for beta; got {beta}"
        )
    return ops.smooth_l1_loss(input, target, old_reduction(size_average, reduce, reduction), beta)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """Half the squared distance where it is at most `delta`, else delta * (distance - delta/2), in the
    dtype of `input`.

    Shapes: input (*A), target (*B), weight as these -> () or broadcast(*A, *B)
    """
    _warn_of_sizes("huber_loss", input, target)
    if delta <= 0:
        raise ShapeError(
            f"[huber_loss] huber_loss does not support non-positive values for delta; got {delta}"
        )
    return _weighted(_huber, input, target, weight, reduction, delta)


@one_op("float32", "huber_loss")
def _huber(input: Tensor, target: Tensor, reduction: str, delta: float) -> Tensor:
    if target.dtype is input.dtype:
        return ops.huber_loss(input, target, reduction, delta)
    ops.check_reduction("huber_loss", reduction)
    losses = ops.huber_loss(input, target, "none", delta)
    return ops.reduce_loss(as_input("huber_loss", losses, input), reduction)


@one_op("refused")
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
    if input.kind.dtype is not target.kind.dtype:
        raise DTypeError(
            f"[binary_cross_entropy] Found dtype {target.kind.dtype} but expected {input.kind.dtype}"
        )
    if may_look(input) and not bool(((input >= 0) & (input <= 1)).all()):  # type: ignore[operator]
        raise ArgumentError("[binary_cross_entropy] all elements of input should be between 0 and 1")
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
    if not target.kind.dtype.is_floating_point:
        raise DTypeError(
            f"[binary_cross_entropy_with_logits] result type {input.kind.dtype} can't be cast to the type of "
            f"target, {target.kind.dtype}; convert target with .float()"
        )
    reduction = old_reduction(size_average, reduce, reduction)
    return ops.binary_cross_entropy_with_logits(input, target, weight, pos_weight, reduction)


def _same_sizes(op: str, input: Tensor, target: Tensor) -> None:
    if input.array.shape != target.array.shape:
        raise ArgumentError(
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
    reduction = old_reduction(size_average, reduce, reduction)
    if not isinstance(target, Tensor):
        raise ArgumentTypeError(f"[kl_div] target must be a Tensor, not {type(target).__name__}")
    if reduction == "mean":
        warn(
            "[kl_div] reduction='mean' divides by the number of elements; the KL divergence is divided by "
            "the batch's size only: that is reduction='batchmean', and 'mean' will become it"
        )
    return ops.kl_div(input, target, reduction, log_target)
