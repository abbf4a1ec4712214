"""The Bernoulli distribution."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor
from devtensor.distributions import constraints
from devtensor.distributions.exp_family import ExponentialFamily
from devtensor.distributions.families import FromOdds
from devtensor.distributions.utils import broadcast_all
from devtensor.functions.ranges import arange
from devtensor.functions.sampling import bernoulli
from devtensor.ops.activation import softplus

__all__ = ["Bernoulli"]


class Bernoulli(FromOdds, ExponentialFamily):
    """1 with probability `probs`, else 0."""

    arg_constraints: ClassVar = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.boolean
    has_enumerate_support = True
    _mean_carrier_measure = 0
    _carried: ClassVar = FromOdds._carried

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._begin_odds(validate_args, probs, logits)

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        likelier = (self.probs >= 0.5).to(self.probs)
        return likelier.masked_fill(self.probs == 0.5, math.nan)

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            return bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Tensor:
        self._check(value)
        logits, value = broadcast_all(self.logits, value)
        return -surprise(logits, value)

    def entropy(self) -> Tensor:
        return surprise(self.logits, self.probs)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return all_counts(self, 2, expand)

    @property
    def _natural_params(self) -> Any:
        return (self.probs.logit(),)

    def _log_normalizer(self, x: Any) -> Tensor:
        return x.exp().log1p()


def surprise(logits: Tensor, value: Tensor) -> Tensor:
    """Minus the logarithm of the chance of `value`, 0, 1 or a mean of such, under the given log odds."""
    return (1 - value) * logits + softplus(-logits)


def all_counts(distribution: Any, count: int, expand: bool) -> Tensor:
    """0 to `count` - 1 along dim 0, in the dtype of the parameter, for a batch of distributions."""
    param, batch = distribution._param, distribution._batch_shape
    values = arange(count, dtype=param.dtype, device=param.device).view((-1,) + (1,) * len(batch))
    return values.expand((-1, *batch)) if expand else values
