"""The negative binomial distribution."""

from __future__ import annotations

from typing import Any, ClassVar

from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor
from devtensor.distributions import constraints
from devtensor.distributions.families import FromOdds
from devtensor.distributions.gamma import Gamma
from devtensor.distributions.utils import lazy_property
from devtensor.functions.rejection import poisson
from devtensor.ops.activation import logsigmoid

__all__ = ["NegativeBinomial"]


class NegativeBinomial(FromOdds):
    """How many trials succeed, each with probability `probs`, before `total_count` have failed."""

    arg_constraints: ClassVar = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer
    _carried: ClassVar = FromOdds._carried
    total_count: Tensor

    def __init__(
        self,
        total_count: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        self._begin_odds(validate_args, probs, logits, total_count=total_count)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Tensor:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self) -> Tensor:
        return self.mean / (-self.logits).sigmoid()

    @lazy_property
    def _gamma(self) -> Gamma:
        """The rates of the Poisson numbers that this is a mixture of."""
        return Gamma(self.total_count, (-self.logits).exp(), validate_args=False)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            return poisson(self._gamma.sample(sample_shape))

    def log_prob(self, value: Any) -> Tensor:
        self._check(value)
        n = self.total_count
        chances = n * logsigmoid(-self.logits) + value * logsigmoid(self.logits)
        ways = (n + value).lgamma() - (1.0 + value).lgamma() - n.lgamma()
        return chances + ways.masked_fill(n + value == 0.0, 0.0)
