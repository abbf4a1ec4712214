"""Settings that scripts write and read back: kept, checked for their kind, of no effect of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from devtensor.core.errors import SettingError


class UnknownFlag(SettingError, AttributeError):
    """A setting that does not exist."""


def checked(name: str, value: Any, kind: type | tuple[str, ...]) -> Any:
    """`value` if it is of the kind that the setting takes: a type, or one of some words.

    Errors: SettingError, which is a RuntimeError, otherwise.
    """
    if isinstance(kind, tuple):
        if value not in kind:
            raise SettingError(f"[{name}] got {value!r}; it needs one of {', '.join(kind)}")
    elif not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        given = type(value).__name__
        raise SettingError(f"[{name}] expects a value of type {kind.__name__}, but got {given}")
    return value


class Flags:
    """An object whose attributes are settings; others do not exist.

    Errors: AttributeError for unknown settings, RuntimeError for values of the wrong kind.
    """

    def __init__(self, title: str, **defaults: Any) -> None:
        vars(self).update(_title=title, _kinds={name: type(value) for name, value in defaults.items()})
        vars(self).update(defaults)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._kinds:
            raise UnknownFlag(f"[{self._title}] Unknown attribute {name}; there are {', '.join(self._kinds)}")
        vars(self)[name] = checked(f"{self._title}.{name}", value, self._kinds[name])

    def __getattr__(self, name: str) -> Any:
        raise UnknownFlag(f"[{self._title}] Unknown attribute {name}; there are {', '.join(self._kinds)}")


class FlagModule(ModuleType):
    """A module some of whose names are settings, checked for their kind when they are assigned."""

    def __setattr__(self, name: str, value: Any) -> None:
        kind = vars(self).get("_KINDS", {}).get(name)
        if kind is not None:
            checked(f"{self.__name__}.{name}", value, kind)
        super().__setattr__(name, value)


def guard(module: str) -> None:
    """Let the module of this name check assignments to the settings that its `_KINDS` names."""
    sys.modules[module].__class__ = FlagModule


@contextmanager
def held(module: str, **values: Any) -> Iterator[None]:
    """Within it settings of a module have other values; None leaves one as it is."""
    place = sys.modules[module]
    values = {name: value for name, value in values.items() if value is not None}
    before = {name: getattr(place, name) for name in values}
    try:
        for name, value in values.items():
            setattr(place, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(place, name, value)
