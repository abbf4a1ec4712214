"""Hooks around an optimizer's `step`, `state_dict` and `load_state_dict`."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from itertools import chain
from types import MappingProxyType
from typing import Any

from devtensor.core.errors import ArgumentError
from devtensor.core.hooks import RemovableHandle, add_hook

_global_optimizer_pre_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_optimizer_post_hooks: OrderedDict[int, Callable] = OrderedDict()

# The tables of hooks that each optimizer has.
TABLES = tuple(
    f"_optimizer_{event}_{when}_hooks"
    for event in ("step", "state_dict", "load_state_dict")
    for when in ("pre", "post")
)


def register_optimizer_step_pre_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` before each step of every optimizer; it may return new (args,
    kwargs)."""
    return add_hook(_global_optimizer_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Callable) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` after each step of every optimizer."""
    return add_hook(_global_optimizer_post_hooks, hook)


class Hooked:
    """An optimizer's hooks: what registers them, and `profile_hook_step`, which calls those of `step`."""

    # Wrappers that never call `Optimizer.__init__` have none.
    _optimizer_step_pre_hooks: Any = MappingProxyType({})
    _optimizer_step_post_hooks: Any = MappingProxyType({})
    _optimizer_state_dict_pre_hooks: Any = MappingProxyType({})
    _optimizer_state_dict_post_hooks: Any = MappingProxyType({})
    _optimizer_load_state_dict_pre_hooks: Any = MappingProxyType({})
    _optimizer_load_state_dict_post_hooks: Any = MappingProxyType({})

    def _start_hooks(self) -> None:
        """Give the optimizer the tables of hooks that it lacks."""
        for name in TABLES:
            self.__dict__.setdefault(name, OrderedDict())

    def register_step_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before each step; it may return new (args, kwargs)."""
        return add_hook(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return add_hook(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer)` before `state_dict` collects, `prepend`ed before hooks that are there."""
        return add_hook(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` on what `state_dict` gives; it may return another."""
        return add_hook(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` on what shall be loaded; it may return another."""
        return add_hook(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer)` after a state was loaded."""
        return add_hook(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    @staticmethod
    def profile_hook_step(func: Callable) -> Callable:
        """A class's `step` with the hooks around it; a `super().step()` inside runs none."""

        @functools.wraps(func)
        def hooked(self: Any, *args: Any, **kwargs: Any) -> Any:
            if self.__dict__.get("_stepping"):
                return func(self, *args, **kwargs)
            self._stepping = True
            try:
                for hook in chain(
                    list(_global_optimizer_pre_hooks.values()), list(self._optimizer_step_pre_hooks.values())
                ):
                    args, kwargs = _replaced(hook(self, args, kwargs), args, kwargs)
                result = func(self, *args, **kwargs)
                self._opt_called = True
                for hook in chain(
                    list(self._optimizer_step_post_hooks.values()),
                    list(_global_optimizer_post_hooks.values()),
                ):
                    hook(self, args, kwargs)
                return result
            finally:
                self._stepping = False

        hooked.hooked = True  # type: ignore[attr-defined]
        # What schedules look for: calls are noticed.
        hooked._wrapped_by_lr_sched = True  # type: ignore[attr-defined]
        return hooked


def _replaced(answer: Any, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
    """What a pre-hook wants `step` to be called with."""
    if answer is None:
        return args, kwargs
    if isinstance(answer, tuple) and len(answer) == 2:
        return answer
    raise ArgumentError(
        f"[step] a pre-hook returned {type(answer).__name__}; it must return None or a tuple of "
        "(new_args, new_kwargs)"
    )
