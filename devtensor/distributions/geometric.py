"""The geometric distribution."""

from __future__ import annotations

from typing import Any, ClassVar

from devtensor.core.errors import ArgumentError
from devtensor.core.state import no_grad
from devtensor.core.tensor import Tensor
from devtensor.distributions import constraints
from devtensor.distributions.bernoulli import surprise
from devtensor.distributions.families import FromOdds
from devtensor.distributions.utils import broadcast_all
from devtensor.functions.creation import zeros_like
from devtensor.functions.masking import where
from devtensor.functions.sampling import rand
from devtensor.functions.settings import finfo

__all__ = ["Geometric"]


class Geometric(FromOdds):
    """How many trials fail before the first success, each succeeding with probability `probs`."""

    arg_constraints: ClassVar = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.nonnegative_integer
    _carried: ClassVar = FromOdds._carried

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._begin_odds(validate_args, probs, logits)
        if self._validate_args and probs is not None and not bool((self.probs > 0).all()):
            raise ArgumentError(
                f"[Geometric] Expected parameter probs (Tensor of shape {tuple(self.probs.shape)}) of "
                f"distribution {self!r} to be positive but found invalid values:\n{self.probs}"
            )

    @property
    def mean(self) -> Tensor:
        return 1.0 / self.probs - 1.0

    @property
    def mode(self) -> Tensor:
        return zeros_like(self.probs)

    @property
    def variance(self) -> Tensor:
        return (1.0 / self.probs - 1.0) / self.probs

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        with no_grad():
            drawn = rand(shape, dtype=self.probs.dtype, device=self.probs.device)
            drawn = drawn.clamp(min=finfo(self.probs.dtype).tiny)
            return (drawn.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value: Any) -> Tensor:
        self._check(value)
        value, probs = broadcast_all(value, self.probs)
        certain = (probs == 1) & (value == 0)
        return value * (-where(certain, 0.0, probs)).log1p() + self.probs.log()

    def entropy(self) -> Tensor:
        return surprise(self.logits, self.probs) / self.probs
