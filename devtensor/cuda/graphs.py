"""CUDA graphs are refused by their names: `devtensor.graph` captures whole steps instead."""

from __future__ import annotations

from devtensor.core.refusal import refused, refused_class

__all__ = ["CUDAGraph", "graph", "graph_pool_handle", "is_current_stream_capturing", "make_graphed_callables"]

REASON = "CUDA graphs are not offered; devtensor.graph.capture records a step on any device and replays it"

CUDAGraph = refused_class("cuda.CUDAGraph", REASON)
graph = refused_class("cuda.graph", REASON)
graph_pool_handle = refused("cuda.graph_pool_handle", REASON)
make_graphed_callables = refused("cuda.make_graphed_callables", REASON)


def is_current_stream_capturing() -> bool:
    """Whether a CUDA graph is being recorded: never."""
    return False
