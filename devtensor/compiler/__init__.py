"""The compiler's controls: nothing is compiled by `compile` yet, so they are kept and change nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.compiler import config
from devtensor.compiler.eager import InvalidBackend, OptimizedModule, compile, list_backends

__all__ = [
    "InvalidBackend",
    "OptimizedModule",
    "allow_in_graph",
    "assume_constant_result",
    "compile",
    "config",
    "cudagraph_mark_step_begin",
    "disable",
    "is_compiling",
    "is_dynamo_compiling",
    "is_exporting",
    "list_backends",
    "nested_compile_region",
    "reset",
    "set_stance",
    "substitute_in_graph",
    "wrap_numpy",
]


def is_compiling() -> bool:
    """Whether this code is being compiled: never."""
    return False


is_dynamo_compiling = is_exporting = is_compiling


def reset() -> None:
    """Forget what was compiled: nothing was."""


def cudagraph_mark_step_begin() -> None:
    """Mark the beginning of a step: taken, without effect."""


def _mark(fn: Any) -> Any:
    """The function or class itself."""
    return fn


allow_in_graph = assume_constant_result = nested_compile_region = wrap_numpy = _mark


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """The function or module itself, which runs eagerly as it is; without one, a decorator."""
    return _mark if fn is None else fn


def substitute_in_graph(original_fn: Callable, **options: Any) -> Callable:
    """A decorator that gives the function itself: there is no graph to substitute it in."""
    return _mark


class set_stance:
    """Taken, without effect: as a call, for a block, or around a function."""

    def __init__(self, stance: str = "default", **options: Any) -> None:
        self.stance = stance

    def __call__(self, fn: Callable) -> Callable:
        return fn

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: object) -> None:
        return None
