"""Losses that are negative log-likelihoods of a Gaussian or Poisson distribution."""

from __future__ import annotations

import math
from typing import Any

from devtensor.core.errors import ArgumentError
from devtensor.core.precision import one_op
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor
from devtensor.nn.functional.geometry import floats_only, may_look
from devtensor.nn.functional.loss import old_reduction
from devtensor.ops.compare import gt, where
from devtensor.ops.create import full
from devtensor.ops.extremes import maximum
from devtensor.ops.functions import exp, log
from devtensor.ops.loss import check_reduction, reduce_loss
from devtensor.ops.shape import as_shape

__all__ = ["gaussian_nll_loss", "poisson_nll_loss"]


@one_op("float32")
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """Minus the log-likelihood of counts `target` under a Poisson distribution of mean exp(input), or input.

    Shapes: input (*A), target (*B) -> () or broadcast(*A, *B)
    Source: `full` adds Stirling's approximation of log(target!) where target exceeds 1.
    """
    reduction = old_reduction(size_average, reduce, reduction)
    check_reduction("poisson_nll_loss", reduction)
    losses: Any = exp(input) - target * input if log_input else input - target * log(input + eps)  # type: ignore[operator]
    if full:
        large = gt(target, 1)
        safe = where(large, target, 1)
        stirling = safe * log(safe) - safe + 0.5 * log(2 * math.pi * safe)
        losses = losses + where(large, stirling, 0)
    return reduce_loss(losses, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:
    """Minus the log-likelihood of `target` under a normal distribution of mean `input` and variance `var`.

    Shapes: input (*S), target broadcasts with it, var (*S), S without its last size or with 1 there, or a
    number -> () or (*S)
    Source: variances are kept above `eps` without a gradient through that; `full` adds log(2*pi)/2.
    Errors: ArgumentError for negative variances or sizes that do not fit.
    """
    check_reduction("gaussian_nll_loss", reduction)
    floats_only("gaussian_nll_loss", input)
    spread = _variances(input, var)
    with no_grad():
        kept = maximum(spread, eps)
    kept = spread + (kept - spread).detach()
    losses = 0.5 * (log(kept) + (input - target) ** 2 / kept)  # type: ignore[operator]
    return reduce_loss(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


def _variances(input: Tensor, var: Any) -> Any:
    if not isinstance(var, Tensor):
        if var < 0:
            raise ArgumentError("[gaussian_nll_loss] var has negative entry/entries")
        return full(tuple(input.array.shape), var, input.kind.dtype, input.kind.device)
    if may_look(var) and bool((var < 0).any()):  # type: ignore[operator]
        raise ArgumentError("[gaussian_nll_loss] var has negative entry/entries")
    shape, given = tuple(input.array.shape), tuple(var.array.shape)
    if given == shape:
        return var
    if given == shape[:-1]:
        return as_shape(var, (*given, 1))
    broadcast = len(given) == len(shape) and all(v in (1, s) for v, s in zip(given, shape, strict=True))
    if not (broadcast and sum(v != s for v, s in zip(given, shape, strict=True)) == 1):
        raise ArgumentError(f"[gaussian_nll_loss] var is of incorrect size: {given} for input {shape}")
    return var
