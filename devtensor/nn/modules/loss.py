"""Losses as modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.errors import ArgumentTypeError
from devtensor.core.tensor import Tensor
from devtensor.nn import functional
from devtensor.nn.functional.loss import old_reduction
from devtensor.nn.modules.module import Module


class _Loss(Module):
    """What losses share: how losses of single elements become one number."""

    function: Callable[..., Tensor]

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__()
        self.reduction = old_reduction(size_average, reduce, reduction)

    def _settings(self) -> dict[str, Any]:
        return {}

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return type(self).function(input, target, reduction=self.reduction, **self._settings())


class _WeightedLoss(_Loss):
    """A loss with a weight for each class or element."""

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)

    def _settings(self) -> dict[str, Any]:
        return {"weight": self.weight}


class MSELoss(_Loss):
    """Squared distance of input from target.

    Shapes: input (*S), target (*S) -> () or (*S)
    """

    function = staticmethod(functional.mse_loss)


class L1Loss(_Loss):
    """Distance of input from target.

    Shapes: input (*S), target (*S) -> () or (*S)
    """

    function = staticmethod(functional.l1_loss)


class SmoothL1Loss(_Loss):
    """Half the squared distance over `beta` where it is below `beta`, else the distance less beta/2.

    Shapes: input (*S), target (*S) -> () or (*S)
    """

    function = staticmethod(functional.smooth_l1_loss)

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def _settings(self) -> dict[str, Any]:
        return {"beta": self.beta}


class HuberLoss(_Loss):
    """Half the squared distance where it is at most `delta`, else delta * (distance - delta/2).

    Shapes: input (*S), target (*S) -> () or (*S)
    """

    function = staticmethod(functional.huber_loss)

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        if not isinstance(delta, (int, float)):
            raise ArgumentTypeError(f"[HuberLoss] delta is {type(delta).__name__}; it needs an int or float")
        self.delta = delta

    def _settings(self) -> dict[str, Any]:
        return {"delta": self.delta}


class KLDivLoss(_Loss):
    """The divergence of log-probabilities from a target distribution.

    Shapes: input (*S), target (*S) -> () or (*S)
    """

    function = staticmethod(functional.kl_div)

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def _settings(self) -> dict[str, Any]:
        return {"log_target": self.log_target}


class NLLLoss(_WeightedLoss):
    """Minus the log-probability that input gives to the class target.

    Shapes: input (N, C, *K) or (C,), target (N, *K) or () -> () or as target
    """

    function = staticmethod(functional.nll_loss)

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def _settings(self) -> dict[str, Any]:
        return {"weight": self.weight, "ignore_index": self.ignore_index}


class CrossEntropyLoss(_WeightedLoss):
    """Minus the logarithm of the probability that softmax(input) gives to the class target.

    Shapes: input (N, C, *K) or (C,), target (N, *K) or (), or as input -> () or (N, *K)
    """

    function = staticmethod(functional.cross_entropy)

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def _settings(self) -> dict[str, Any]:
        return {
            "weight": self.weight,
            "ignore_index": self.ignore_index,
            "label_smoothing": self.label_smoothing,
        }


class BCELoss(_WeightedLoss):
    """Cross entropy of probabilities against a target.

    Shapes: input (*S), target (*S) -> () or (*S)
    """

    function = staticmethod(functional.binary_cross_entropy)


class BCEWithLogitsLoss(_WeightedLoss):
    """Cross entropy of sigmoid(input) against a target.

    Shapes: input (*S), target (*S) -> () or (*S)
    """

    function = staticmethod(functional.binary_cross_entropy_with_logits)
    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def _settings(self) -> dict[str, Any]:
        return {"weight": self.weight, "pos_weight": self.pos_weight}
