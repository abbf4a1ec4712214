"""PyTorch's protocol by which other classes take over its functions: ops here do not ask for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from devtensor.core.refusal import refused, refused_class
from devtensor.core.tensor import Tensor

__all__ = [
    "TorchFunctionMode",
    "get_ignored_functions",
    "get_overridable_functions",
    "handle_torch_function",
    "has_torch_function",
    "has_torch_function_unary",
    "has_torch_function_variadic",
    "is_tensor_like",
    "is_tensor_method_or_property",
    "resolve_name",
    "wrap_torch_function",
]

REASON = "ops do not call __torch_function__; a devtensor.core.state.Layer hears every op"

TorchFunctionMode = refused_class("overrides.TorchFunctionMode", REASON)
handle_torch_function = refused("overrides.handle_torch_function", REASON)


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether an argument takes over the function: never."""
    return False


def has_torch_function_unary(argument: Any) -> bool:
    """Whether the argument takes over the function: never."""
    return False


def has_torch_function_variadic(*arguments: Any) -> bool:
    """Whether an argument takes over the function: never."""
    return False


def is_tensor_like(inp: Any) -> bool:
    """Whether an object is a tensor, or of a class that PyTorch would take for one."""
    return isinstance(inp, Tensor) or hasattr(inp, "__torch_function__")


def is_tensor_method_or_property(func: Callable) -> bool:
    """Whether a function is a method of Tensor, or behind one of its properties."""
    name = getattr(func, "__name__", "")
    held = getattr(Tensor, name, None)
    return held is func or name == "__get__"


def resolve_name(f: Callable) -> str | None:
    """The name by which a function is known, with its module."""
    module, name = getattr(f, "__module__", None), getattr(f, "__qualname__", None)
    return None if name is None else f"{module}.{name}"


def get_ignored_functions() -> set[Callable]:
    """Functions that no class can take over: not one of all is named."""
    return set()


def get_overridable_functions() -> dict[Any, list[Callable]]:
    """Functions that a class can take over, by module: none."""
    return {}


def wrap_torch_function(dispatcher: Callable) -> Callable[[Callable], Callable]:
    """A decorator that gives the function itself."""
    return lambda function: function
