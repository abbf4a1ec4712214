"""The loss of labels whose places in a sequence are not known."""

from __future__ import annotations

from array import array
from typing import Any

from devtensor.core.errors import ArgumentTypeError, DTypeError, ShapeError
from devtensor.core.tensor import Tensor
from devtensor.core.transfer import HostData
from devtensor.nn.functional.geometry import may_look
from devtensor.ops import ctc as ops
from devtensor.ops.compare import lt, where
from devtensor.ops.create import arange, cast, constant
from devtensor.ops.extremes import maximum, minimum
from devtensor.ops.functions import exp
from devtensor.ops.index import index_select
from devtensor.ops.loss import check_reduction
from devtensor.ops.reduce import amax
from devtensor.ops.scans import cumsum
from devtensor.ops.shape import as_shape

__all__ = ["ctc_loss"]


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """Minus the log-likelihood of labels, over all ways to place them in a sequence with blanks between.

    "mean" divides each loss by its number of labels first. Targets of one dim are those of all samples in
    a row.

    Shapes: log_probs (T, N, C) or (T, C), targets (N, S) or (sum of target_lengths,), lengths (N,) or () ->
    () or (N,)
    Source: Graves et al. 2006. As in PyTorch, the gradient is meant for `log_probs` from log_softmax: it
    is that of their logits.
    Errors: ShapeError if sizes do not fit, lengths exceed sizes or blank is no class.
    """
    check_reduction("ctc_loss", reduction)
    single = log_probs.array.ndim == 2
    logs: Any = log_probs.unsqueeze(1) if single else log_probs  # type: ignore[attr-defined]
    if logs.array.ndim != 3:
        raise ShapeError(f"[ctc_loss] log_probs {tuple(log_probs.array.shape)}; it needs (T, N, C) or (T, C)")
    samples = logs.array.shape[1]
    ends, counts = (
        _lengths(name, value, samples, logs)
        for name, value in (("input_lengths", input_lengths), ("target_lengths", target_lengths))
    )
    padded = _padded(targets, counts, samples, single)
    _check_lengths(ends, logs.array.shape[0], "input_lengths")
    _check_lengths(counts, padded.array.shape[1], "target_lengths")
    losses = ops.ctc_loss(logs, padded, ends, counts, blank, zero_infinity)
    losses = losses + _normaliser(logs, ends, losses, zero_infinity)
    if reduction == "mean":
        return (losses / cast(maximum(counts, 1), losses.kind.dtype)).mean()
    if reduction == "sum":
        return losses.sum()
    return as_shape(losses, ()) if single else losses


def _lengths(name: str, value: Any, samples: int, logs: Tensor) -> Tensor:
    if not isinstance(value, Tensor):
        if not isinstance(value, (tuple, list)):
            raise ArgumentTypeError(f"[ctc_loss] {name} is {value!r}; it needs a Tensor, or a tuple of ints")
        counts = array("q", value)
        value = constant(HostData(counts.tobytes(), (len(counts),)), "int64", logs.kind.device)
    if value.kind.dtype.category != 1:
        raise DTypeError(f"[ctc_loss] {name} must be integral, got {value.kind.dtype}")
    found = as_shape(value, (1,)) if not value.array.ndim else value
    if tuple(found.array.shape) != (samples,):
        raise ShapeError(
            f"[ctc_loss] {name} must be of size batch_size: {found.shape.numel()} for a batch of {samples}"
        )
    return cast(found, "int64").to(logs.kind.device)  # type: ignore[attr-defined]


def _check_lengths(lengths: Any, most: int, name: str) -> None:
    """Refuse lengths that reach beyond what there is, where looking at them is free."""
    if not may_look(lengths):
        return
    highest = int(amax(lengths).item())
    if highest > most:
        raise ShapeError(f"[ctc_loss] Expected {name} to have value at most {most}, but got value {highest}")


def _padded(targets: Any, counts: Any, samples: int, single: bool) -> Any:
    """Targets as (N, S); those in a row are told apart by their counts, which the host must know."""
    if targets.array.ndim == 2:
        if targets.array.shape[0] != samples:
            raise ShapeError(f"[ctc_loss] targets {tuple(targets.array.shape)} for a batch of {samples}")
        return cast(targets, "int64")
    if targets.array.ndim == 1 and single:
        return as_shape(cast(targets, "int64"), (1, *targets.array.shape))
    total = targets.shape.numel()
    if targets.array.ndim != 1 or int(counts.sum().item()) != total:
        raise ShapeError(
            f"[ctc_loss] Expected targets (N, S), or 1-D targets of as many elements as target_lengths sum "
            f"up to, got {tuple(targets.array.shape)}"
        )
    longest = int(amax(counts).item()) if samples else 0
    starts = (cumsum(counts, 0) - counts).unsqueeze(1)
    steps = arange(0, 1, longest, "int64", targets.kind.device)
    if not total:
        return cast(steps, "int64").unsqueeze(0).expand(samples, longest)
    places = minimum(starts + steps, total - 1)
    rows = index_select(cast(targets, "int64"), as_shape(places, (samples * longest,)), 0)
    return as_shape(rows, (samples, longest))


def _normaliser(logs: Any, ends: Any, losses: Any, zero_infinity: bool) -> Any:
    """Zeros with the gradient exp(logs), which makes of the loss's own gradient that of the logits."""
    times = as_shape(
        arange(0, 1, logs.array.shape[0], "int64", logs.kind.device), (logs.array.shape[0], 1, 1)
    )
    sums = where(lt(times, ends.unsqueeze(1)), exp(logs), 0.0).sum((0, 2))
    if zero_infinity:
        # What cannot be counts as 0 by now; what is certain has a gradient that log_softmax turns into 0.
        sums = where(losses.detach() == 0, 0.0, sums)
    return sums - sums.detach()
