"""Losses: how far predictions are from targets, as one number or one for each."""

from __future__ import annotations

from functools import partial
from typing import Any

from devtensor.core.errors import ArgumentError
from devtensor.core.op import OWN, composite
from devtensor.core.rules import only_floating, real_of
from devtensor.core.spec import broadcast_shapes
from devtensor.ops.activation import logsigmoid
from devtensor.ops.combine import clamp
from devtensor.ops.compare import eq, where
from devtensor.ops.elementwise import square
from devtensor.ops.examples import case, fails
from devtensor.ops.extremes import maximum
from devtensor.ops.functions import exp, log, log1p
from devtensor.ops.parts import abs as _abs
from devtensor.ops.reduce import mean as _mean
from devtensor.ops.reduce import sum as _sum

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


@loss(dtype=real_of(only_floating), complex=OWN)
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
    if beta == 0:
        return reduce_loss(_abs(input - target), reduction)
    return reduce_loss(_bent(input - target, beta) / beta, reduction)


def _bent(difference: Any, limit: float) -> Any:
    """Half the square up to the limit, a straight line beyond, without a slope at infinity that is not asked
    for."""
    near = clamp(difference, -limit, limit)
    return near * (difference - near * 0.5)


@loss()
def huber_loss(input, target, reduction="mean", delta=1.0):
    """Half the squared distance where it is at most `delta`, else delta * (distance - delta/2).

    Shapes: input (*A), target (*B) -> () or broadcast(*A, *B)
    Source: Huber 1964.
    """
    return reduce_loss(_bent(input - target, delta), reduction)


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
