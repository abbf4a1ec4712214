"""Graphs of an accelerator's work are refused by their name; `devtensor.graph` captures whole steps."""

from __future__ import annotations

from devtensor.core.refusal import refused_class

__all__ = ["Graph"]

Graph = refused_class(
    "accelerator.Graph",
    "graphs of a device's work are not offered; devtensor.graph.capture records a step on any device",
)
