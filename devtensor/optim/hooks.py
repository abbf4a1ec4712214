"""Hooks around `Optimizer.step`."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from devtensor.core.errors import ArgumentTypeError


class Handle:
    """Takes its hook away again, by `remove()` or at the end of a `with` block."""

    def __init__(self, hooks: OrderedDict[object, Callable]) -> None:
        self.hooks = hooks

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        self.hooks.pop(self, None)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def register(hooks: OrderedDict[object, Callable], hook: Callable) -> Handle:
    """Add a hook behind those there are."""
    handle = Handle(hooks)
    hooks[handle] = hook
    return handle


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
