"""The Dirichlet distribution."""

from __future__ import annotations

from typing import Any, ClassVar

from devtensor.core.errors import ArgumentError
from devtensor.core.tensor import Tensor
from devtensor.distributions import constraints
from devtensor.distributions.distribution import Distribution
from devtensor.distributions.exp_family import ExponentialFamily
from devtensor.distributions.families import Expandable
from devtensor.distributions.one_hot_categorical import one_hot
from devtensor.functions.masking import where
from devtensor.functions.rejection import _sample_dirichlet
from devtensor.ops.probability import xlogy

__all__ = ["Dirichlet"]


class Dirichlet(Expandable, ExponentialFamily):
    """Points of the simplex: chances that sum to 1."""

    arg_constraints: ClassVar = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True
    _carried: ClassVar = {"concentration": 1}

    def __init__(self, concentration: Tensor, validate_args: bool | None = None) -> None:
        if concentration.dim() < 1:
            raise ArgumentError("[Dirichlet] `concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        shape = concentration.shape
        Distribution.__init__(self, shape[:-1], shape[-1:], validate_args=validate_args)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return _sample_dirichlet(self.concentration.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Tensor:
        self._check(value)
        powers = xlogy(self.concentration - 1.0, value).sum(-1)
        return powers + self.concentration.sum(-1).lgamma() - self.concentration.lgamma().sum(-1)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.concentration.sum(-1, True)

    @property
    def mode(self) -> Tensor:
        above = (self.concentration - 1).clamp(min=0.0)
        mode = above / above.sum(-1, True)
        corner = (self.concentration < 1).all(-1, keepdim=True)
        return where(corner, one_hot(mode.argmax(-1), mode), mode)

    @property
    def variance(self) -> Tensor:
        total = self.concentration.sum(-1, True)
        return self.concentration * (total - self.concentration) / (total.pow(2) * (total + 1))

    def entropy(self) -> Tensor:
        a = self.concentration
        total = a.sum(-1)
        inner = ((a - 1.0) * a.digamma()).sum(-1)
        return a.lgamma().sum(-1) - total.lgamma() - (a.size(-1) - total) * total.digamma() - inner

    @property
    def _natural_params(self) -> Any:
        return (self.concentration,)

    def _log_normalizer(self, x: Any) -> Tensor:
        return x.lgamma().sum(-1) - x.sum(-1).lgamma()
