"""The binomial distribution."""

from __future__ import annotations

from typing import Any, ClassVar

from devtensor.core.errors import Unsupported
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor
from devtensor.distributions import constraints
from devtensor.distributions.bernoulli import all_counts
from devtensor.distributions.families import FromOdds
from devtensor.functions.rejection import binomial

__all__ = ["Binomial"]


class Binomial(FromOdds):
    """How many of `total_count` trials succeed, each with probability `probs`."""

    arg_constraints: ClassVar = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    has_enumerate_support = True
    _carried: ClassVar = FromOdds._carried
    total_count: Tensor

    def __init__(
        self,
        total_count: Any = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        self._begin_odds(validate_args, probs, logits, total_count=total_count)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        with no_grad():
            return binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value: Any) -> Tensor:
        self._check(value)
        n = self.total_count
        ways = (n + 1).lgamma() - (value + 1).lgamma() - (n - value + 1).lgamma()
        # log(1 + exp(logits)), without overflow, and smooth at 0.
        certain = (self.logits.clamp(min=0) + self.logits - self.logits.clamp(max=0)) / 2
        return ways + value * self.logits - n * (certain + (-self.logits.abs()).exp().log1p())

    def entropy(self) -> Tensor:
        log_prob = self.log_prob(self._counts("entropy", expand=False))
        return -(log_prob.exp() * log_prob).sum(0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._counts("enumerate_support", expand)

    def _counts(self, name: str, expand: bool) -> Tensor:
        most = int(self.total_count.max())
        if not bool(self.total_count.min() == most):
            raise Unsupported(f"[Binomial] Inhomogeneous total count not supported by `{name}`.")
        return all_counts(self, 1 + most, expand)
