"""Futures by TorchScript's names: what is forked has run when `fork` returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Future", "fork", "wait"]


class Future:
    """A result that is there."""

    def __init__(self, value: Any = None) -> None:
        self._value = value

    def wait(self) -> Any:
        """The result."""
        return self._value

    value = wait

    def done(self) -> bool:
        """Whether the result is there: it is."""
        return True


def fork(func: Callable, *args: Any, **kwargs: Any) -> Future:
    """Run a function now and give its result as a Future."""
    return Future(func(*args, **kwargs))


def wait(future: Future) -> Any:
    """The result of a Future."""
    return future.wait()
