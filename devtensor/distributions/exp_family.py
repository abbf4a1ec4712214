"""ExponentialFamily: distributions whose entropy follows from their log normaliser."""

from __future__ import annotations

from typing import Any

from devtensor.autograd import grad
from devtensor.core.tensor import Tensor
from devtensor.distributions.distribution import Distribution, undefined

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Distribution):
    """Densities exp(<t(x), theta> - F(theta) + k(x)).

    Source: F. Nielsen and R. Nock, "Entropies and cross-entropies of exponential families", 2010: the
    entropy is F(theta) - <theta, grad F(theta)> - E[k(x)].
    """

    @property
    def _natural_params(self) -> Any:
        """theta, as tensors."""
        raise NotImplementedError

    def _log_normalizer(self, *natural_params: Any) -> Tensor:
        """F(theta)."""
        raise NotImplementedError

    _mean_carrier_measure: Any = property(undefined, doc="E[k(x)].")

    def entropy(self) -> Tensor:
        """The entropy in nats, by the Bregman divergence of the log normaliser."""
        carrier = self._mean_carrier_measure
        natural = [value.detach().requires_grad_() for value in self._natural_params]
        normaliser = self._log_normalizer(*natural)
        slopes = grad(normaliser.sum(), natural, create_graph=True)
        result = normaliser - carrier
        for value, slope in zip(natural, slopes, strict=True):
            result = result - (value * slope).reshape((*self._batch_shape, -1)).sum(-1)
        return result
