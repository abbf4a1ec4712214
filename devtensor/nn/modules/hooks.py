"""Hooks: functions that are called around a module's forward and backward."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from devtensor.core.hooks import RemovableHandle, add_hook
from devtensor.nn.modules.backward_hooks import BackwardCall, hear_last_node
from devtensor.nn.modules.circumstances import announce
from devtensor.nn.modules.everywhere import (
    BackwardKind,
    _global_backward_hooks,
    _global_backward_pre_hooks,
    _global_forward_hooks,
    _global_forward_hooks_always_called,
    _global_forward_hooks_with_kwargs,
    _global_forward_pre_hooks,
    checked_kind,
)

HOOK_TABLES = (
    "_backward_pre_hooks", "_backward_hooks", "_forward_hooks", "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called", "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs",
    "_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
)  # fmt: skip


class HookedCall:
    """One call of a module with hooks around it, its own and those of all modules."""

    def __init__(self, module: Any, args: tuple, kwargs: dict[str, Any]) -> None:
        self.module = module
        self.args = args
        self.kwargs = kwargs
        self.result: Any = None
        self.called: set[int] = set()

    def run(self) -> Any:
        """Forward, and all hooks; after an error those that are always called."""
        try:
            return self._steps()
        except Exception:
            self._call_the_rest()
            raise

    def _steps(self) -> Any:
        module = self.module
        full, older = module._get_backward_hooks()
        before = module._get_backward_pre_hooks()
        self._before_forward()
        listening = BackwardCall(module, full, before) if full or before else None
        if listening is not None:
            self.args = listening.around_inputs(self.args)
        self.result = module.forward(*self.args, **self.kwargs)
        for number, hook in (*_global_forward_hooks.items(), *module._forward_hooks.items()):
            self.called.add(number)
            self._after_forward(number, hook)
        if listening is not None:
            self.result = listening.around_outputs(self.result)
        if older:
            hear_last_node(module, older, self.args, self.result)
        return self.result

    def _before_forward(self) -> None:
        module = self.module
        for number, hook in (*_global_forward_pre_hooks.items(), *module._forward_pre_hooks.items()):
            if number not in module._forward_pre_hooks_with_kwargs:
                result = hook(module, self.args)
                if result is not None:
                    self.args = result if isinstance(result, tuple) else (result,)
                continue
            result = hook(module, self.args, self.kwargs)
            if result is None:
                continue
            if not isinstance(result, tuple) or len(result) != 2:
                raise RuntimeError(
                    f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), got {result}."
                )
            self.args, self.kwargs = result

    def _after_forward(self, number: int, hook: Callable) -> None:
        tables = (self.module._forward_hooks_with_kwargs, _global_forward_hooks_with_kwargs)
        named = (self.kwargs,) if any(number in table for table in tables) else ()
        replaced = hook(self.module, self.args, *named, self.result)
        if replaced is not None:
            self.result = replaced

    def _call_the_rest(self) -> None:
        """After an error: the hooks that are always called and were not; their own errors are said alone."""
        always = {**_global_forward_hooks_always_called, **self.module._forward_hooks_always_called}
        for number, hook in (*_global_forward_hooks.items(), *self.module._forward_hooks.items()):
            if number not in always or number in self.called:
                continue
            try:
                self._after_forward(number, hook)
            except Exception as error:
                warnings.warn(
                    "module forward hook with ``always_call=True`` raised an exception that was silenced as "
                    f"another error was raised in forward: {error}",
                    stacklevel=2,
                )


class Hooked:
    """The part of Module that calls forward, with hooks around it where there are any."""

    _forward_hooks: OrderedDict
    _forward_hooks_with_kwargs: OrderedDict
    _forward_hooks_always_called: OrderedDict
    _forward_pre_hooks: OrderedDict
    _forward_pre_hooks_with_kwargs: OrderedDict
    _backward_hooks: OrderedDict
    _backward_pre_hooks: OrderedDict
    _is_full_backward_hook: bool | None
    _compiled_call_impl: Callable | None = None
    forward: Callable

    def _wrapped_call_impl(self, *args: Any, **kwargs: Any) -> Any:
        if self._compiled_call_impl is not None:
            return self._compiled_call_impl(*args, **kwargs)
        return self._call_impl(*args, **kwargs)

    __call__: Callable[..., Any] = _wrapped_call_impl

    def _call_impl(self, *args: Any, **kwargs: Any) -> Any:
        announce(self)
        if (
            self._forward_hooks
            or self._forward_pre_hooks
            or self._backward_hooks
            or self._backward_pre_hooks
            or _global_forward_hooks
            or _global_forward_pre_hooks
            or _global_backward_hooks
            or _global_backward_pre_hooks
        ):
            return HookedCall(self, args, kwargs).run()
        return self.forward(*args, **kwargs)

    def _slow_forward(self, *input: Any, **kwargs: Any) -> Any:
        return self.forward(*input, **kwargs)

    def _get_backward_hooks(self) -> tuple[list[Callable], list[Callable]]:
        """The full backward hooks, and those of the older kind."""
        full: list[Callable] = []
        older: list[Callable] = []
        for kind, hooks in (
            (BackwardKind.full, _global_backward_hooks),
            (self._is_full_backward_hook, self._backward_hooks),
        ):
            (older if kind is False else full).extend(hooks.values())
        return full, older

    def _get_backward_pre_hooks(self) -> list[Callable]:
        return [*_global_backward_pre_hooks.values(), *self._backward_pre_hooks.values()]

    def register_forward_pre_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before each forward; what it returns replaces the arguments."""
        flags = {"kwargs": self._forward_pre_hooks_with_kwargs} if with_kwargs else {}
        return add_hook(self._forward_pre_hooks, hook, prepend, **flags)

    def register_forward_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after each forward; what it returns replaces the output."""
        flags = {"kwargs": self._forward_hooks_with_kwargs} if with_kwargs else {}
        flags |= {"always": self._forward_hooks_always_called} if always_call else {}
        return add_hook(self._forward_hooks, hook, prepend, **flags)

    def register_full_backward_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` when gradients arrive; what it returns replaces them."""
        return add_hook(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` in backward; what it returns replaces grad_input.

        Errors: MixedHooks beside hooks of `register_backward_hook`.
        """
        kind = checked_kind(self._is_full_backward_hook, True, "on a single Module")
        self._is_full_backward_hook = kind
        return add_hook(self._backward_hooks, hook, prepend)

    def register_backward_hook(self, hook: Callable) -> RemovableHandle:
        """The older kind: `hook(module, grad_input, grad_output)` hears the gradients of the last op alone.

        Errors: MixedHooks beside hooks of `register_full_backward_hook`.
        """
        kind = checked_kind(self._is_full_backward_hook, False, "on a single Module")
        self._is_full_backward_hook = kind
        return add_hook(self._backward_hooks, hook)
