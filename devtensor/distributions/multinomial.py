"""The multinomial distribution."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from devtensor.core.errors import ArgumentError, Unsupported
from devtensor.core.tensor import Size, Tensor
from devtensor.distributions import constraints
from devtensor.distributions.binomial import Binomial
from devtensor.distributions.of_categories import OfCategories
from devtensor.distributions.utils import broadcast_all
from devtensor.functions.creation import ones_like

__all__ = ["Multinomial"]


class Multinomial(OfCategories):
    """How often each category comes in `total_count` draws."""

    arg_constraints: ClassVar = {"probs": constraints.simplex, "logits": constraints.real_vector}
    _carried: ClassVar = {"_categorical": 0, "total_count": None}
    total_count: int

    def __init__(
        self,
        total_count: int = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(total_count, int):
            raise Unsupported("[Multinomial] inhomogeneous total_count is not supported")
        if total_count < 0:
            raise ArgumentError(f"[Multinomial] total_count is {total_count}; it must be at least 0")
        self.total_count = total_count
        self._begin_categories(validate_args, probs, logits)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        return constraints.multinomial(self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.probs * self.total_count

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        drawn = self._categorical.sample(Size((self.total_count, *sample_shape))).movedim(0, -1)
        counts = drawn.new_zeros(self._extended_shape(sample_shape))
        return counts.scatter_add(-1, drawn, ones_like(drawn)).type_as(self.probs)

    def entropy(self) -> Tensor:
        n = self.total_count
        each = Binomial(n, probs=self.probs)
        counts = each.enumerate_support(expand=False)[1:]
        repeated = (each.log_prob(counts).exp() * (counts + 1).lgamma()).sum([0, -1])
        return n * self._categorical.entropy() - math.lgamma(n + 1) + repeated

    def log_prob(self, value: Any) -> Tensor:
        self._check(value)
        logits, value = broadcast_all(self.logits, value)
        never = (value == 0) & (logits == -math.inf)
        powers = (logits.masked_fill(never, 0.0) * value).sum(-1)
        return (value.sum(-1) + 1).lgamma() - (value + 1).lgamma().sum(-1) + powers
