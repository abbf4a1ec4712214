"""Categories as vectors of zeros with a single one."""

from __future__ import annotations

from typing import Any, ClassVar

from devtensor.core.dtype import int64
from devtensor.core.tensor import Tensor
from devtensor.distributions import constraints
from devtensor.distributions.of_categories import OfCategories
from devtensor.functions.creation import eye
from devtensor.functions.ranges import arange

__all__ = ["OneHotCategorical", "OneHotCategoricalStraightThrough"]


class OneHotCategorical(OfCategories):
    """Vectors with a one at the place that a categorical distribution draws."""

    arg_constraints: ClassVar = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.one_hot
    has_enumerate_support = True
    _carried: ClassVar = {"_categorical": 0}

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._begin_categories(validate_args, probs, logits)

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        return one_hot(self._categorical.mode, self.probs)

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return one_hot(self._categorical.sample(sample_shape), self.probs)

    def log_prob(self, value: Any) -> Tensor:
        self._check(value)
        return self._categorical.log_prob(value.argmax(-1))

    def entropy(self) -> Tensor:
        return self._categorical.entropy()

    def enumerate_support(self, expand: bool = True) -> Tensor:
        count, batch = self.event_shape[0], self.batch_shape
        values = eye(count, dtype=self._param.dtype, device=self._param.device)
        values = values.view((count,) + (1,) * len(batch) + (count,))
        return values.expand((count, *batch, count)) if expand else values


def one_hot(places: Tensor, like: Tensor) -> Tensor:
    """Vectors with a one at `places`, as long as the last dim of `like`, and in its dtype.

    Shapes: places (*S), like (*T, K) -> (*S, K)
    """
    count = arange(like.shape[-1], dtype=int64, device=like.device)
    return (places.unsqueeze(-1) == count).to(like.dtype)


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """One-hot draws that pass gradients on to the chances as if they were these.

    Source: Y. Bengio et al., "Estimating or propagating gradients through stochastic neurons", 2013.
    """

    has_rsample = True

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.sample(sample_shape) + (self.probs - self.probs.detach())
