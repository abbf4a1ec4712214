"""The generalized Pareto distribution."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from devtensor.core.tensor import Tensor
from devtensor.distributions import constraints
from devtensor.distributions.families import Expandable
from devtensor.functions.comparing import isclose
from devtensor.functions.creation import zeros_like
from devtensor.functions.masking import where
from devtensor.functions.sampling import rand
from devtensor.ops.functions import log1p

__all__ = ["GeneralizedPareto"]


class GeneralizedPareto(Expandable):
    """Excesses over `loc`: heavy-tailed for a concentration above 0, exponential at 0, bounded below it."""

    arg_constraints: ClassVar = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }
    has_rsample = True
    _carried: ClassVar = {"loc": 0, "scale": 0, "concentration": 0}
    loc: Tensor
    scale: Tensor
    concentration: Tensor

    def __init__(self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self._begin(validate_args, loc=loc, scale=scale, concentration=concentration)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        bounded = self.concentration < 0
        slope = where(bounded, self.concentration, -1.0)
        return constraints.interval(self.loc, where(bounded, self.loc - self.scale / slope, math.inf))

    def _at_zero(self) -> tuple[Tensor, Tensor]:
        """Where the concentration is 0, and one that can be divided by."""
        zero = isclose(self.concentration, zeros_like(self.concentration))
        return zero, where(zero, 1.0, self.concentration)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        return self.icdf(rand(shape, dtype=self.loc.dtype, device=self.loc.device))

    def log_prob(self, value: Any) -> Tensor:
        self._check(value)
        zero, slope = self._at_zero()
        z = (value - self.loc) / self.scale
        power = 1 / slope + 1
        bent = where(power == 0, 0.0, power * (slope * z).log1p())
        return -self.scale.log() - where(zero, z, bent)

    def log_survival_function(self, value: Any) -> Tensor:
        """Logarithm of the chance of a draw above `value`."""
        self._check(value)
        zero, slope = self._at_zero()
        z = (value - self.loc) / self.scale
        return where(zero, -z, -(slope * z).log1p() / slope)

    def log_cdf(self, value: Any) -> Tensor:
        """Logarithm of the chance of a draw not above `value`."""
        return (-self.log_survival_function(value).exp()).log1p()

    def cdf(self, value: Any) -> Tensor:
        return self.log_cdf(value).exp()

    def icdf(self, value: Any) -> Tensor:
        zero, slope = self._at_zero()
        waited = log1p(-value)
        bent = self.loc + self.scale / slope * (-slope * waited).expm1()
        return where(zero, self.loc - self.scale * waited, bent)

    @property
    def mean(self) -> Tensor:
        known = self.concentration < 1
        return where(known, self.loc + self.scale / (1 - where(known, self.concentration, 0.5)), math.nan)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        known = self.concentration < 0.5
        c = where(known, self.concentration, 0.25)
        return where(known, self.scale**2 / ((1 - c) ** 2 * (1 - 2 * c)), math.nan)

    def entropy(self) -> Tensor:
        return (self.scale.log() + self.concentration + 1).expand(self._batch_shape)
