"""The half-normal distribution."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from devtensor.core.tensor import Tensor
from devtensor.distributions.halves import Half
from devtensor.distributions.normal import Normal

__all__ = ["HalfNormal"]


class HalfNormal(Half):
    """The distances from 0 of normal numbers of scale `scale`."""

    _carried: ClassVar = {}

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        self._begin_half(Normal(0, scale, validate_args=False), validate_args)

    @property
    def mean(self) -> Tensor:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def variance(self) -> Tensor:
        return self.scale.pow(2) * (1 - 2 / math.pi)
