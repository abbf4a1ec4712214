"""The categorical distribution."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from devtensor.core.dtype import int64
from devtensor.core.errors import ArgumentError
from devtensor.core.tensor import Size, Tensor
from devtensor.distributions import constraints
from devtensor.distributions.distribution import Distribution
from devtensor.distributions.families import FromOdds, one_of
from devtensor.distributions.utils import lazy_property, logits_to_probs, probs_to_logits
from devtensor.functions.comparing import broadcast_tensors
from devtensor.functions.counting import multinomial
from devtensor.functions.ranges import arange
from devtensor.functions.settings import finfo

__all__ = ["Categorical"]


class Categorical(FromOdds):
    """Numbers of categories, with chances in the last dim: `probs`, normalised, or `logits` up to a constant.

    Example:
        Categorical(probs=devtensor.tensor([0.5, 0.3, 0.2])).sample()
    """

    arg_constraints: ClassVar = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True
    _carried: ClassVar = {"probs": 1, "logits": 1, "_param": 1, "_num_events": None}

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        name = one_of("Categorical", probs, logits)
        given = logits if probs is None else probs
        if given.dim() < 1:
            raise ArgumentError(f"[Categorical] `{name}` parameter must be at least one-dimensional.")
        if probs is not None:
            self._param = self.probs = probs / probs.sum(-1, keepdim=True)
        else:
            self._param = self.logits = logits - logits.logsumexp(dim=-1, keepdim=True)
        self._num_events = self._param.size(-1)
        Distribution.__init__(self, self._param.size()[:-1], validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self._num_events - 1)

    @lazy_property
    def logits(self) -> Tensor:
        """Logarithms of the chances."""
        return probs_to_logits(self.probs)

    @lazy_property
    def probs(self) -> Tensor:
        """The chances."""
        return logits_to_probs(self.logits)

    @property
    def mean(self) -> Tensor:
        return self.probs.new_full(self._extended_shape(), math.nan)

    @property
    def mode(self) -> Tensor:
        return self.probs.argmax(dim=-1)

    @property
    def variance(self) -> Tensor:
        return self.mean

    def sample(self, sample_shape: Any = ()) -> Tensor:
        flat = self.probs.reshape(-1, self._num_events)
        drawn = multinomial(flat, Size(sample_shape).numel(), True).T
        return drawn.reshape(self._extended_shape(sample_shape))

    def log_prob(self, value: Any) -> Tensor:
        self._check(value)
        place, chances = broadcast_tensors(value.long().unsqueeze(-1), self.logits)
        return chances.gather(-1, place[..., :1]).squeeze(-1)

    def entropy(self) -> Tensor:
        return -(self.logits.clamp(min=finfo(self.logits.dtype).min) * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        values = arange(self._num_events, dtype=int64, device=self._param.device)
        values = values.view((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1, *self._batch_shape)) if expand else values
