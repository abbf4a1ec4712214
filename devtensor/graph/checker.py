"""The checker: is a graph well formed, and does every node say the shape its op's rule says?"""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import DevtensorError, GraphError
from devtensor.core.op import OPS
from devtensor.core.rules import as_tuple
from devtensor.core.spec import Spec, contiguous_strides
from devtensor.graph.ir import Graph, GraphNode, Value


def check(graph: Graph) -> Graph:
    """The graph itself, if it is well formed.

    Errors: GraphError naming the first node or value at fault.
    """
    known: dict[int, Value] = {}
    for value in graph.given():
        _define(known, value, "given from outside")
    for node in graph.nodes:
        if node.op not in OPS:
            raise GraphError(
                f"[check] {node!r}: no op is called {node.op!r}; import the module that declares it"
            )
        for value in node.inputs:
            if isinstance(value, Value):
                _known(known, value, repr(node))
        _check_shapes(node)
        for value in node.outputs:
            _define(known, value, repr(node))
    for value in graph.outputs:
        _known(known, value, "return")
    for slot in graph.written():
        for value in (slot.written, *(flag for flag, _ in slot.writes)):
            if value is not None:
                _known(known, value, str(slot))
        _same_type(slot.value, slot.written, str(slot))
    for name, bound in graph.binds:
        if bound is not None:
            _known(known, bound, f"grad {name}")
    return graph


def _define(known: dict[int, Value], value: Value, where: str) -> None:
    if value.id in known:
        raise GraphError(
            f"[check] {value!r} is made twice, the second time by {where}; each value is made once"
        )
    known[value.id] = value


def _known(known: dict[int, Value], value: Value, where: str) -> None:
    if known.get(value.id) is not value:
        raise GraphError(f"[check] {where} uses {value!r} before it is made; order nodes by what they use")


def _same_type(a: Value, b: Any, where: str) -> None:
    if (a.shape, a.dtype, a.device) != (b.shape, b.dtype, b.device):
        raise GraphError(
            f"[check] {where}: {b.typed()} does not fit {a.typed()}; shape, dtype and device must be equal"
        )


def _check_shapes(node: GraphNode) -> None:
    """Run the op's shape rule on the node's input shapes."""
    op = OPS[node.op]
    if op.data_dependent or op.name in ("overwrite", "reshape"):
        return
    specs = [
        Spec(i.shape, i.dtype, i.device, contiguous_strides(i.shape)) if isinstance(i, Value)
        else None if i is None else Spec((), None, None, ())  # type: ignore[arg-type]
        for i in node.inputs
    ]  # fmt: skip
    try:
        result = op.shape_rule(op.name, specs, node.params)
    except DevtensorError as error:
        raise GraphError(f"[check] {node!r}: {error}") from None
    shapes = (result[0],) if op.view else as_tuple(result)
    if tuple(tuple(shape) for shape in shapes) != tuple(out.shape for out in node.outputs):
        raise GraphError(f"[check] {node!r}: the op's rule says {shapes}")
