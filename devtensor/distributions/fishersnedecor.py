"""The F distribution of Fisher and Snedecor."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from devtensor.core.tensor import Tensor
from devtensor.distributions import constraints
from devtensor.distributions.families import Expandable
from devtensor.distributions.gamma import Gamma
from devtensor.functions.settings import finfo

__all__ = ["FisherSnedecor"]


class FisherSnedecor(Expandable):
    """Ratios of two chi-squared numbers, each over its degrees of freedom."""

    arg_constraints: ClassVar = {"df1": constraints.positive, "df2": constraints.positive}
    support = constraints.positive
    has_rsample = True
    _carried: ClassVar = {"df1": 0, "df2": 0, "_gamma1": 0, "_gamma2": 0}
    df1: Tensor
    df2: Tensor

    def __init__(self, df1: Any, df2: Any, validate_args: bool | None = None) -> None:
        self._begin(validate_args, df1=df1, df2=df2)
        self._gamma1 = Gamma(self.df1 * 0.5, self.df1)
        self._gamma2 = Gamma(self.df2 * 0.5, self.df2)

    @property
    def mean(self) -> Tensor:
        known = self.df2.masked_fill(self.df2 <= 2, math.nan)
        return known / (known - 2)

    @property
    def mode(self) -> Tensor:
        top = (self.df1 - 2) / self.df1 * self.df2 / (self.df2 + 2)
        return top.masked_fill(self.df1 <= 2, math.nan)

    @property
    def variance(self) -> Tensor:
        known = self.df2.masked_fill(self.df2 <= 4, math.nan)
        return 2 * known.pow(2) * (self.df1 + known - 2) / (self.df1 * (known - 2).pow(2) * (known - 4))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape, tiny = self._extended_shape(sample_shape), finfo(self.df1.dtype).tiny
        above = self._gamma1.rsample(sample_shape).view(shape)
        below = self._gamma2.rsample(sample_shape).view(shape).clamp(min=tiny)
        return (above / below).clamp(min=tiny)

    def log_prob(self, value: Any) -> Tensor:
        self._check(value)
        a, b, ratio = self.df1 * 0.5, self.df2 * 0.5, self.df1 / self.df2
        scale = (a + b).lgamma() - a.lgamma() - b.lgamma()
        return scale + a * ratio.log() + (a - 1) * value.log() - (a + b) * (ratio * value).log1p()
