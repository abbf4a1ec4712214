"""What distributions over a categorical one's vectors share."""

from __future__ import annotations

from typing import Any

from devtensor.core.tensor import Size, Tensor
from devtensor.distributions.categorical import Categorical
from devtensor.distributions.distribution import Distribution
from devtensor.distributions.families import Expandable


class OfCategories(Expandable):
    """Distributions that hold a categorical one, whose categories are the last dim of a draw."""

    _categorical: Categorical

    def _begin_categories(self, validate_args: bool | None, probs: Any, logits: Any) -> None:
        self._categorical = Categorical(probs, logits)
        shape = self._categorical.param_shape
        Distribution.__init__(self, shape[:-1], shape[-1:], validate_args=validate_args)

    def _new(self, *args: Any, **kwargs: Any) -> Tensor:
        return self._categorical._new(*args, **kwargs)

    @property
    def _param(self) -> Tensor:
        return self._categorical._param

    @property
    def param_shape(self) -> Size:
        """The shape of what was given."""
        return self._categorical.param_shape

    @property
    def probs(self) -> Tensor:
        """The chances."""
        return self._categorical.probs

    @property
    def logits(self) -> Tensor:
        """Logarithms of the chances."""
        return self._categorical.logits
