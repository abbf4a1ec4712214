"""Distribution: what every probability distribution offers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from devtensor.core.errors import ArgumentError, Unsupported
from devtensor.core.state import no_grad
from devtensor.core.tensor import Size, Tensor
from devtensor.distributions.constraints import is_dependent
from devtensor.distributions.utils import lazy_property

__all__ = ["Distribution"]


def undefined(self: Any) -> Any:
    """What a distribution gives for a fact that its class does not state."""
    raise NotImplementedError(f"{type(self).__name__} does not state it")


class Distribution:
    """A probability distribution, or a batch of them.

    `batch_shape` is the shape of the batch, `event_shape` that of one draw from one of its members.
    `validate_args` checks parameters now and values later; it costs a read from the device each time.
    """

    has_rsample: Any = False
    has_enumerate_support: Any = False
    _validate_args = __debug__
    arg_constraints: Any = property(undefined, doc="What each parameter must satisfy, by name.")
    support: Any = property(undefined, doc="The constraint that draws satisfy.")

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Check the arguments of distributions made without `validate_args`, or not.

        Errors: ArgumentError for anything but True and False.
        """
        if value not in (True, False):
            raise ArgumentError(f"[set_default_validate_args] value is {value!r}; it needs True or False")
        Distribution._validate_args = value

    def __init__(
        self,
        batch_shape: Sequence[int] = (),
        event_shape: Sequence[int] = (),
        validate_args: bool | None = None,
    ) -> None:
        self._batch_shape = Size(batch_shape)
        self._event_shape = Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()
        super().__init__()

    def _check_parameters(self) -> None:
        try:
            expected = self.arg_constraints
        except NotImplementedError:
            expected = {}
            warnings.warn(
                f"{self.__class__} does not define `arg_constraints`; define them, {{}} for none, or give "
                "validate_args=False",
                stacklevel=4,
            )
        for name, constraint in expected.items():
            lazy = name not in self.__dict__ and isinstance(getattr(type(self), name), lazy_property)
            if lazy or is_dependent(constraint):
                continue
            value = getattr(self, name)
            if not bool(constraint.check(value).all()):
                raise ArgumentError(
                    f"[{type(self).__name__}] Expected parameter {name} {_described(value)} of distribution "
                    f"{self!r} to satisfy the constraint {constraint!r}, but found invalid values:\n{value}"
                )

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution with its batch expanded, without copying parameters."""
        raise NotImplementedError

    @property
    def batch_shape(self) -> Size:
        """The shape of the batch of distributions."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one draw."""
        return self._event_shape

    @property
    def mean(self) -> Tensor:
        """The mean."""
        raise NotImplementedError

    @property
    def mode(self) -> Tensor:
        """The most probable value."""
        raise NotImplementedError(f"{self.__class__} does not implement mode")

    @property
    def variance(self) -> Tensor:
        """The variance."""
        raise NotImplementedError

    @property
    def stddev(self) -> Tensor:
        """The standard deviation."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws, cut off from the parameters' gradients.

        Shapes: -> sample_shape + batch_shape + event_shape
        """
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws as differentiable functions of the parameters.

        Shapes: -> sample_shape + batch_shape + event_shape
        """
        raise NotImplementedError

    def sample_n(self, n: int) -> Tensor:
        """`n` draws; `sample((n,))` is the newer spelling."""
        warnings.warn(
            "`sample_n(n)` will be deprecated. Use `sample((n,))` instead.", FutureWarning, stacklevel=2
        )
        return self.sample(Size((n,)))

    def log_prob(self, value: Any) -> Tensor:
        """Logarithm of the density, or of the chance, of `value`."""
        raise NotImplementedError

    def cdf(self, value: Any) -> Tensor:
        """The chance of a draw not above `value`."""
        raise NotImplementedError

    def icdf(self, value: Any) -> Tensor:
        """The value that draws stay below with chance `value`."""
        raise NotImplementedError

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values of a discrete distribution, along dim 0, the same for the whole batch.

        Shapes: -> (count,) + batch_shape + event_shape; without `expand`, sizes of 1 for the batch
        """
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        raise NotImplementedError

    def perplexity(self) -> Tensor:
        """exp of the entropy."""
        return self.entropy().exp()

    def _extended_shape(self, sample_shape: Any = ()) -> Size:
        return Size((*sample_shape, *self._batch_shape, *self._event_shape))

    def _check(self, value: Any) -> None:
        if self._validate_args:
            self._validate_sample(value)

    def _validate_sample(self, value: Any) -> None:
        """Refuse a value of another shape, or outside of the support."""
        if not isinstance(value, Tensor):
            raise ArgumentError(
                f"[{type(self).__name__}] The value argument to log_prob must be a Tensor; got {value!r}"
            )
        self._check_shape(value.shape)
        try:
            support = self.support
        except NotImplementedError:
            warnings.warn(
                f"{self.__class__} does not define `support`, so values are not checked; define it, or give "
                "validate_args=False",
                stacklevel=3,
            )
            return
        if not bool(support.check(value).all()):
            raise ArgumentError(
                f"[{type(self).__name__}] Expected value argument {_described(value)} to be within the "
                f"support ({support!r}) of the distribution {self!r}, but found invalid values:\n{value}"
            )

    def _check_shape(self, shape: Size) -> None:
        name = type(self).__name__
        if shape[len(shape) - len(self._event_shape) :] != self._event_shape:
            raise ArgumentError(
                f"[{name}] The right-most size of value must match event_shape: {shape} vs "
                f"{self._event_shape}."
            )
        whole = self._batch_shape + self._event_shape
        for given, own in zip(reversed(shape), reversed(whole), strict=False):
            if given != 1 and own != 1 and given != own:
                raise ArgumentError(
                    f"[{name}] Value is not broadcastable with batch_shape+event_shape: {shape} vs {whole}."
                )

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        if _instance is not None:
            return _instance
        if type(self).__init__ is not cls.__init__:
            raise Unsupported(
                f"[expand] {type(self).__name__}, a subclass of {cls.__name__}, has an __init__ of its own; "
                "it must also define a custom .expand() method"
            )
        return self.__new__(type(self))

    def __repr__(self) -> str:
        held = {name: self.__dict__[name] for name in self.arg_constraints if name in self.__dict__}
        shown = (f"{name}: {value if value.numel() == 1 else value.size()}" for name, value in held.items())
        return f"{type(self).__name__}({', '.join(shown)})"


def _described(value: Tensor) -> str:
    return f"({type(value).__name__} of shape {tuple(value.shape)})"
