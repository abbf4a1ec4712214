"""Namespaces of settings for a compiler that is not there: any name is taken, kept and given back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class Settings(ModuleType):
    """A module that takes any setting; one that was never set is a namespace of settings itself."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        found = Settings(f"{self.__name__}.{name}")
        setattr(self, name, found)
        return found

    def __bool__(self) -> bool:
        return False

    def patch(self, *names: Any, **values: Any) -> Any:
        """Within it settings have other values: `patch("name", value)`, `patch(name=value)`, `patch({})`."""
        if len(names) == 2:
            values = {names[0]: names[1]}
        elif names:
            values = dict(names[0])
        return _patched(self, values)


@contextmanager
def _patched(place: Settings, values: dict[str, Any]) -> Iterator[None]:
    missing = object()
    before = {name: vars(place).get(name, missing) for name in values}
    vars(place).update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is missing:
                vars(place).pop(name, None)
            else:
                vars(place)[name] = value


def permit(module: str) -> None:
    """Let the module of this name take any setting."""
    sys.modules[module].__class__ = Settings
