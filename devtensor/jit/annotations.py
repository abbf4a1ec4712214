"""What scripts write for TorchScript's compiler: marks that change nothing in Python."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any, Final, NamedTuple, get_args, get_origin

from devtensor.core.errors import SettingError

__all__ = [
    "Attribute",
    "Final",
    "annotate",
    "export",
    "ignore",
    "interface",
    "is_scripting",
    "is_tracing",
    "isinstance",
    "script_if_tracing",
    "script_method",
    "unused",
]


class Attribute(NamedTuple):
    """A value and the type that it is declared to have."""

    value: Any
    type: Any


def annotate(the_type: Any, the_value: Any) -> Any:
    """The value; the type is for a compiler."""
    return the_value


def is_scripting() -> bool:
    """Whether TorchScript's compiler reads this code: never."""
    return False


def is_tracing() -> bool:
    """Whether a TorchScript trace is being recorded: never."""
    return False


def _mark(fn: Callable) -> Callable:
    """The function itself."""
    return fn


export = script_method = script_if_tracing = interface = _overload = _mark


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """A decorator that gives the function itself; used with or without arguments."""
    return drop if callable(drop) else _mark


def unused(fn: Any) -> Any:
    """The function or property itself."""
    return fn


def isinstance(obj: Any, target_type: Any) -> bool:
    """Whether an object has a type, that of its elements included: `isinstance(x, list[int])`.

    Errors: SettingError for a container without the type of its elements.
    """
    if builtins.isinstance(target_type, tuple):
        return any(isinstance(obj, each) for each in target_type)
    origin, elements = get_origin(target_type), get_args(target_type)
    if origin is None:
        if target_type in (list, tuple, dict):
            raise SettingError(
                f"[jit.isinstance] Attempted to use {target_type.__name__} without a contained type; write "
                f"{target_type.__name__}[int] or the like"
            )
        return obj is None if target_type is None else builtins.isinstance(obj, target_type)
    if not builtins.isinstance(origin, type):
        return any(isinstance(obj, each) for each in elements)
    return builtins.isinstance(obj, origin) and _elements_fit(obj, origin, elements)


def _elements_fit(obj: Any, origin: type, elements: tuple) -> bool:
    """Whether everything that a container holds has the declared types."""
    if origin is dict:
        key, value = elements
        return all(isinstance(k, key) and isinstance(v, value) for k, v in obj.items())
    if origin is tuple and elements[-1:] != (...,):
        return len(obj) == len(elements) and all(map(isinstance, obj, elements))
    return all(isinstance(item, elements[0]) for item in obj)
