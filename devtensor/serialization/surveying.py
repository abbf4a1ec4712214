"""Reading a pickle without making anything of it: which globals and storages it names."""

from __future__ import annotations

from typing import Any

from devtensor.serialization.names import storage_paths
from devtensor.serialization.opcodes import Bytes
from devtensor.serialization.rebuilding import StorageType
from devtensor.serialization.unpickling import Machine


class Inert:
    """Stands for whatever the pickle would make."""


class Survey:
    """Rules that allow everything and do nothing, but write down what was named."""

    def __init__(self) -> None:
        self.globals: dict[str, None] = {}
        self.storages: list[tuple] = []
        self.types = storage_paths()

    def find(self, module: str, name: str) -> Any:
        path = f"{module}.{name}"
        self.globals[path] = None
        return StorageType(self.types[path]) if path in self.types else Inert()

    def call(self, function: Any, args: tuple) -> Any:
        return Inert()

    def new(self, kind: Any, args: tuple, named: dict[str, Any]) -> Any:
        return Inert()

    def build(self, target: Any, state: Any) -> None:
        return None

    def stored(self, identity: Any, /) -> Any:
        if type(identity) is tuple:
            self.storages.append(identity)
        return Inert()


class SurveyMachine(Machine):
    """A machine whose objects may be inert: what is added to them is forgotten."""

    def _list(self) -> list[Any]:
        return [] if isinstance(self.stack[-1], Inert) else super()._list()

    def _set_pairs(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], Inert):
            super()._set_pairs(items)

    def add_items(self) -> None:
        if isinstance(self.stack[-1], Inert):
            self.unmark()
        else:
            super().add_items()


def survey(source: Bytes, encoding: str = "utf-8") -> Survey:
    """What a pickle names."""
    found = Survey()
    SurveyMachine(source, found, encoding).run()
    return found
