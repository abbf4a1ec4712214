"""Layers that hear of every node which the ops below them record."""

from __future__ import annotations

from typing import Any

from devtensor.core.node import Node, next_seq
from devtensor.core.op import Op
from devtensor.core.state import Layer
from devtensor.core.tensor import Tensor


class RecordingLayer(Layer):
    """Lets every op happen, and hands over the nodes that are new."""

    def call(self, op: Op, inputs: tuple, params: tuple, below: Any) -> Any:
        born = next_seq()
        out = below(op, inputs, params)
        for made in out if isinstance(out, tuple) else (out,):
            if isinstance(made, Tensor) and made.node is not None and made.node.seq > born:
                self.recorded(made.node.node)
        return out

    def recorded(self, node: Node) -> None:
        """Hear of a node; one with several outputs is told of once for each."""
        raise NotImplementedError
