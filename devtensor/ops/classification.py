"""Losses of classification: how little probability predictions give to the right class."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import ArgumentError, ShapeError
from devtensor.core.op import Index, composite
from devtensor.core.placement import IN_ROWS
from devtensor.ops.compare import ne, where
from devtensor.ops.create import cast, zeros_like_spec
from devtensor.ops.examples import case, fails, index
from devtensor.ops.gathering import gather, scatter_add
from devtensor.ops.index import index_get
from devtensor.ops.loss import REDUCTIONS, check_reduction, loss, reduce_loss
from devtensor.ops.reduce import sum as _sum
from devtensor.ops.shape import as_shape, per_channel
from devtensor.ops.softmax import log_softmax, one_floating, softmax


def _classified(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    source, target, weight = inputs
    check_reduction(op, params[0])
    if len(source.shape) < 2:
        raise ArgumentError(f"[{op}] input {source.shape}; it needs (N, C, *K) with a class dim")
    expected = (source.shape[0], *source.shape[2:])
    if target.shape[:1] != expected[:1]:
        raise ArgumentError(
            f"[{op}] Expected input batch_size ({source.shape[0]}) to match target batch_size "
            f"({target.shape[0] if target.shape else 1}); input {source.shape}, target {target.shape}"
        )
    if target.shape != expected:
        raise ShapeError(f"[{op}] Expected target size {list(expected)}, got {list(target.shape)}")
    if weight is not None and weight.shape != source.shape[1:2]:
        raise ShapeError(
            f"[{op}] weight tensor should be defined either for all {source.shape[1]} classes or no classes "
            f"but got weight tensor of shape: {list(weight.shape)}"
        )
    return target.shape if params[0] == "none" else ()


def _over_classes(values: Any) -> Any:
    """(N, *K) as (N, 1, *K)."""
    shape = values.array.shape
    return as_shape(values, (shape[0], 1, *shape[1:]))


def _chosen(target: Any, weight: Any, ignore_index: int, dtype: Any) -> tuple[Any, Any, Any]:
    """Which targets count, the class of each (0 where it does not count), and its weight (0 likewise)."""
    valid = ne(target, ignore_index)
    places = where(valid, target, 0)
    if weight is None:
        return valid, places, cast(valid, dtype)
    return valid, places, where(valid, index_get(weight, places, places=(0,)), 0.0)


def _shared(g: Any, weights: Any, reduction: str) -> Any:
    """The gradient that each target's loss receives."""
    return g / _sum(weights) if reduction == "mean" else g


def _reduced_by_weight(losses: Any, weights: Any, reduction: str) -> Any:
    if reduction == "mean":
        return _sum(losses) / _sum(weights)
    return reduce_loss(losses, reduction)


def _nll(logs: Any, valid: Any, places: Any, weights: Any) -> Any:
    picked = gather(logs, _over_classes(places), 1)
    return -where(valid, as_shape(picked, tuple(places.array.shape)), 0.0) * weights


@composite(dtype=one_floating, shape=_classified, amp="float32", eager=True, placement=IN_ROWS)
def nll_loss(input, target: Index, weight, reduction="mean", ignore_index=-100):
    """Minus the log-probability that `input` gives to the class `target`, times that class's weight.

    The mean divides by the weights' sum. Targets equal to `ignore_index` do not count.

    Shapes: input (N, C, *K), target (N, *K), weight (C,) or None -> () or (N, *K)
    Errors: ShapeError if sizes do not fit; IndexingError for a target that is no class.
    """
    valid, places, weights = _chosen(target, weight, ignore_index, input.kind.dtype)
    return _reduced_by_weight(_nll(input, valid, places, weights), weights, reduction)


def _nll_gradient(g: Any, target: Any, weight: Any, like: Any, reduction: str, ignore_index: int) -> Any:
    valid, places, weights = _chosen(target, weight, ignore_index, g.kind.dtype)
    # Where nothing counts the mean is NaN, and still has no slope.
    share = where(valid, -_shared(g, weights, reduction) * weights, 0.0)
    return scatter_add(zeros_like_spec(like.input), _over_classes(places), _over_classes(share), 1)


nll_loss.vjp(input=_nll_gradient)


@composite(dtype=one_floating, shape=_classified, amp="float32", eager=True, placement=IN_ROWS)
def cross_entropy(input, target: Index, weight, reduction="mean", ignore_index=-100, label_smoothing=0.0):
    """Minus the logarithm of the probability that softmax(input) gives to the class `target`.

    Shapes: input (N, C, *K), target (N, *K), weight (C,) or None -> () or (N, *K)
    Source: label smoothing as in Szegedy et al. 2016; the mean divides by the weights' sum, as in PyTorch.
    Errors: ShapeError if sizes do not fit; IndexingError for a target that is no class.
    """
    logs = log_softmax(input, 1)
    valid, places, weights = _chosen(target, weight, ignore_index, input.kind.dtype)
    losses = _nll(logs, valid, places, weights)
    if label_smoothing:
        classes, ndim = input.array.shape[1], input.array.ndim
        every = _sum(logs if weight is None else logs * per_channel(weight, ndim), (1,))
        losses = losses * (1 - label_smoothing) - where(valid, every, 0.0) * (label_smoothing / classes)
    return _reduced_by_weight(losses, weights, reduction)


def _cross_entropy_gradient(
    g: Any, input: Any, target: Any, weight: Any, reduction: str, ignore_index: int, label_smoothing: float
) -> Any:
    """Probabilities less the wanted distribution, both scaled by what the target's loss receives."""
    valid, places, weights = _chosen(target, weight, ignore_index, input.kind.dtype)
    shared = _shared(g, weights, reduction)
    # Where every target is ignored, what they share is no number; each gets nothing of it.
    certain = where(valid, shared * weights * (1 - label_smoothing), 0.0)
    if not label_smoothing:
        slopes = softmax(input, 1) * _over_classes(certain)
    else:
        classes, ndim = input.array.shape[1], input.array.ndim
        uniform = where(valid, shared * (label_smoothing / classes), 0.0)
        spread = classes if weight is None else _sum(weight)
        smooth = _over_classes(uniform)
        smooth = smooth if weight is None else smooth * per_channel(weight, ndim)
        slopes = softmax(input, 1) * _over_classes(certain + uniform * spread) - smooth
    return scatter_add(slopes, _over_classes(places), -_over_classes(certain), 1)


cross_entropy.vjp(input=_cross_entropy_gradient)


def _classifications(make: Any) -> Any:
    for reduction in REDUCTIONS:
        yield case(make(3, 4), index(3, size=4), None, reduction=reduction)
        yield case(make(2, 4, 3), index(2, 3, size=4), make(4, low=0.5, high=2.0), reduction=reduction)
    yield case(make(4, 3), index(4, size=3), None, ignore_index=1)
    yield case(make(4, 3, layout="transposed"), index(4, size=3), None)
    yield case(make(2, 3, 2, 2), index(2, 2, 2, size=3), None)
    yield fails(
        make(3, 4), index(2, size=4), None, error=r"batch_size \(3\) to match target batch_size \(2\)"
    )
    yield fails(
        make(3, 4, 2), index(3, 3, size=4), None, error=r"Expected target size \[3, 2\], got \[3, 3\]"
    )
    yield fails(make(3, 4), index(3, size=4), make(3), error="all 4 classes")
    yield fails(make(3, 4), index(3, size=4), None, reduction="most", error="not a valid value for reduction")


nll_loss.examples(_classifications)
cross_entropy.examples(_classifications)


@cross_entropy.examples
def _(make):
    yield case(make(4, 3), index(4, size=3), None, label_smoothing=0.1)
    yield case(make(4, 3), index(4, size=3), make(3, low=0.5, high=2.0), label_smoothing=0.3, ignore_index=2)
    yield case(make(2, 3, 2), index(2, 2, size=3), None, reduction="none", label_smoothing=0.2)


def _distributed(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    source, target, weight = inputs
    check_reduction(op, params[0])
    if source.shape != target.shape or len(source.shape) < 2:
        raise ArgumentError(
            f"[{op}] Expected floating point type for target with class probabilities of input's shape: "
            f"input {source.shape}, target {target.shape}; class numbers must be integers"
        )
    if weight is not None and weight.shape != source.shape[1:2]:
        raise ShapeError(
            f"[{op}] weight {weight.shape} for {source.shape[1]} classes; it needs one for each class"
        )
    return (source.shape[0], *source.shape[2:]) if params[0] == "none" else ()


@loss(shape=_distributed)
def soft_cross_entropy(input, target, weight, reduction="mean", label_smoothing=0.0):
    """Cross entropy of softmax(input) against the class probabilities `target`.

    Shapes: input (N, C, *K), target (N, C, *K), weight (C,) or None -> () or (N, *K)
    Source: the mean divides by the number of distributions whatever the weights, as in PyTorch.
    """
    classes, ndim = input.array.shape[1], input.array.ndim
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    terms = log_softmax(input, 1) * target
    terms = terms if weight is None else terms * per_channel(weight, ndim)
    return reduce_loss(-_sum(terms, (1,)), reduction)


@soft_cross_entropy.examples
def _(make):
    chances = {"low": 0.0, "high": 1.0}
    for reduction in REDUCTIONS:
        yield case(make(3, 4), make(3, 4, **chances), None, reduction=reduction)
    yield case(make(2, 4, 3), make(2, 4, 3, **chances), make(4, low=0.5, high=2.0), label_smoothing=0.1)
    yield fails(make(3, 4), make(3), None, error="class probabilities")
