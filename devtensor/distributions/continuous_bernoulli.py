"""The continuous Bernoulli distribution."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from devtensor.core.errors import ArgumentError
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor
from devtensor.distributions import constraints
from devtensor.distributions.bernoulli import surprise
from devtensor.distributions.exp_family import ExponentialFamily
from devtensor.distributions.families import FromOdds
from devtensor.distributions.utils import broadcast_all, clamp_probs, lazy_property, logits_to_probs
from devtensor.functions.masking import where
from devtensor.functions.sampling import rand

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(FromOdds, ExponentialFamily):
    """Numbers of [0, 1] with density proportional to probs^x (1 - probs)^(1 - x).

    Near probs = 0.5, within `lims`, where the formulas lose all digits, Taylor series stand in.
    Source: G. Loaiza-Ganem and J. Cunningham, "The continuous Bernoulli: fixing a pervasive error in
    variational autoencoders", 2019.
    """

    arg_constraints: ClassVar = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    _mean_carrier_measure = 0
    has_rsample = True
    _carried: ClassVar = {**FromOdds._carried, "_lims": None}

    def __init__(
        self,
        probs: Any = None,
        logits: Any = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:
        self._lims = lims
        if probs is not None and logits is None:
            (probs,) = broadcast_all(probs)
            if validate_args and not bool(constraints.unit_interval.check(probs).all()):
                raise ArgumentError(f"[ContinuousBernoulli] The parameter probs has invalid values:\n{probs}")
            probs = clamp_probs(probs)
        self._begin_odds(validate_args, probs, logits)

    @lazy_property
    def probs(self) -> Tensor:
        """The parameter, kept off 0 and 1."""
        return clamp_probs(logits_to_probs(self.logits, is_binary=True))

    def _outside_unstable_region(self) -> Tensor:
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _cut_probs(self) -> Tensor:
        return where(self._outside_unstable_region(), self.probs, self._lims[0])

    def _stable(self, away: Tensor, near: Tensor) -> Tensor:
        return where(self._outside_unstable_region(), away, near)

    def _cont_bern_log_norm(self) -> Tensor:
        """Logarithm of the density's constant, 2 atanh(1 - 2 p) / (1 - 2 p)."""
        cut = self._cut_probs()
        away = ((-cut).log1p() - cut.log()).abs().log() - (1 - 2 * cut).abs().log()
        x = (self.probs - 0.5).pow(2)
        return self._stable(away, math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x) * x)

    @property
    def mean(self) -> Tensor:
        cut, x = self._cut_probs(), self.probs - 0.5
        away = cut / (2.0 * cut - 1.0) + 1.0 / ((-cut).log1p() - cut.log())
        return self._stable(away, 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x.pow(2)) * x)

    @property
    def variance(self) -> Tensor:
        cut, x = self._cut_probs(), (self.probs - 0.5).pow(2)
        away = cut * (cut - 1.0) / (1.0 - 2.0 * cut).pow(2) + ((-cut).log1p() - cut.log()).pow(-2)
        return self._stable(away, 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x) * x)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        return self.icdf(rand(shape, dtype=self.probs.dtype, device=self.probs.device))

    def log_prob(self, value: Any) -> Tensor:
        self._check(value)
        logits, value = broadcast_all(self.logits, value)
        return self._cont_bern_log_norm() - surprise(logits, value)

    def cdf(self, value: Any) -> Tensor:
        self._check(value)
        cut = self._cut_probs()
        away = (cut.pow(value) * (1.0 - cut).pow(1.0 - value) + cut - 1.0) / (2.0 * cut - 1.0)
        inside = self._stable(away, value)
        return where(value <= 0.0, 0.0, where(value >= 1.0, 1.0, inside))

    def icdf(self, value: Any) -> Tensor:
        cut = self._cut_probs()
        rest = (-cut).log1p()
        away = ((-cut + value * (2.0 * cut - 1.0)).log1p() - rest) / (cut.log() - rest)
        return self._stable(away, value)

    def entropy(self) -> Tensor:
        rest = (-self.probs).log1p()
        return self.mean * (rest - self.probs.log()) - self._cont_bern_log_norm() - rest

    @property
    def _natural_params(self) -> Any:
        return (self.logits,)

    def _log_normalizer(self, x: Any) -> Tensor:
        outside = (x <= self._lims[0] - 0.5) | (x > self._lims[1] - 0.5)
        cut = where(outside, x, self._lims[0] - 0.5)
        near = 0.5 * x + x.pow(2) / 24.0 - x.pow(4) / 2880.0
        return where(outside, cut.expm1().abs().log() - cut.abs().log(), near)
