"""Losses with margins, and likelihoods, as modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.errors import ArgumentError
from devtensor.core.tensor import Tensor
from devtensor.nn import functional
from devtensor.nn.modules.loss import NLLLoss, _Loss, _WeightedLoss


class _MarginLoss(_Loss):
    """What losses with a margin share."""

    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def _settings(self) -> dict[str, Any]:
        return {"margin": self.margin}


class _OfTwo(_MarginLoss):
    """What margin losses of two inputs share."""

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:  # type: ignore[override]
        return type(self).function(input1, input2, target, reduction=self.reduction, **self._settings())


class CosineEmbeddingLoss(_OfTwo):
    """1 - cos of two vectors that belong together, and their cosine above a margin for those that do not.

    Shapes: input1, input2 (N, D), target (N,) -> () or (N,)
    """

    function = staticmethod(functional.cosine_embedding_loss)


class MarginRankingLoss(_OfTwo):
    """What one input lacks to be a margin above the other, where it should be.

    Shapes: input1, input2, target (N,) -> () or (N,)
    """

    function = staticmethod(functional.margin_ranking_loss)


class HingeEmbeddingLoss(_MarginLoss):
    """The input where the target is 1, and what it lacks to a margin where it is -1.

    Shapes: input, target (*S) -> () or (*S)
    """

    function = staticmethod(functional.hinge_embedding_loss)

    def __init__(
        self,
        margin: float = 1.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(margin, size_average, reduce, reduction)


class SoftMarginLoss(_Loss):
    """log(1 + exp(-target * input)), with targets 1 and -1.

    Shapes: input, target (*S) -> () or (*S)
    """

    function = staticmethod(functional.soft_margin_loss)


class MultiLabelMarginLoss(_Loss):
    """How far other classes come nearer than 1 to those that the target lists.

    Shapes: input, target (N, C) or (C,) -> () or (N,)
    """

    function = staticmethod(functional.multilabel_margin_loss)


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """Mean over the classes of the cross entropy of sigmoid(input) against the target.

    Shapes: input, target (N, C) -> () or (N,)
    """

    function = staticmethod(functional.multilabel_soft_margin_loss)


class MultiMarginLoss(_WeightedLoss):
    """How far other classes come nearer than a margin to the target's.

    Shapes: input (N, C) or (C,), target (N,) or () -> () or (N,)
    """

    function = staticmethod(functional.multi_margin_loss)

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        if p not in (1, 2):
            raise ArgumentError("[MultiMarginLoss] only p == 1 and p == 2 supported")
        if weight is not None and weight.array.ndim != 1:
            raise ArgumentError(
                f"[MultiMarginLoss] MultiMarginLoss: expected weight to be None or 1D tensor, got "
                f"{weight.array.ndim}D instead"
            )
        self.p = p
        self.margin = margin

    def _settings(self) -> dict[str, Any]:
        return {"p": self.p, "margin": self.margin, "weight": self.weight}


class TripletMarginLoss(_Loss):
    """What the distance to a negative lacks to be a margin more than that to a positive.

    Shapes: anchor, positive, negative (N, D) or (D,) -> () or (N,)
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        if margin <= 0:
            raise ArgumentError(f"[TripletMarginLoss] expected margin to be greater than 0, got {margin}")
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:  # type: ignore[override]
        return functional.triplet_margin_loss(
            anchor,
            positive,
            negative,
            margin=self.margin,
            p=self.p,
            eps=self.eps,
            swap=self.swap,
            reduction=self.reduction,
        )


class TripletMarginWithDistanceLoss(_Loss):
    """`TripletMarginLoss` with a distance of the caller's own.

    Shapes: anchor, positive, negative of one number of dims -> () or what the distance gives
    """

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        if margin <= 0:
            raise ArgumentError(
                f"[TripletMarginWithDistanceLoss] expected margin to be greater than 0, got {margin}"
            )
        self.distance_function = (
            functional.pairwise_distance if distance_function is None else distance_function
        )
        self.margin = margin
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:  # type: ignore[override]
        return functional.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )


class PoissonNLLLoss(_Loss):
    """Minus the log-likelihood of counts under a Poisson distribution.

    Shapes: input, target (*S) -> () or (*S)
    """

    function = staticmethod(functional.poisson_nll_loss)

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: bool | None = None,
        eps: float = 1e-8,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def _settings(self) -> dict[str, Any]:
        return {"log_input": self.log_input, "full": self.full, "eps": self.eps}


class GaussianNLLLoss(_Loss):
    """Minus the log-likelihood of targets under a normal distribution of given mean and variance.

    Shapes: input, target (*S), var (*S) or without its last size -> () or (*S)
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Tensor, var: Any) -> Tensor:  # type: ignore[override]
        return functional.gaussian_nll_loss(
            input, target, var, full=self.full, eps=self.eps, reduction=self.reduction
        )


class CTCLoss(_Loss):
    """Minus the log-likelihood of labels whose places in a sequence are not known (Graves et al. 2006).

    Shapes: log_probs (T, N, C) or (T, C), targets (N, S) or in a row, lengths (N,) -> () or (N,)
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(  # type: ignore[override]
        self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any
    ) -> Tensor:
        return functional.ctc_loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity
        )


class NLLLoss2d(NLLLoss):
    """Former name of `NLLLoss` for images."""
