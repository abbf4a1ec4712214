"""Hooks around `Optimizer.step`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from devtensor.core.errors import ArgumentTypeError


def with_hooks(step: Callable) -> Callable:
    """A class's `step` with the optimizer's hooks around it; a `super().step()` inside runs none."""

    @functools.wraps(step)
    def hooked(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.__dict__.get("_stepping"):
            return step(self, *args, **kwargs)
        self._stepping = True
        try:
            for hook in list(self._optimizer_step_pre_hooks.values()):
                args, kwargs = _replaced(hook(self, args, kwargs), args, kwargs)
            result = step(self, *args, **kwargs)
            self._opt_called = True
            for hook in list(self._optimizer_step_post_hooks.values()):
                hook(self, args, kwargs)
            return result
        finally:
            self._stepping = False

    return hooked


def _replaced(answer: Any, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
    """What a pre-hook wants `step` to be called with."""
    if answer is None:
        return args, kwargs
    if isinstance(answer, tuple) and len(answer) == 2:
        return answer
    raise ArgumentTypeError(
        f"[step] a pre-hook returned {type(answer).__name__}; it must return None or a tuple of "
        "(new_args, new_kwargs)"
    )
