"""What families of distributions share: parameters that broadcast, `expand`, probabilities or logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from devtensor.core.errors import ArgumentError
from devtensor.core.tensor import Size, Tensor
from devtensor.distributions.distribution import Distribution
from devtensor.distributions.utils import (
    broadcast_all,
    lazy_property,
    logits_to_probs,
    probs_to_logits,
)


class Expandable(Distribution):
    """Distributions that name, in `_carried`, what `expand` takes along.

    The number beside a name says how many of its last dims are its own, not the batch's; None: the attribute
    is taken as it is.
    """

    _carried: ClassVar[dict[str, int | None]] = {}

    def _begin(self, validate_args: bool | None, **parameters: Any) -> None:
        """Broadcast the parameters of a distribution of single numbers and hold them."""
        values = broadcast_all(*parameters.values())
        for name, value in zip(parameters, values, strict=True):
            setattr(self, name, value)
        Distribution.__init__(self, values[0].size(), validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution with its batch expanded, without copying parameters."""
        new = self._get_checked_instance(_owner(type(self)), _instance)
        batch_shape = Size(batch_shape)
        for name, own in self._carried.items():
            if name in self.__dict__:
                new.__dict__[name] = _expanded(self.__dict__[name], batch_shape, own)
        self._finish(new, batch_shape)
        return new

    def _finish(self, new: Any, batch_shape: Size) -> None:
        Distribution.__init__(new, batch_shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args


def _owner(kind: type) -> type:
    """The class that said what is carried: below it, an __init__ needs an `expand` of its own."""
    return next(base for base in kind.__mro__ if "_carried" in vars(base))


def _expanded(value: Any, batch_shape: Size, own: int | None) -> Any:
    if own is None:
        return value
    shape = value.batch_shape if isinstance(value, Distribution) else value.shape
    return value.expand((*batch_shape, *shape[len(shape) - own :]))


class AboutLoc(Distribution):
    """Distributions whose mean is `loc`, and also their mode."""

    loc: Tensor

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc


def one_of(kind: str, probs: Any, logits: Any) -> str:
    """Which of the two was given.

    Errors: ArgumentError for both or none.
    """
    if (probs is None) == (logits is None):
        raise ArgumentError(
            f"[{kind}] Either `probs` or `logits` must be specified, but not both; got "
            f"{'neither' if probs is None else 'both'}"
        )
    return "logits" if probs is None else "probs"


class FromOdds(Expandable):
    """Distributions given by probabilities or by log odds, the other computed when asked for."""

    _carried: ClassVar[dict[str, int | None]] = {"probs": 0, "logits": 0, "_param": 0, "total_count": 0}
    _param: Tensor

    def _begin_odds(self, validate_args: bool | None, probs: Any, logits: Any, **counts: Any) -> None:
        """Hold what was given, broadcast against counts, which take its dtype."""
        given = one_of(type(self).__name__, probs, logits)
        *others, value = broadcast_all(*counts.values(), logits if probs is None else probs)
        for name, count in zip(counts, others, strict=True):
            setattr(self, name, count.type_as(value))
        setattr(self, given, value)
        self._param = value
        Distribution.__init__(self, value.size(), validate_args=validate_args)

    def _new(self, *args: Any, **kwargs: Any) -> Tensor:
        return self._param.new(*args, **kwargs)

    @property
    def param_shape(self) -> Size:
        """The shape of what was given."""
        return self._param.size()

    @lazy_property
    def logits(self) -> Tensor:
        """Logarithms of the odds."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Tensor:
        """Probabilities."""
        return logits_to_probs(self.logits, is_binary=True)
