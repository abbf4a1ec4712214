"""PyTorch's tracing compiler by name: scripts set its switches; there is none here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor._dynamo import config, eval_frame
from devtensor.compiler import (
    OptimizedModule,
    allow_in_graph,
    assume_constant_result,
    compile,
    disable,
    is_compiling,
    list_backends,
    reset,
)
from devtensor.core.refusal import refused

__all__ = [
    "OptimizedModule",
    "allow_in_graph",
    "assume_constant_result",
    "config",
    "disable",
    "disallow_in_graph",
    "eval_frame",
    "explain",
    "export",
    "graph_break",
    "is_compiling",
    "list_backends",
    "mark_dynamic",
    "mark_static",
    "mark_static_address",
    "maybe_mark_dynamic",
    "optimize",
    "reset",
    "run",
]

REASON = "nothing is compiled yet: functions run eagerly, so there is nothing to explain"

explain = refused("_dynamo.explain", REASON)
export = refused("_dynamo.export", REASON)
disallow_in_graph = run = allow_in_graph


def graph_break(msg: str = "") -> None:
    """Taken, without effect: there is no graph to break."""


def _mark_sizes(t: Any, *args: Any, **options: Any) -> None:
    """Taken, without effect: sizes are looked at when ops run."""


mark_dynamic = maybe_mark_dynamic = mark_static = mark_static_address = _mark_sizes


def optimize(backend: Any = None, **options: Any) -> Callable[[Any], Any]:
    """A decorator that does what `devtensor.compile` does."""
    return lambda model: compile(model, backend=backend)
