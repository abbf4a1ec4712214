"""The relaxed one-hot categorical distribution."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from devtensor.core.tensor import Tensor
from devtensor.distributions import constraints
from devtensor.distributions.of_categories import OfCategories
from devtensor.distributions.relaxed_bernoulli import Relaxed
from devtensor.distributions.transforms import ExpTransform
from devtensor.distributions.utils import broadcast_all, clamp_probs
from devtensor.functions.sampling import rand
from devtensor.ops.softmax import log_softmax

__all__ = ["ExpRelaxedCategorical", "RelaxedOneHotCategorical"]


class ExpRelaxedCategorical(OfCategories):
    """Logarithms of relaxed one-hot vectors.

    Source: C. Maddison et al., "The concrete distribution", 2017, appendix C.3.
    """

    arg_constraints: ClassVar = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.real_vector
    has_rsample = True
    _carried: ClassVar = {"_categorical": 0, "temperature": None}

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        self.temperature = temperature
        self._begin_categories(validate_args, probs, logits)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        drawn = clamp_probs(rand(shape, dtype=self.logits.dtype, device=self.logits.device))
        gumbel = -(-drawn.log()).log()
        return log_softmax((self.logits + gumbel) / self.temperature, -1)

    def log_prob(self, value: Any) -> Tensor:
        self._check(value)
        count = self._categorical._num_events
        logits, value = broadcast_all(self.logits, value)
        (temperature,) = broadcast_all(self.temperature)
        score = log_softmax(logits - value * self.temperature, -1).sum(-1)
        return score + math.lgamma(count) + (count - 1) * temperature.log()


class RelaxedOneHotCategorical(Relaxed):
    """Points of the simplex that near its corners as the temperature falls, with gradients."""

    arg_constraints: ClassVar = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.simplex
    _carried: ClassVar = {}

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        base = ExpRelaxedCategorical(temperature, probs, logits, validate_args=validate_args)
        super().__init__(base, ExpTransform(), validate_args=validate_args)
