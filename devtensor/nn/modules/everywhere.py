"""Hooks that hold for all modules: around their forward and backward, and when they are given members."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from devtensor.core.errors import SettingError
from devtensor.core.hooks import RemovableHandle, add_hook

_global_buffer_registration_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_module_registration_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_parameter_registration_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_backward_pre_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_backward_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_forward_pre_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_forward_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_forward_hooks_always_called: OrderedDict[int, bool] = OrderedDict()
_global_forward_hooks_with_kwargs: OrderedDict[int, bool] = OrderedDict()

REGISTRATION = {
    "_buffers": _global_buffer_registration_hooks,
    "_modules": _global_module_registration_hooks,
    "_parameters": _global_parameter_registration_hooks,
}


class BackwardKind:
    """Whether backward hooks are full ones (True) or of the older kind (False); None before the first."""

    full: bool | None = None


class MixedHooks(SettingError):
    """Full backward hooks and those of the older kind on one module, or on all."""


def checked_kind(held: bool | None, full: bool, where: str) -> bool:
    """The kind of backward hooks after one more.

    Errors: MixedHooks if the others are of the other kind.
    """
    if held is not None and held is not full:
        raise MixedHooks(
            f"[backward hook] Cannot use both regular backward hooks and full backward hooks {where}; use "
            "register_full_backward_hook for all"
        )
    return full


def registered(kind: str, module: Any, name: str, value: Any) -> Any:
    """What is to be registered after all hooks of that kind were asked."""
    for hook in list(REGISTRATION[kind].values()):
        replaced = hook(module, name, value)
        value = value if replaced is None else replaced
    return value


def register_module_buffer_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, name, buffer)` whenever a buffer is registered; what it returns replaces it."""
    return add_hook(_global_buffer_registration_hooks, hook)


def register_module_module_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, name, submodule)` whenever one is registered; what it returns replaces it."""
    return add_hook(_global_module_registration_hooks, hook)


def register_module_parameter_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, name, param)` whenever a parameter is registered; what it returns replaces it."""
    return add_hook(_global_parameter_registration_hooks, hook)


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, args)` before each module's forward; what it returns replaces the arguments."""
    return add_hook(_global_forward_pre_hooks, hook)


def register_module_forward_hook(
    hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call `hook(module, args, output)` after each module's forward, before the module's own hooks.

    What it returns replaces the output. `with_kwargs` hands it the keyword arguments behind `args`;
    `always_call` calls it after an error, too.
    """
    flags = {"kwargs": _global_forward_hooks_with_kwargs} if with_kwargs else {}
    flags |= {"always": _global_forward_hooks_always_called} if always_call else {}
    return add_hook(_global_forward_hooks, hook, False, **flags)


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, grad_output)` when gradients come to a module; what it returns replaces them."""
    return add_hook(_global_backward_pre_hooks, hook)


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` in each module's backward, before the module's own hooks.

    Errors: MixedHooks beside hooks of `register_module_backward_hook`.
    """
    BackwardKind.full = checked_kind(BackwardKind.full, True, "for all modules")
    return add_hook(_global_backward_hooks, hook)


def register_module_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """The older kind: `hook` hears the gradients of the last op alone.

    Errors: MixedHooks beside hooks of `register_module_full_backward_hook`.
    """
    BackwardKind.full = checked_kind(BackwardKind.full, False, "for all modules")
    return add_hook(_global_backward_hooks, hook)
