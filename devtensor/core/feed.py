"""Python values that a captured graph must not swallow: `feed` for data, `depend` for what shapes the
graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.state import current


def feed(getter: Callable[[], Any]) -> Any:
    """A number that is data, such as a learning rate: its value, or while a graph is captured a 0-d float64
    tensor that is read anew at each replay."""
    for layer in current().layers:
        hear = getattr(layer, "feed", None)
        if hear is not None:
            return hear(getter)
    return getter()


def depend(getter: Callable[[], Any]) -> Any:
    """Python state that shapes the graph, such as `training`: its value, which a captured graph checks before
    each replay."""
    for layer in current().layers:
        hear = getattr(layer, "depend", None)
        if hear is not None:
            return hear(getter)
    return getter()
