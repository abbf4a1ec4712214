"""Other libraries that are told of devtensor's tensors when a program imports them.

A library that keeps a table of tensor classes gets ours at its import, be it before or after devtensor's.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec

__all__ = ["watch"]

# A library's module that keeps the table -> the module here whose `introduce(module)` adds devtensor to it.
NEIGHBOURS = {"einops._backends": "devtensor.neighbours.einops"}


class IntroducingLoader:
    """Loads a module as its own loader does, and introduces devtensor to it."""

    def __init__(self, own: Loader) -> None:
        self.own = own

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None:
            spec.loader = self.own
        module.__loader__ = self.own
        self.own.exec_module(module)
        introduce(module)


class Watcher:
    """Waits for the import of a library that should know devtensor."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's own spec, with a loader that introduces devtensor; None for all other modules."""
        if fullname not in NEIGHBOURS:
            return None
        others = [finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]
        found = next(filter(None, (finder.find_spec(fullname, path, target) for finder in others)), None)
        if found is not None and found.loader is not None:
            found.loader = IntroducingLoader(found.loader)  # type: ignore[assignment]
        return found


def introduce(module: ModuleType) -> None:
    """Tell a library's module of devtensor."""
    importlib.import_module(NEIGHBOURS[module.__name__]).introduce(module)


def watch() -> None:
    """Introduce devtensor to libraries that are loaded, and to others when they are."""
    for name in NEIGHBOURS:
        if name in sys.modules:
            introduce(sys.modules[name])
    sys.meta_path.insert(0, Watcher())
