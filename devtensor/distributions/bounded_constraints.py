"""Constraints that are bounds of numbers."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

from devtensor.core.errors import ArgumentTypeError
from devtensor.distributions.constraint import Constraint


class _Bounded(Constraint):
    """A region between bounds; which, and what they are called, the subclasses say."""

    _bounds: ClassVar[tuple[str, ...]] = ()
    __signature__: ClassVar[inspect.Signature]
    lower_bound: Any
    upper_bound: Any

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        cls.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in cls._bounds])

    def __init__(self, *bounds: Any, **named: Any) -> None:
        given = dict(zip(self._bounds, bounds, strict=False)) | named
        if len(given) != len(bounds) + len(named) or set(given) != set(self._bounds):
            raise ArgumentTypeError(
                f"[{type(self).__name__[1:]}] it takes {', '.join(self._bounds)}; got {given}"
            )
        self.__dict__.update(given)
        super().__init__()

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)}" for name in self._bounds)
        return f"{type(self).__name__[1:]}({shown})"


class _IntegerInterval(_Bounded):
    """Whole numbers from one bound to the other, both included."""

    is_discrete = True
    _bounds = ("lower_bound", "upper_bound")

    def check(self, value: Any) -> Any:
        return (value % 1 == 0) & (self.lower_bound <= value) & (value <= self.upper_bound)


class _IntegerLessThan(_Bounded):
    """Whole numbers up to a bound."""

    is_discrete = True
    _bounds = ("upper_bound",)

    def check(self, value: Any) -> Any:
        return (value % 1 == 0) & (value <= self.upper_bound)


class _IntegerGreaterThan(_Bounded):
    """Whole numbers from a bound on."""

    is_discrete = True
    _bounds = ("lower_bound",)

    def check(self, value: Any) -> Any:
        return (value % 1 == 0) & (value >= self.lower_bound)


class _GreaterThan(_Bounded):
    """Numbers above a bound."""

    _bounds = ("lower_bound",)

    def check(self, value: Any) -> Any:
        return self.lower_bound < value


class _GreaterThanEq(_Bounded):
    """Numbers from a bound on."""

    _bounds = ("lower_bound",)

    def check(self, value: Any) -> Any:
        return self.lower_bound <= value


class _LessThan(_Bounded):
    """Numbers below a bound."""

    _bounds = ("upper_bound",)

    def check(self, value: Any) -> Any:
        return value < self.upper_bound


class _Interval(_Bounded):
    """Numbers from one bound to the other, both included."""

    _bounds = ("lower_bound", "upper_bound")

    def check(self, value: Any) -> Any:
        return (self.lower_bound <= value) & (value <= self.upper_bound)


class _HalfOpenInterval(_Bounded):
    """Numbers from one bound up to the other, which is excluded."""

    _bounds = ("lower_bound", "upper_bound")

    def check(self, value: Any) -> Any:
        return (self.lower_bound <= value) & (value < self.upper_bound)
