"""A PyTorch script as the main program, with devtensor in PyTorch's place.

Processes that the script starts anew (multiprocessing's "spawn" and "forkserver") import their main program
again: its spec leads them to this module, which finds in the environment what to run.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType

from devtensor import as_torch

__all__ = ["run"]

# What this process runs, for those that it starts: "script" or "module", a colon, and its path or name.
VARIABLE = "DEVTENSOR_RUN"


class MainSpec(ModuleSpec):
    """The spec of a main program that was started from here: its name leads new processes to this module."""

    def __init__(self, package: str | None) -> None:
        super().__init__("devtensor.carried", None)
        self.package = package

    @property
    def parent(self) -> str | None:
        """The package that relative imports of the main program start from."""
        return self.package


def run(arguments: list[str]) -> None:
    """Run `script.py ARGUMENTS` or `-m module ARGUMENTS` as Python would, `import torch` being ours."""
    as_torch.install()
    if arguments[0] == "-m":
        kind, target, rest = "module", arguments[1], arguments[2:]
        sys.path[0] = os.getcwd()
    else:
        kind, target, rest = "script", os.path.abspath(arguments[0]), arguments[1:]
        sys.path[0] = os.path.dirname(target)
    os.environ[VARIABLE] = f"{kind}:{target}"
    # New processes find this package where this one did, be it installed or not.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    module, code = _prepared(kind, target, "__main__")
    sys.argv = [arguments[0] if kind == "script" else str(module.__file__), *rest]
    sys.modules["__main__"] = module
    exec(code, vars(module))


def _prepared(kind: str, target: str, name: str) -> tuple[ModuleType, CodeType]:
    """An empty main module for a script or module, and the code that fills it."""
    if kind == "script":
        with open(target, "rb") as file:
            code, package = compile(file.read(), target, "exec", dont_inherit=True), None
    else:
        target, package, code = _code_of(target)
    module = ModuleType(name)
    facts = {"__file__": target, "__package__": package, "__spec__": MainSpec(package)}
    vars(module).update(facts)
    return module, code


def _code_of(name: str) -> tuple[str, str | None, CodeType]:
    """File, package and code of a module; of a package, of its `__main__`."""
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = importlib.util.find_spec(f"{name}.__main__")
    code = getattr(spec.loader, "get_code", lambda name: None)(spec.name) if spec is not None else None
    if spec is None or code is None:
        raise ModuleNotFoundError(f"[run] no module {name!r} that can be run", name=name)
    return str(spec.origin), spec.parent or None, code


if __name__ == "__mp_main__":
    # A process that the script started anew: what the script defines is found where pickle looks for it.
    as_torch.install()
    _kind, _, _target = os.environ[VARIABLE].partition(":")
    _module, _code = _prepared(_kind, _target, __name__)
    exec(_code, vars(_module))
    globals().update({name: value for name, value in vars(_module).items() if name != "__spec__"})
