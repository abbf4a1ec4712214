"""The relaxed Bernoulli distribution."""

from __future__ import annotations

from typing import Any, ClassVar

from devtensor.core.tensor import Tensor
from devtensor.distributions import constraints
from devtensor.distributions.families import FromOdds
from devtensor.distributions.transformed_distribution import TransformedDistribution
from devtensor.distributions.transforms import SigmoidTransform
from devtensor.distributions.utils import broadcast_all, clamp_probs
from devtensor.functions.sampling import rand
from devtensor.ops.activation import softplus

__all__ = ["LogitRelaxedBernoulli", "RelaxedBernoulli"]


class LogitRelaxedBernoulli(FromOdds):
    """Log odds of relaxed Bernoulli numbers: logistic noise about `logits`, over the temperature.

    Source: C. Maddison et al., "The concrete distribution", 2017.
    """

    arg_constraints: ClassVar = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.real
    has_rsample = True
    _carried: ClassVar = {**FromOdds._carried, "temperature": None}

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        self.temperature = temperature
        self._begin_odds(validate_args, probs, logits)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        probs = clamp_probs(self.probs.expand(shape))
        drawn = clamp_probs(rand(shape, dtype=probs.dtype, device=probs.device))
        noise = drawn.log() - (-drawn).log1p()
        return (noise + probs.log() - (-probs).log1p()) / self.temperature

    def log_prob(self, value: Any) -> Tensor:
        self._check(value)
        logits, value = broadcast_all(self.logits, value)
        away = logits - value * self.temperature
        (temperature,) = broadcast_all(self.temperature)
        return temperature.log() + away - 2 * softplus(away)


class Relaxed(TransformedDistribution):
    """A relaxed choice, whose parameters are those of its base."""

    has_rsample = True

    @property
    def temperature(self) -> Any:
        """How soft the choice is."""
        return self.base_dist.temperature

    @property
    def logits(self) -> Tensor:
        """Logarithms of odds, or of chances."""
        return self.base_dist.logits

    @property
    def probs(self) -> Tensor:
        """The chances."""
        return self.base_dist.probs


class RelaxedBernoulli(Relaxed):
    """Numbers of (0, 1) that near 0 and 1 as the temperature falls, with gradients."""

    arg_constraints: ClassVar = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    _carried: ClassVar = {}

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        base = LogitRelaxedBernoulli(temperature, probs, logits)
        super().__init__(base, SigmoidTransform(), validate_args=validate_args)
