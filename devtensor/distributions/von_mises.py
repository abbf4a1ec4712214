"""The von Mises distribution."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from devtensor.core.dtype import float64
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor
from devtensor.distributions import constraints
from devtensor.distributions.families import AboutLoc, Expandable
from devtensor.distributions.utils import lazy_property
from devtensor.functions.masking import where
from devtensor.functions.rejection import first_accepted
from devtensor.functions.sampling import rand
from devtensor.ops.probability import i0e, i1e

__all__ = ["VonMises"]

ROUNDS = 30
"""Of which each accepts two thirds or more."""


class VonMises(AboutLoc, Expandable):
    """Angles about `loc`, in radians from -pi to pi: a normal distribution's kin on the circle."""

    arg_constraints: ClassVar = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    has_rsample = False
    _carried: ClassVar = {"loc": 0, "concentration": 0}
    loc: Tensor
    concentration: Tensor

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self._begin(validate_args, loc=loc, concentration=concentration)

    def log_prob(self, value: Any) -> Tensor:
        self._check(value)
        away = (value - self.loc).cos() - 1
        return self.concentration * away - math.log(2 * math.pi) - i0e(self.concentration).log()

    @lazy_property
    def _proposal_r(self) -> Tensor:
        """The wrapped Cauchy distribution to draw candidates from."""
        kappa = self.concentration.to(float64)
        small = kappa < 1e-5
        inside = where(small, 1.0, kappa)
        tau = 1 + (1 + 4 * inside**2).sqrt()
        rho = (tau - (2 * tau).sqrt()) / (2 * inside)
        return where(small, 1 / kappa + kappa, (1 + rho**2) / (2 * rho))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws.

        Source: D. Best and N. Fisher, "Efficient simulation of the von Mises distribution", 1979.
        """
        with no_grad():
            shape = tuple(self._extended_shape(sample_shape))
            r, kappa = self._proposal_r, self.concentration.to(float64)

            def drawn() -> Tensor:
                return rand(shape, dtype=float64, device=self.loc.device)

            def candidate(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
                z = (math.pi * u).cos()
                f = (1 + r * z) / (r + z)
                c = kappa * (r - f)
                return f, (c * (2 - c) > v) | ((c / v).log() + 1 >= c)

            cosine = first_accepted(ROUNDS, shape, lambda shape: (drawn(), drawn()), candidate)
            angle = (drawn() - 0.5).sign() * cosine.clamp(min=-1, max=1).acos()
            turned = (angle + math.pi + self.loc.to(float64)) % (2 * math.pi) - math.pi
            return turned.to(self.loc.dtype)

    @lazy_property
    def variance(self) -> Tensor:
        """The circular variance, 1 - I1(concentration) / I0(concentration)."""
        return 1 - i1e(self.concentration) / i0e(self.concentration)
