"""The half-Cauchy distribution."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from devtensor.core.tensor import Tensor
from devtensor.distributions.cauchy import Cauchy
from devtensor.distributions.halves import Half

__all__ = ["HalfCauchy"]


class HalfCauchy(Half):
    """The distances from 0 of Cauchy numbers of scale `scale`."""

    _carried: ClassVar = {}

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        self._begin_half(Cauchy(0, scale, validate_args=False), validate_args)

    @property
    def mean(self) -> Tensor:
        return self.scale.new_full(self._extended_shape(), math.inf)

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance
