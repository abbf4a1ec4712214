"""Connectionist temporal classification: the likelihood of labels that no places are known of."""

from __future__ import annotations

from math import inf
from typing import Any

from devtensor.core.errors import ShapeError
from devtensor.core.op import Index, Plain, composite
from devtensor.core.rules import only_floating
from devtensor.ops.compare import eq, ge, gt, le, logical_and, lt, ne, where
from devtensor.ops.create import arange, cast, full, zeros_like_spec
from devtensor.ops.examples import case, fails, index
from devtensor.ops.extremes import maximum
from devtensor.ops.functions import exp, log
from devtensor.ops.gathering import gather, scatter_add
from devtensor.ops.join import cat
from devtensor.ops.shape import as_shape, expand, getitem


def _sequence_shape(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    logs, targets, input_lengths, target_lengths = (i.shape for i in inputs)
    if len(logs) != 3 or len(targets) != 2 or logs[1] != targets[0]:
        raise ShapeError(f"[{op}] log_probs {logs}, targets {targets}; it needs (T, N, C) and (N, S)")
    if input_lengths != logs[1:2] or target_lengths != logs[1:2]:
        raise ShapeError(
            f"[{op}] input_lengths {input_lengths}, target_lengths {target_lengths}; they must be of size "
            f"{logs[1:2]}, the batch's"
        )
    if not 0 <= params[0] < logs[2]:
        raise ShapeError(f"[{op}] blank must be in label range: {params[0]} of {logs[2]} classes")
    return logs[1:2]


def _log_sum(*terms: Any) -> Any:
    """log(sum(exp)) of several tensors, where all may be minus infinity."""
    top = terms[0].detach()
    for term in terms[1:]:
        top = maximum(top, term.detach())
    nothing = eq(top, -inf)
    base = where(nothing, 0.0, top)
    total = exp(terms[0] - base)
    for term in terms[1:]:
        total = total + exp(term - base)
    # A logarithm of 0 has no gradient that could be multiplied by 0.
    return where(nothing, -inf, log(where(nothing, 1.0, total)) + base)


def _column(values: Any) -> Any:
    return as_shape(values, (*values.array.shape, 1))


def _labels(targets: Any, blank: int) -> tuple[Any, Any]:
    """Labels with blanks between and around them (N, 2S+1), and where a path may skip a blank."""
    samples, count = targets.array.shape
    device = targets.kind.device
    blanks = full((samples, count, 1), blank, "int64", device)
    pairs = cat(blanks, _column(cast(targets, "int64")), dim=2)
    last = full((samples, 1), blank, "int64", device)
    labels = cat(as_shape(pairs, (samples, 2 * count)), last, dim=1)
    if not count:
        return labels, ne(labels, labels)
    before = cat(labels[:, :1], labels[:, :1], labels[:, :-2], dim=1)
    return labels, logical_and(ne(labels, blank), ne(labels, before))


def _shifted(row: Any, places: int) -> Any:
    """Paths that come from `places` labels before."""
    samples, count = row.array.shape
    gap = full((samples, min(places, count)), -inf, row.kind.dtype, row.kind.device)
    kept = getitem(row, (slice(None), slice(0, max(count - places, 0))))
    return cat(gap, kept, dim=1)


def _paths(seen: Any, skips: Any, input_lengths: Any, start: Any) -> list[Any]:
    """For each time, the log-probability of all paths that are at each label then.

    Shapes: seen (T, N, L), skips and start (N, L) -> T of (N, L)
    """
    rows = [where(start, seen[0], -inf)]
    for time in range(1, seen.array.shape[0]):
        row = rows[-1]
        step = _log_sum(row, _shifted(row, 1), where(skips, _shifted(row, 2), -inf)) + seen[time]
        rows.append(where(_column(gt(input_lengths, time)), step, row))
    return rows


def _seen(log_probs: Any, labels: Any) -> Any:
    """What each time gives to each label of each sample: (T, N, L)."""
    shape = (log_probs.array.shape[0], *labels.array.shape)
    return gather(log_probs, expand(as_shape(labels, (1, *labels.array.shape)), shape), 2)


def _start(labels: Any, target_lengths: Any) -> Any:
    """Paths begin at the first blank or the first label."""
    steps = arange(0, 1, labels.array.shape[1], "int64", labels.kind.device)
    return logical_and(le(steps, 1), le(steps, _column(target_lengths * 2)))


def _likelihood(row: Any, target_lengths: Any) -> Any:
    """Of all paths that end at the last label or the blank behind it."""
    last = _column(target_lengths * 2)
    at_blank = gather(row, last, 1)
    at_label = where(gt(last, 0), gather(row, maximum(last - 1, 0), 1), -inf)
    return as_shape(_log_sum(at_blank, at_label), (row.array.shape[0],))


@composite(dtype=only_floating, shape=_sequence_shape, amp="float32", eager=True)
def ctc_loss(
    log_probs,
    targets: Index,
    input_lengths: Index,
    target_lengths: Index,
    blank: Plain = 0,
    zero_infinity: Plain = False,
):
    """Minus the log-likelihood of each sample's labels, over all ways to place them in its sequence.

    With `zero_infinity` a sample that is too short for its labels counts as 0, without a gradient.

    Shapes: log_probs (T, N, C), targets (N, S), input_lengths, target_lengths (N,) -> (N,)
    Source: Graves et al. 2006.
    Errors: ShapeError if sizes do not fit or blank is no class.
    """
    labels, skips = _labels(targets, blank)
    empty = eq(input_lengths, 0)
    impossible = cast(where(gt(target_lengths, 0), inf, 0.0), log_probs.kind.dtype)
    if not log_probs.array.shape[0]:
        losses = impossible
    else:
        rows = _paths(_seen(log_probs, labels), skips, input_lengths, _start(labels, target_lengths))
        losses = where(empty, impossible, -_likelihood(rows[-1], target_lengths))
    return where(eq(losses, inf), 0.0, losses) if zero_infinity else losses


def _backwards(values: Any, last: Any, dim: int) -> Any:
    """Each sample's part up to `last` in reverse order along `dim`; what lies beyond stays in reach."""
    size, ndim = values.array.shape[dim], values.array.ndim
    steps = as_shape(
        arange(0, 1, size, "int64", values.kind.device), tuple(size if d == dim else 1 for d in range(ndim))
    )
    ends = as_shape(last, tuple(last.array.shape[0] if d == ndim - 2 else 1 for d in range(ndim)))
    turned = ends - steps
    places = where(ge(turned, 0), turned, steps)
    return gather(values, expand(places, tuple(values.array.shape)), dim)


def _occupancy(log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int) -> tuple:
    """Labels, the log-probability that a sample is at each of them at each time, and its log-likelihood."""
    labels, skips = _labels(targets, blank)
    seen, start = _seen(log_probs, labels), _start(labels, target_lengths)
    ahead = _stacked(_paths(seen, skips, input_lengths, start))
    likelihood = _likelihood(ahead[-1], target_lengths)
    ends, last = target_lengths * 2, input_lengths - 1
    turned_labels = _backwards(labels, ends, 1)
    before = cat(turned_labels[:, :1], turned_labels[:, :1], turned_labels[:, :-2], dim=1)[
        :, : labels.array.shape[1]
    ]
    turned_skips = logical_and(ne(turned_labels, blank), ne(turned_labels, before))
    turned = _backwards(_backwards(seen, ends, 2), last, 0)
    behind = _stacked(_paths(turned, turned_skips, input_lengths, start))
    behind = _backwards(_backwards(behind, last, 0), ends, 2)
    steps = arange(0, 1, labels.array.shape[1], "int64", labels.kind.device)
    reached = le(steps, _column(ends))
    spare = where(eq(seen, -inf), 0.0, seen)
    shares = ahead + behind - spare - as_shape(likelihood, (1, likelihood.array.shape[0], 1))
    return labels, where(reached, shares, -inf), likelihood


def _stacked(rows: list[Any]) -> Any:
    return cat(*(as_shape(row, (1, *row.array.shape)) for row in rows), dim=0)


def _ctc_gradient(
    g: Any,
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    like: Any,
    blank: int,
    zero_infinity: bool,
) -> Any:
    """Minus how often each class is expected at each time."""
    times, samples, _ = log_probs.array.shape
    zeros = zeros_like_spec(like.log_probs)
    if not times:
        return zeros
    labels, shares, likelihood = _occupancy(log_probs, targets, input_lengths, target_lengths, blank)
    wide = expand(as_shape(labels, (1, *labels.array.shape)), tuple(shares.array.shape))
    slopes = scatter_add(zeros, wide, -exp(shares), 2) * as_shape(g, (1, samples, 1))
    time = as_shape(arange(0, 1, times, "int64", log_probs.kind.device), (times, 1, 1))
    counts = lt(time, as_shape(input_lengths, (1, samples, 1)))
    if zero_infinity:
        counts = logical_and(counts, as_shape(ne(likelihood, -inf), (1, samples, 1)))
    return where(counts, slopes, 0.0)


ctc_loss.vjp(log_probs=_ctc_gradient)


@ctc_loss.examples
def _(make):
    def lengths(low: int, high: int) -> Any:
        return make(2, low=low, high=high, dtype="int64")

    chances = {"low": -2.0, "high": -0.5}
    yield case(make(4, 2, 3, **chances), index(2, 2, size=2), lengths(4, 5), lengths(2, 3), blank=2)
    yield case(
        make(5, 2, 3, **chances),
        index(2, 3, size=2),
        lengths(2, 6),
        lengths(0, 4),
        blank=2,
        zero_infinity=True,
    )
    yield case(make(3, 2, 3, **chances), index(2, 0, size=3), lengths(3, 4), lengths(0, 1))
    both = lengths(5, 6), lengths(2, 3)
    yield fails(make(5, 2, 4), index(3, 2, size=4), *both, error="it needs")
    yield fails(make(5, 2, 4), index(2, 2, size=4), *both, blank=4, error="label range")
