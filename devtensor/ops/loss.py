"""Losses: how far predictions are from targets, as one number or one for each."""

from __future__ import annotations

from functools import partial
from typing import Any

from devtensor.core.errors import ArgumentError, ShapeError
from devtensor.core.op import Index, composite
from devtensor.core.rules import only_floating
from devtensor.core.spec import broadcast_shapes
from devtensor.ops.activation import log_softmax, logsigmoid, softmax
from devtensor.ops.compare import eq, ne, where
from devtensor.ops.create import cast, zeros_like_spec
from devtensor.ops.elementwise import abs as _abs
from devtensor.ops.elementwise import maximum, square
from devtensor.ops.examples import case, fails, index
from devtensor.ops.functions import exp, log, log1p
from devtensor.ops.index import gather, index_get, scatter_add
from devtensor.ops.reduce import mean as _mean
from devtensor.ops.reduce import sum as _sum
from devtensor.ops.shape import as_shape

REDUCTIONS = ("none", "mean", "sum")


def check_reduction(op: str, reduction: str, known: tuple[str, ...] = REDUCTIONS) -> None:
    """Refuse a reduction that is not known.

    Errors: ArgumentError that lists those that are.
    """
    if reduction not in known:
        raise ArgumentError(
            f"[{op}] {reduction} is not a valid value for reduction; it takes {', '.join(known)}"
        )


def reduce_loss(values: Any, reduction: str) -> Any:
    """The losses as they are, their mean, or their sum."""
    if reduction == "mean":
        return _mean(values)
    return _sum(values) if reduction == "sum" else values


def _compared(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    check_reduction(op, params[0], ("batchmean", *REDUCTIONS) if op == "kl_div" else REDUCTIONS)
    shape = broadcast_shapes(op, [i.shape for i in inputs if i is not None])
    return shape if params[0] == "none" else ()


loss = partial(composite, dtype=only_floating, shape=_compared, amp="float32", eager=True)


def _comparisons(**facts: Any) -> Any:
    """Examples of a loss that compares element by element."""

    def examples(make: Any) -> Any:
        for reduction in REDUCTIONS:
            yield case(make(3, 4), make(3, 4), reduction=reduction, **facts)
        yield case(make(3, 1), make(4), **facts)
        yield case(make(), make(), **facts)
        yield case(make(3, 4, layout="transposed"), make(3, 4), **facts)
        yield fails(make(3), make(4), error=r"\(3,\).*\(4,\).*broadcast", **facts)
        yield fails(make(3), make(3), reduction="most", error="not a valid value for reduction", **facts)

    return examples


@loss()
def mse_loss(input, target, reduction="mean"):
    """Squared distance of `input` from `target`.

    Shapes: input (*A), target (*B) -> () or broadcast(*A, *B)
    """
    return reduce_loss(square(input - target), reduction)


@loss()
def l1_loss(input, target, reduction="mean"):
    """Distance of `input` from `target`.

    Shapes: input (*A), target (*B) -> () or broadcast(*A, *B)
    """
    return reduce_loss(_abs(input - target), reduction)


@loss()
def smooth_l1_loss(input, target, reduction="mean", beta=1.0):
    """Half the squared distance over `beta` where it is below `beta`, else the distance less beta/2.

    Shapes: input (*A), target (*B) -> () or broadcast(*A, *B)
    Source: Girshick 2015.
    """
    distance = _abs(input - target)
    if beta == 0:
        return reduce_loss(distance, reduction)
    return reduce_loss(
        where(distance < beta, square(distance) * (0.5 / beta), distance - 0.5 * beta), reduction
    )


@loss()
def huber_loss(input, target, reduction="mean", delta=1.0):
    """Half the squared distance where it is at most `delta`, else delta * (distance - delta/2).

    Shapes: input (*A), target (*B) -> () or broadcast(*A, *B)
    Source: Huber 1964.
    """
    distance = _abs(input - target)
    return reduce_loss(
        where(distance > delta, (distance - 0.5 * delta) * delta, square(distance) * 0.5), reduction
    )


for _op in (mse_loss, l1_loss, smooth_l1_loss, huber_loss):
    _op.examples(_comparisons())
smooth_l1_loss.examples(
    lambda make: iter([case(make(3, 4), make(3, 4), beta=0.3), case(make(3), make(3), beta=0.0)])
)
huber_loss.examples(lambda make: iter([case(make(3, 4), make(3, 4), delta=0.3)]))


@composite(
    dtype=only_floating,
    amp="widest",
    shape=lambda op, inputs, params: broadcast_shapes(op, [i.shape for i in inputs]),
)
def binary_entropy(input, target):
    """-target * log(input) - (1 - target) * log(1 - input), logarithms kept above -100.

    Shapes: input (*A), target (*B) -> broadcast(*A, *B)
    """
    return (target - 1) * maximum(log1p(-input), -100) - target * maximum(log(input), -100)


binary_entropy.vjp(
    input=lambda g, input, target: g * ((input - target) / maximum((1 - input) * input, 1e-12)),
    target=lambda g, input: g * (maximum(log1p(-input), -100) - maximum(log(input), -100)),
)


@binary_entropy.examples
def _(make):
    inner = {"low": 0.1, "high": 0.9}
    yield case(make(3, 4, **inner), make(3, 4, **inner))
    yield case(make(**inner), make(**inner))
    yield fails(make(3), make(4), error="broadcast")


@loss()
def binary_cross_entropy(input, target, weight, reduction="mean"):
    """Cross entropy of probabilities `input` against `target`, times weight unless that is None.

    Shapes: input (*A), target (*A), weight (*B) -> () or (*A)
    Source: logarithms are kept above -100, as in PyTorch.
    """
    terms = binary_entropy(input, target)
    return reduce_loss(terms if weight is None else terms * weight, reduction)


@binary_cross_entropy.examples
def _(make):
    inner = {"low": 0.1, "high": 0.9}
    for reduction in REDUCTIONS:
        yield case(make(3, 4, **inner), make(3, 4, **inner), None, reduction=reduction)
    yield case(make(3, 4, **inner), make(3, 4, **inner), make(4))


@loss()
def binary_cross_entropy_with_logits(input, target, weight, pos_weight, reduction="mean"):
    """Cross entropy of sigmoid(input) against `target`, computed without leaving the logarithm.

    `pos_weight` multiplies the part of the positives, `weight` the whole; either may be None.

    Shapes: input (*A), target (*A), weight (*B), pos_weight (*C) -> () or (*A)
    """
    chance = logsigmoid(input)
    if pos_weight is not None:
        chance = chance * ((pos_weight - 1) * target + 1)
    terms = (1 - target) * input - chance
    return reduce_loss(terms if weight is None else terms * weight, reduction)


@binary_cross_entropy_with_logits.examples
def _(make):
    chances = {"low": 0.0, "high": 1.0}
    for reduction in REDUCTIONS:
        yield case(make(3, 4), make(3, 4, **chances), None, None, reduction=reduction)
    yield case(make(3, 4, low=-90, high=90), make(3, 4, **chances), make(4), make(4, low=0.5, high=3.0))


@loss()
def kl_div(input, target, reduction="mean", log_target=False):
    """target * (log(target) - input): the divergence of log-probabilities `input` from `target`.

    Shapes: input (*A), target (*B) -> () or broadcast(*A, *B)
    Source: "mean" divides by all elements, "batchmean" by the first size, as in PyTorch.
    """
    if log_target:
        terms = exp(target) * (target - input)
    else:
        absent = eq(target, 0)
        terms = where(absent, 0.0, target * log(where(absent, 1.0, target))) - target * input
    if reduction != "batchmean":
        return reduce_loss(terms, reduction)
    return _sum(terms) / (input.array.shape[0] if input.array.ndim else 1)


@kl_div.examples
def _(make):
    for reduction in ("batchmean", *REDUCTIONS):
        yield case(make(3, 4), make(3, 4, low=0.1, high=1.0), reduction=reduction)
    yield case(make(3, 4), make(3, 4), log_target=True)
    yield fails(make(3), make(3), reduction="most", error="not a valid value for reduction")


def _classified(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    source, target, weight = inputs
    check_reduction(op, params[0])
    if len(source.shape) < 2:
        raise ShapeError(f"[{op}] input {source.shape}; it needs (N, C, *K) with a class dim")
    expected = (source.shape[0], *source.shape[2:])
    if target.shape[:1] != expected[:1]:
        raise ShapeError(
            f"[{op}] Expected input batch_size ({source.shape[0]}) to match target batch_size "
            f"({target.shape[0] if target.shape else 1}); input {source.shape}, target {target.shape}"
        )
    if target.shape != expected:
        raise ShapeError(f"[{op}] Expected target size {list(expected)}, got {list(target.shape)}")
    if weight is not None and weight.shape != source.shape[1:2]:
        raise ShapeError(
            f"[{op}] weight tensor should be defined either for all {source.shape[1]} classes or no classes "
            "but got "
            f"weight tensor of shape: {list(weight.shape)}"
        )
    return target.shape if params[0] == "none" else ()


def _over_classes(values: Any) -> Any:
    """(N, *K) as (N, 1, *K)."""
    shape = values.array.shape
    return as_shape(values, (shape[0], 1, *shape[1:]))


def _per_class(weight: Any, ndim: int) -> Any:
    """(C,) as (C, 1, ...), to meet (N, C, *K)."""
    return as_shape(weight, (weight.array.shape[0], *(1,) * (ndim - 2)))


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


@composite(dtype=only_floating, shape=_classified, amp="float32", eager=True)
def nll_loss(input, target: Index, weight, reduction="mean", ignore_index=-100):
    """Minus the log-probability that `input` gives to the class `target`, times that class's weight.

    The mean divides by the weights' sum. Targets equal to `ignore_index` do not count.

    Shapes: input (N, C, *K), target (N, *K), weight (C,) or None -> () or (N, *K)
    Errors: ShapeError if sizes do not fit; IndexingError for a target that is no class.
    """
    valid, places, weights = _chosen(target, weight, ignore_index, input.kind.dtype)
    return _reduced_by_weight(_nll(input, valid, places, weights), weights, reduction)


def _nll_gradient(g: Any, target: Any, weight: Any, like: Any, reduction: str, ignore_index: int) -> Any:
    _, places, weights = _chosen(target, weight, ignore_index, g.kind.dtype)
    share = -_shared(g, weights, reduction) * weights
    return scatter_add(zeros_like_spec(like.input), _over_classes(places), _over_classes(share), 1)


nll_loss.vjp(input=_nll_gradient)


@composite(dtype=only_floating, shape=_classified, amp="float32", eager=True)
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
        every = _sum(logs if weight is None else logs * _per_class(weight, ndim), (1,))
        losses = losses * (1 - label_smoothing) - where(valid, every, 0.0) * (label_smoothing / classes)
    return _reduced_by_weight(losses, weights, reduction)


def _cross_entropy_gradient(
    g: Any, input: Any, target: Any, weight: Any, reduction: str, ignore_index: int, label_smoothing: float
) -> Any:
    """Probabilities less the wanted distribution, both scaled by what the target's loss receives."""
    valid, places, weights = _chosen(target, weight, ignore_index, input.kind.dtype)
    shared = _shared(g, weights, reduction)
    certain = shared * weights * (1 - label_smoothing)
    if not label_smoothing:
        slopes = softmax(input, 1) * _over_classes(certain)
    else:
        classes, ndim = input.array.shape[1], input.array.ndim
        uniform = where(valid, shared * (label_smoothing / classes), 0.0)
        spread = classes if weight is None else _sum(weight)
        smooth = _over_classes(uniform)
        smooth = smooth if weight is None else smooth * _per_class(weight, ndim)
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
        raise ShapeError(
            f"[{op}] Expected floating point type for target with class probabilities of input's shape: "
            "input "
            f"{source.shape}, target {target.shape}; class numbers must be integers"
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
    terms = terms if weight is None else terms * _per_class(weight, ndim)
    return reduce_loss(-_sum(terms, (1,)), reduction)


@soft_cross_entropy.examples
def _(make):
    chances = {"low": 0.0, "high": 1.0}
    for reduction in REDUCTIONS:
        yield case(make(3, 4), make(3, 4, **chances), None, reduction=reduction)
    yield case(make(2, 4, 3), make(2, 4, 3, **chances), make(4, low=0.5, high=2.0), label_smoothing=0.1)
    yield fails(make(3, 4), make(3), None, error="class probabilities")
