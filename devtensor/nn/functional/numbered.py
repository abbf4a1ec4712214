"""Losses in the spellings that PyTorch has under `torch` itself, their reductions numbered."""

from __future__ import annotations

from typing import Any

from devtensor.core.tensor import Tensor
from devtensor.nn.functional import (
    likelihood,
    loss,
    margins,
    sequence,
)
from devtensor.ops.loss import REDUCTIONS

__all__ = [
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "ctc_loss",
    "hinge_embedding_loss",
    "kl_div",
    "margin_ranking_loss",
    "poisson_nll_loss",
    "triplet_margin_loss",
]


def _named(reduction: int | str) -> str:
    """A reduction by name; PyTorch numbers them here."""
    return reduction if isinstance(reduction, str) else REDUCTIONS[reduction]


def kl_div(input: Tensor, target: Tensor, reduction: Any = 1, *, log_target: bool = False) -> Any:
    """`functional.kl_div`, its reductions numbered."""
    return loss.kl_div(input, target, reduction=_named(reduction), log_target=log_target)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    reduction: Any = 1,
) -> Any:
    """`functional.binary_cross_entropy_with_logits`, its reductions numbered."""
    return loss.binary_cross_entropy_with_logits(
        input, target, weight, reduction=_named(reduction), pos_weight=pos_weight
    )


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: Any = 1
) -> Any:
    """`functional.cosine_embedding_loss`, its reductions numbered."""
    return margins.cosine_embedding_loss(input1, input2, target, margin, reduction=_named(reduction))


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, reduction: Any = 1) -> Any:
    """`functional.hinge_embedding_loss`, its reductions numbered."""
    return margins.hinge_embedding_loss(input, target, margin, reduction=_named(reduction))


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: Any = 1
) -> Any:
    """`functional.margin_ranking_loss`, its reductions numbered."""
    return margins.margin_ranking_loss(input1, input2, target, margin, reduction=_named(reduction))


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: Any = 1,
) -> Any:
    """`functional.triplet_margin_loss`, its reductions numbered."""
    return margins.triplet_margin_loss(
        anchor, positive, negative, margin, p, eps, swap, reduction=_named(reduction)
    )


def poisson_nll_loss(
    input: Tensor, target: Tensor, log_input: bool, full: bool, eps: float, reduction: Any
) -> Any:
    """`functional.poisson_nll_loss`, its reductions numbered."""
    return likelihood.poisson_nll_loss(input, target, log_input, full, None, eps, None, _named(reduction))


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: Any = 1,
    zero_infinity: bool = False,
) -> Any:
    """`functional.ctc_loss`, its reductions numbered."""
    lengths = input_lengths, target_lengths
    return sequence.ctc_loss(log_probs, targets, *lengths, blank, _named(reduction), zero_infinity)
