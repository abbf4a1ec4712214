"""GradientEdge: a place in the graph named by its node, where no tensor need be kept."""

from __future__ import annotations

from typing import Any, NamedTuple

from devtensor.core.errors import ArgumentTypeError, AutogradError
from devtensor.core.node import AccumulateGrad, Node, Output, accumulator
from devtensor.core.tensor import Tensor, describe
from devtensor.core.views import NOWHERE


class GradientEdge(NamedTuple):
    """An output of a node: what a tensor is to backward. It keeps the graph, not the tensor's numbers."""

    node: Node
    output_nr: int
    ownership_token: Node | None = None


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """Where the tensor stands in the graph.

    Errors: AutogradError for a tensor that requires no gradient.
    """
    if not tensor.requires_grad:
        raise AutogradError(
            "[get_gradient_edge] It is not possible to get the gradient edge for a Tensor that does not "
            f"require gradients: {describe(tensor)}"
        )
    if tensor.is_leaf:
        return GradientEdge(accumulator(tensor), 0)
    return GradientEdge(tensor.node.node.named(), tensor.node.place)


def edge_from(value: Any, name: str) -> Any:
    """What the tape points at for a tensor or a GradientEdge.

    Errors: ArgumentTypeError for anything else.
    """
    if isinstance(value, Tensor):
        # Nothing flows to a view made under no_grad, which has no place of its own in the graph.
        return value if value.node is None or value.node is NOWHERE else value.node
    if not isinstance(value, GradientEdge):
        raise ArgumentTypeError(
            f"[{name}] got {type(value).__name__}; it must be a Tensor or GradientEdge, or a sequence of them"
        )
    if isinstance(value.node, AccumulateGrad):
        return value.node.variable
    extra = value.node.extra
    return value.node if extra is None or extra.blanks is None else Output(value.node, value.output_nr)


def key_of(edge: Any) -> Any:
    """What stands for an edge in a run: a leaf for itself, else the node and which of its outputs."""
    return edge if isinstance(edge, Tensor) else (edge.node, edge.place)
