"""Student's t distribution."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from devtensor.core.tensor import Tensor
from devtensor.distributions import constraints
from devtensor.distributions.chi2 import Chi2
from devtensor.distributions.families import Expandable
from devtensor.distributions.utils import _standard_normal
from devtensor.functions.masking import where

__all__ = ["StudentT"]


class StudentT(Expandable):
    """Normal numbers over the root of chi-squared ones of `df` degrees, moved to `loc` and stretched."""

    arg_constraints: ClassVar = {
        "df": constraints.positive,
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real
    has_rsample = True
    _carried: ClassVar = {"df": 0, "loc": 0, "scale": 0, "_chi2": 0}
    df: Tensor
    loc: Tensor
    scale: Tensor

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self._begin(validate_args, df=df, loc=loc, scale=scale)
        self._chi2 = Chi2(self.df)

    @property
    def mean(self) -> Tensor:
        return self.loc.masked_fill(self.df <= 1, math.nan)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        finite = self.df > 2
        known = where(finite, self.df, 3.0)
        value = where(finite, self.scale.pow(2) * known / (known - 2), math.inf)
        return value.masked_fill(self.df <= 1, math.nan)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        normal = _standard_normal(shape, self.df.dtype, self.df.device)
        spread = self._chi2.rsample(sample_shape)
        return self.loc + self.scale * (normal * (spread / self.df).rsqrt())

    def log_prob(self, value: Any) -> Tensor:
        self._check(value)
        away = (value - self.loc) / self.scale
        scale = self.scale.log() + 0.5 * self.df.log() + 0.5 * math.log(math.pi)
        scale = scale + (0.5 * self.df).lgamma() - (0.5 * (self.df + 1)).lgamma()
        return -0.5 * (self.df + 1) * (away**2 / self.df).log1p() - scale

    def entropy(self) -> Tensor:
        half, more = 0.5 * self.df, 0.5 * (self.df + 1)
        log_beta = half.lgamma() + math.lgamma(0.5) - more.lgamma()
        return self.scale.log() + more * (more.digamma() - half.digamma()) + 0.5 * self.df.log() + log_beta
