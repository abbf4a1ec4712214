"""Losses of classification in PyTorch's spellings."""

from __future__ import annotations

from math import prod
from typing import Any

from devtensor.core.arguments import as_index
from devtensor.core.errors import ArgumentError, DTypeError, IndexingError, ShapeError
from devtensor.core.state import current
from devtensor.core.tensor import Tensor, describe
from devtensor.nn.functional.geometry import may_look
from devtensor.nn.functional.linear import linear
from devtensor.nn.functional.loss import old_reduction
from devtensor.ops import classification
from devtensor.ops.shape import as_shape

__all__ = ["cross_entropy", "linear_cross_entropy", "nll_loss"]


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
    input, target, single = _batched("nll_loss", input, target)
    _check_weight("nll_loss", input, weight)
    losses = _of_classes(classification.nll_loss, input, target, weight, reduction, ignore_index)
    return _unbatched(losses, single)


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
    as_index("cross_entropy", "ignore_index", ignore_index)
    if label_smoothing > 1.0:
        raise ArgumentError(
            f"[cross_entropy] label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}"
        )
    label_smoothing = max(label_smoothing, 0.0)
    if target.kind.dtype.is_floating_point:
        if ignore_index >= 0:
            raise DTypeError("[cross_entropy] ignore_index is not supported for floating point target")
        return _of_probabilities(input, target, weight, reduction, label_smoothing)
    if target.array.shape == input.array.shape and target.array.ndim:
        raise DTypeError(
            "[cross_entropy] Expected floating point type for target with class probabilities, got "
            f"{target.kind.dtype}"
        )
    input, target, single = _batched("cross_entropy", input, target)
    _check_weight("cross_entropy", input, weight)
    losses = _of_classes(
        classification.cross_entropy, input, target, weight, reduction, ignore_index, label_smoothing
    )
    return _unbatched(losses, single)


def _of_probabilities(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, label_smoothing: float
) -> Tensor:
    """`cross_entropy` for a target that holds the probabilities of all classes."""
    single = input.array.ndim == 1
    if single and target.array.ndim == 1:
        input, target = _with_batch(input), _with_batch(target)
    losses = classification.soft_cross_entropy(input, target, weight, reduction, label_smoothing)
    return _unbatched(losses, single)


def _with_batch(input: Tensor) -> Tensor:
    return as_shape(input, (1, *input.array.shape))


def _batched(op: str, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor, bool]:
    """One sample as a batch of one, and whether it was.

    Errors: DTypeError unless target holds class numbers.
    """
    if target.kind.dtype.name not in ("int64", "uint8"):
        raise DTypeError(f"[{op}] expected target dtype to be Long or Byte, but got {target.kind.dtype.name}")
    if input.array.ndim == 1 and target.array.shape in ((), (1,)):
        return _with_batch(input), as_shape(target, (1,)), True
    return input, target, False


def _check_weight(op: str, input: Tensor, weight: Tensor | None) -> None:
    """Refuse weights of another dtype; layers such as autocast bring both to one.

    Errors: DTypeError that names the two.
    """
    if weight is not None and weight.kind.dtype is not input.kind.dtype and not current().layers:
        raise DTypeError(
            f"[{op}] weight has dtype {weight.dtype.name}; it needs that of input, {input.dtype.name}; "
            "convert it with .to(input.dtype)"
        )


def _of_classes(
    loss: Any, input: Tensor, target: Any, weight: Any, reduction: str, ignored: int, *rest: Any
) -> Any:
    """The loss; where it fails for a target that is no class, the error says so."""
    try:
        return loss(input, target, weight, reduction, ignored, *rest)
    except (ShapeError, IndexingError):
        classes = input.array.shape[1] if input.array.ndim > 1 else 0
        if input.array.ndim > 1 and not classes and target.shape.numel():
            raise IndexingError(f"[{loss.op.name}] {describe(input)} has no classes to be a target") from None
        if may_look(target) and classes:
            strange = target[(target != ignored) & ((target < 0) | (target >= classes))]
            if strange.shape.numel():
                raise IndexingError(
                    f"[{loss.op.name}] Target {int(strange[0].item())} is out of bounds for {classes} classes"
                ) from None
        raise


def _unbatched(loss: Tensor, single: bool) -> Tensor:
    return as_shape(loss, ()) if single else loss


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Any = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Tensor:
    """`cross_entropy` of the logits that a linear map gives; `options` change nothing here.

    Shapes: input (N, I) or (I,), linear_weight (C, *K, I), linear_bias (C, *K), target (N, *K) or (), or
    probabilities (N, C, *K) -> () or (N, *K)
    Errors: ShapeError if sizes do not fit.
    """
    lead, outputs = _linear_sizes(input, linear_weight, linear_bias)
    if tuple(target.array.shape) == (*lead, *outputs) and ignore_index is not None:
        raise ShapeError("[linear_cross_entropy] ignore_index cannot be specified for probabilities")
    flat = as_shape(linear_weight, (prod(outputs), linear_weight.array.shape[-1]))
    bias = None if linear_bias is None else as_shape(linear_bias, (prod(outputs),))
    logits = as_shape(linear(input, flat, bias), (*lead, *outputs))
    ignored = -100 if ignore_index is None else ignore_index
    return cross_entropy(
        logits, target, weight, None, ignored, None, reduction, label_smoothing=label_smoothing
    )


def _linear_sizes(input: Tensor, linear_weight: Tensor, linear_bias: Any) -> tuple[tuple, tuple]:
    """The batch's sizes, and those of the classes and the dims behind them.

    Errors: ShapeError if the map does not fit the input.
    """
    shape, filters = tuple(input.array.shape), tuple(linear_weight.array.shape)
    lead, outputs = shape[:-1], filters[:-1]
    if len(shape) not in (1, 2) or len(filters) < 2 or shape[-1] != filters[-1]:
        raise ShapeError(
            f"[linear_cross_entropy] input {shape}, linear_weight {filters}; expected (N, I) or (I,) and (C, "
            "*K, I)"
        )
    if linear_bias is not None and tuple(linear_bias.array.shape) != outputs:
        raise ShapeError(
            f"[linear_cross_entropy] expected linear_bias shape {outputs}, got {tuple(linear_bias.shape)}"
        )
    if len(outputs) > 1 and not lead:
        raise ShapeError(
            f"[linear_cross_entropy] linear_weight {filters} requires batched input, got {shape}"
        )
    return lead, outputs
