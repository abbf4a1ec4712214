"""`script` and `trace` give back what they are given; files of compiled programs are refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from devtensor.core.errors import DevtensorError
from devtensor.core.refusal import refused, refused_class
from devtensor.nn import Module

__all__ = [
    "CompilationUnit",
    "Error",
    "RecursiveScriptModule",
    "ScriptFunction",
    "ScriptModule",
    "TopLevelTracedModule",
    "TracerWarning",
    "enable_onednn_fusion",
    "export_opnames",
    "freeze",
    "load",
    "onednn_fusion_enabled",
    "optimize_for_inference",
    "optimized_execution",
    "save",
    "script",
    "set_fusion_strategy",
    "strict_fusion",
    "trace",
    "trace_module",
]

REASON = (
    "there is no TorchScript compiler; keep a model by its state: devtensor.save(model.state_dict(), path)"
)


class Error(DevtensorError, RuntimeError):
    """An error inside a compiled program: none is raised."""


class TracerWarning(Warning):
    """A warning of TorchScript's tracer: none is given."""


class ScriptModule(Module):
    """A base class that scripts inherit from: a Module."""


class RecursiveScriptModule(ScriptModule):
    """The class of modules that a compiler made: there are none."""


class TopLevelTracedModule(ScriptModule):
    """The class of modules that a tracer made: there are none."""


class ScriptFunction:
    """The class of functions that a compiler made: there are none."""


CompilationUnit = refused_class("jit.CompilationUnit", REASON)
save = refused("jit.save", REASON)
load = refused("jit.load", REASON)
export_opnames = refused("jit.export_opnames", REASON)


def script(
    obj: Any, optimize: Any = None, _frames_up: int = 0, _rcb: Any = None, example_inputs: Any = None
) -> Any:
    """The function, class or module itself: it runs eagerly."""
    return obj


def trace(
    func: Any,
    example_inputs: Any = None,
    optimize: Any = None,
    check_trace: bool = True,
    check_inputs: Any = None,
    check_tolerance: float = 1e-5,
    strict: bool = True,
    _force_outplace: bool = False,
    _module_class: Any = None,
    _compilation_unit: Any = None,
    example_kwarg_inputs: Any = None,
    _store_inputs: bool = True,
) -> Any:
    """The function or module itself: it runs eagerly, and follows its `if`s at every call."""
    return func


def trace_module(
    mod: Module,
    inputs: Any,
    optimize: Any = None,
    check_trace: bool = True,
    check_inputs: Any = None,
    check_tolerance: float = 1e-5,
    strict: bool = True,
    **options: Any,
) -> Module:
    """The module itself: it runs eagerly."""
    return mod


def freeze(mod: Module, preserved_attrs: list[str] | None = None, optimize_numerics: bool = True) -> Module:
    """The module itself."""
    return mod


def optimize_for_inference(mod: Module, other_methods: list[str] | None = None) -> Module:
    """The module itself."""
    return mod


_fusion = {"onednn": False, "strategy": [("STATIC", 2), ("DYNAMIC", 10)]}


def enable_onednn_fusion(enabled: bool) -> None:
    """Kept and given back."""
    _fusion["onednn"] = enabled


def onednn_fusion_enabled() -> bool:
    """What `enable_onednn_fusion` was told."""
    return bool(_fusion["onednn"])


def set_fusion_strategy(strategy: list[tuple[str, int]]) -> Any:
    """Kept; returns what was."""
    before, _fusion["strategy"] = _fusion["strategy"], strategy
    return before


@contextmanager
def optimized_execution(should_optimize: bool) -> Iterator[None]:
    """Taken, without effect."""
    yield


class strict_fusion:
    """Taken, without effect."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: object) -> None:
        return None
