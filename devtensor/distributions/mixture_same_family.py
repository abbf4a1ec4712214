"""Mixtures of distributions of one family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from devtensor.core.errors import ArgumentError
from devtensor.core.state import no_grad
from devtensor.core.tensor import Size, Tensor
from devtensor.distributions import constraints
from devtensor.distributions.categorical import Categorical
from devtensor.distributions.constraints import MixtureSameFamilyConstraint
from devtensor.distributions.distribution import Distribution
from devtensor.distributions.families import Expandable

__all__ = ["MixtureSameFamily"]


class MixtureSameFamily(Expandable):
    """A categorical choice among the last batch dim's members of one distribution.

    Example:
        MixtureSameFamily(Categorical(devtensor.ones(5)), Normal(devtensor.randn(5), devtensor.rand(5)))
    """

    arg_constraints: ClassVar = {}
    has_rsample = False
    _carried: ClassVar = {"_num_component": None, "_event_ndims": None}

    def __init__(
        self,
        mixture_distribution: Any,
        component_distribution: Any,
        validate_args: bool | None = None,
    ) -> None:
        _require_fitting(mixture_distribution, component_distribution)
        self._mixture_distribution = mixture_distribution
        self._component_distribution = component_distribution
        self._num_component = component_distribution.batch_shape[-1]
        self._event_ndims = len(component_distribution.event_shape)
        batch, event = component_distribution.batch_shape[:-1], component_distribution.event_shape
        Distribution.__init__(self, batch, event, validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        components = Size((*batch_shape, self._num_component))
        new._component_distribution = self._component_distribution.expand(components)
        new._mixture_distribution = self._mixture_distribution.expand(batch_shape)
        return new

    @constraints.dependent_property
    def support(self) -> Any:
        return MixtureSameFamilyConstraint(self._component_distribution.support)

    @property
    def mixture_distribution(self) -> Any:
        """The choice of the component."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Any:
        """The components, along the last batch dim."""
        return self._component_distribution

    def _mixed(self, values: Tensor) -> Tensor:
        """The mean over components, by their chances."""
        probs = self._pad_mixture_dimensions(self.mixture_distribution.probs)
        return (probs * values).sum(-1 - self._event_ndims)

    @property
    def mean(self) -> Tensor:
        return self._mixed(self.component_distribution.mean)

    @property
    def variance(self) -> Tensor:
        away = self.component_distribution.mean - self._pad(self.mean)
        return self._mixed(self.component_distribution.variance) + self._mixed(away.pow(2))

    def cdf(self, x: Any) -> Tensor:
        return (self.component_distribution.cdf(self._pad(x)) * self.mixture_distribution.probs).sum(-1)

    def log_prob(self, x: Any) -> Tensor:
        self._check(x)
        inner = self.component_distribution.log_prob(self._pad(x))
        return (inner + self.mixture_distribution.logits.log_softmax(-1)).logsumexp(-1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            dim = len(sample_shape) + len(self.batch_shape)
            drawn = self.component_distribution.sample(sample_shape)
            chosen = self.mixture_distribution.sample(sample_shape)
            chosen = chosen.expand(drawn.shape[:dim]).reshape(
                drawn.shape[:dim] + (1,) * (1 + self._event_ndims)
            )
            return drawn.gather(dim, chosen.expand((*drawn.shape[:dim], 1, *self.event_shape))).squeeze(dim)

    def _pad(self, x: Any) -> Any:
        return x.unsqueeze(-1 - self._event_ndims)

    def _pad_mixture_dimensions(self, x: Tensor) -> Tensor:
        return x.reshape((*x.shape, *(1,) * self._event_ndims))

    def __repr__(self) -> str:
        return f"MixtureSameFamily(\n  {self.mixture_distribution},\n  {self.component_distribution})"


def _require_fitting(mixture: Any, components: Any) -> None:
    if not isinstance(mixture, Categorical):
        raise ArgumentError(
            "[MixtureSameFamily] The Mixture distribution needs to be an instance of Categorical; got "
            f"{type(mixture).__name__}"
        )
    if not isinstance(components, Distribution):
        raise ArgumentError(
            "[MixtureSameFamily] The Component distribution needs to be an instance of Distribution; got "
            f"{type(components).__name__}"
        )
    own, theirs = mixture.batch_shape, components.batch_shape[:-1]
    for left, right in zip(reversed(own), reversed(theirs), strict=False):
        if 1 not in (left, right) and left != right:
            raise ArgumentError(
                f"[MixtureSameFamily] mixture_distribution.batch_shape ({own}) is not compatible with "
                f"component_distribution.batch_shape ({theirs})"
            )
    count = mixture.logits.shape[-1]
    if count != components.batch_shape[-1]:
        raise ArgumentError(
            f"[MixtureSameFamily] mixture_distribution component ({count}) does not equal "
            f"component_distribution.batch_shape[-1] ({components.batch_shape[-1]})"
        )
