"""The Weibull distribution."""

from __future__ import annotations

from typing import Any, ClassVar

from devtensor.core.tensor import Tensor
from devtensor.distributions import constraints
from devtensor.distributions.exponential import Exponential
from devtensor.distributions.transformed_distribution import TransformedDistribution
from devtensor.distributions.transforms import AffineTransform, PowerTransform
from devtensor.distributions.utils import broadcast_all, euler_constant
from devtensor.functions.creation import ones_like

__all__ = ["Weibull"]


class Weibull(TransformedDistribution):
    """Lifetimes about `scale`, whose risk rises with age for a concentration above 1."""

    arg_constraints: ClassVar = {"scale": constraints.positive, "concentration": constraints.positive}
    support = constraints.positive
    _carried: ClassVar = {"scale": 0, "concentration": 0, "concentration_reciprocal": 0}
    scale: Tensor
    concentration: Tensor

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.scale, self.concentration = broadcast_all(scale, concentration)
        self.concentration_reciprocal = self.concentration.reciprocal()
        base = Exponential(ones_like(self.scale), validate_args=validate_args)
        transforms = [
            PowerTransform(exponent=self.concentration_reciprocal),
            AffineTransform(loc=0, scale=self.scale),
        ]
        super().__init__(base, transforms, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.scale * (1 + self.concentration_reciprocal).lgamma().exp()

    @property
    def mode(self) -> Tensor:
        return self.scale * ((self.concentration - 1) / self.concentration) ** self.concentration_reciprocal

    @property
    def variance(self) -> Tensor:
        once, twice = ((1 + n * self.concentration_reciprocal).lgamma() for n in (1, 2))
        return self.scale.pow(2) * (twice.exp() - (2 * once).exp())

    def entropy(self) -> Tensor:
        inverse = self.concentration_reciprocal
        return euler_constant * (1 - inverse) + (self.scale * inverse).log() + 1
