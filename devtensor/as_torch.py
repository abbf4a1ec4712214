"""Carry a script over whole: after `import devtensor.as_torch`, `import torch` means devtensor.

Every `import torch...`, in the script and in the libraries it imports, gives the devtensor module of the
same path: the same object under both names, loaded when it is asked for. Write it as the script's first
import, or run the script unchanged by `python -m devtensor run script.py`.

Libraries that ask which PyTorch they have are told the one whose behaviour devtensor has, with devtensor's
own version as the local label: `torch.__version__` says so, and `importlib.metadata.version("torch")`.
Dtypes, sizes and types print PyTorch's names, which scripts compare: `str(x.dtype) == "torch.float32"`.

Errors: RealTorchLoaded, an ImportError, if PyTorch itself was imported before; ModuleNotFoundError for a
module of PyTorch's that devtensor does not have.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable, Iterator, Sequence
from email.message import Message
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import devtensor
from devtensor.core.errors import DevtensorError
from devtensor.core.naming import speak_as
from devtensor.torch_version import TorchVersion
from devtensor.version import __version__, torch_api

__all__ = ["RealTorchLoaded", "install", "installed", "uninstall"]

TORCH, OURS = "torch", "devtensor"
VERSION = f"{torch_api}+devtensor{__version__}"


class RealTorchLoaded(DevtensorError, ImportError):
    """PyTorch itself was imported first: its modules and ours cannot go by one name."""


class AliasLoader(Loader):
    """Gives the devtensor module of a path as the torch module of that path."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(ours(spec.name))
        # The import system writes the alias's spec onto the module; `exec_module` puts the module's own back.
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None and spec.loader is self:
            module.__spec__ = spec.loader_state


class AliasDistribution(importlib.metadata.Distribution):
    """What `importlib.metadata` knows of the distribution "torch"."""

    @property
    def metadata(self) -> Any:
        facts = Message()
        facts["Metadata-Version"] = "2.1"
        facts["Name"] = TORCH
        facts["Version"] = VERSION
        facts["Summary"] = "devtensor in PyTorch's place"
        return facts

    def read_text(self, filename: str) -> str | None:
        return self.metadata.as_string() if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        return Path(devtensor.__file__).parent.parent / path


class AliasFinder(importlib.metadata.DistributionFinder):
    """Finds every torch module, before any other finder is asked."""

    loader = AliasLoader()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The devtensor module's place under torch's name.

        Errors: ModuleNotFoundError if devtensor has no such module.
        """
        if fullname.partition(".")[0] != TORCH:
            return None
        found = _spec_of(ours(fullname))
        if found is None:
            raise ModuleNotFoundError(
                f"[as_torch] No module named {fullname!r}: devtensor stands in for PyTorch and does not have "
                f"{ours(fullname)}; avoid what needs it, or run the script with PyTorch",
                name=fullname,
            )
        is_package = found.submodule_search_locations is not None
        spec = ModuleSpec(fullname, self.loader, origin=found.origin, is_package=is_package)
        if is_package:
            spec.submodule_search_locations = list(found.submodule_search_locations or ())
        return spec

    def find_distributions(
        self,
        context: importlib.metadata.DistributionFinder.Context = importlib.metadata.DistributionFinder.Context(),  # noqa: B008, E501
    ) -> Iterator[importlib.metadata.Distribution]:
        """The distribution "torch", if it is asked for."""
        if context.name is not None and context.name.lower() == TORCH:
            yield AliasDistribution()


def ours(name: str) -> str:
    """The devtensor path of a torch path."""
    return OURS + name[len(TORCH) :]


def _spec_of(name: str) -> ModuleSpec | None:
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.__spec__ is not None:
        return loaded.__spec__
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None


_finder = AliasFinder()


def installed() -> bool:
    """Whether `import torch` means devtensor now."""
    return _finder in sys.meta_path


def install() -> None:
    """Let `import torch` mean devtensor; a second call does nothing.

    Errors: RealTorchLoaded if PyTorch itself was imported before.
    """
    if installed():
        return
    present = sys.modules.get(TORCH)
    if present is not None and present is not devtensor:
        place = getattr(present, "__file__", None) or "an unknown place"
        raise RealTorchLoaded(
            f"[as_torch] PyTorch itself is loaded already, from {place}; make `import devtensor.as_torch` "
            "the script's first import, or run it by `python -m devtensor run script.py`"
        )
    sys.meta_path.insert(0, _finder)
    sys.modules[TORCH] = devtensor
    devtensor.__version__ = TorchVersion(VERSION)
    speak_as(TORCH)


def uninstall() -> None:
    """Let `import torch` mean PyTorch again; modules that were imported stay what they are."""
    if installed():
        sys.meta_path.remove(_finder)
        for name in _aliases(list(sys.modules)):
            del sys.modules[name]
        devtensor.__version__ = __version__
        speak_as(OURS)


def _aliases(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.partition(".")[0] == TORCH]


install()
