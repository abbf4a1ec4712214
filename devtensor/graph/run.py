"""The interpreter: runs a graph by the backends' kernels, array by array, without Tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.device import Kind
from devtensor.core.dispatch import call_body
from devtensor.core.explain import recover
from devtensor.core.op import OPS, Op
from devtensor.core.plan import key_of, make_plan
from devtensor.core.relaying import relaid
from devtensor.core.spec import view_strides
from devtensor.core.state import switched
from devtensor.core.tensor import wrap
from devtensor.core.views import exactly
from devtensor.graph.ir import Graph, GraphNode, Value
from devtensor.graph.meta import MetaArray


class Step:
    """One node made ready: its kernel with literals and parameters filled in."""

    __slots__ = ("dead", "function", "inputs", "many", "node", "outputs")

    def __init__(self, node: GraphNode, dead: tuple[int, ...]) -> None:
        self.node = node
        self.function = kernel_of(node)
        self.inputs = tuple(i.id for i in node.inputs if isinstance(i, Value))
        self.outputs = tuple(o.id for o in node.outputs)
        self.many = isinstance(OPS[node.op].dtype_rule, tuple)
        self.dead = dead


class Runner:
    """A graph's nodes in order, each freeing the values that nobody needs after it, save those in `kept`."""

    def __init__(self, graph: Graph, kept: set[int] = frozenset()) -> None:  # type: ignore[assignment]
        kept = kept | {v.id for v in graph.outputs} | {v.id for _, v in graph.binds if v is not None}
        kept |= {slot.written.id for slot in graph.written()}  # type: ignore[union-attr]
        kept |= {flag.id for slot in graph.written() for flag, _ in slot.writes if flag is not None}
        kept |= {v.id for v in graph.given()}
        last: dict[int, int] = {}
        for place, node in enumerate(graph.nodes):
            for value in (*node.inputs, *node.outputs):
                if isinstance(value, Value):
                    last[value.id] = place
        dying: dict[int, list[int]] = {}
        for value_id, place in last.items():
            if value_id not in kept:
                dying.setdefault(place, []).append(value_id)
        self.steps = [Step(node, tuple(dying.get(i, ()))) for i, node in enumerate(graph.nodes)]

    def run(self, arrays: dict[int, Any]) -> dict[int, Any]:
        """Compute every value from those given; the dict is filled in place."""
        for step in self.steps:
            result = step.function(*[arrays[i] for i in step.inputs])
            if step.many:
                arrays.update(zip(step.outputs, result, strict=True))
            else:
                arrays[step.outputs[0]] = result
            for value_id in step.dead:
                del arrays[value_id]
        return arrays


def kernel_of(node: GraphNode) -> Callable:
    """A function of the node's arrays."""
    op = OPS[node.op]
    stand_ins = tuple(_stand_in(i) for i in node.inputs)
    plan = make_plan(op, key_of(op, stand_ins, node.params), stand_ins, node.params)
    if plan.kernel is None:
        return _by_body(node)
    kernel, params, device = plan.kernel, node.params, plan.out[0].device
    if op.view:
        kernel = _viewing(op, kernel, stand_ins[0].kind)
    if node.op == "reshape":
        kernel = _reshaping(kernel, device)
    fixed = [None if isinstance(i, Value) or i is None else plan.literal.constant(i) for i in node.inputs]
    holes = [isinstance(i, Value) for i in node.inputs]
    always = op.placement is not None and op.placement.always

    def step(*arrays: Any) -> Any:
        given = iter(arrays)
        values: tuple[Any, ...] = tuple(
            [next(given) if hole else held for hole, held in zip(holes, fixed, strict=True)]
        )
        try:
            data = kernel(*values, *params)
        except Exception as error:
            return recover(error, op, plan, _as_tensors(node, arrays), values, params)
        if plan.relaid:
            given = [v if hole else None for v, hole in zip(values, holes, strict=True)]
            if always or any([v is not None and not v.flags.c_contiguous for v in given]):
                return relaid(op, plan, given, params, data)
        return data

    return step


def _as_tensors(node: GraphNode, arrays: tuple) -> tuple:
    """The node's inputs as an op gets them: tensors, numbers, and None."""
    given = iter(arrays)
    return tuple(
        wrap(next(given), i.device.kind(i.dtype)) if isinstance(i, Value) else i for i in node.inputs
    )


def _stand_in(value: Any) -> Any:
    """A tensor without numbers, for the rules to look at."""
    return wrap(MetaArray(value.shape), value.device.kind(value.dtype)) if isinstance(value, Value) else value


def _viewing(op: Op, kernel: Callable, kind: Kind) -> Callable:
    """A view with the strides that eager code gives it, so that what reads it adds up in the same order."""

    def view(array: Any, *params: Any) -> Any:
        found = kernel(array, *params)
        return exactly(op, kind, array, params, found) if 1 in found.shape or 0 in found.shape else found

    return view


def _reshaping(kernel: Callable, device: Any) -> Callable:
    """Reshape whatever the layout: in a graph nothing depends on whether it copies."""
    backend = device.backend
    copy = backend.kernels["copy"]

    def reshape(array: Any, shape: tuple[int, ...]) -> Any:
        if view_strides(array.shape, backend.strides_of(array), shape) is None:
            array = copy(array)
        return kernel(array, shape)

    return reshape


def _by_body(node: GraphNode) -> Callable:
    """Run a composite that has no kernel here by its body."""
    op = OPS[node.op]

    def step(*arrays: Any) -> Any:
        inputs = _as_tensors(node, arrays)
        with switched(grad=False, layers=()):
            result = call_body(op, inputs, node.params)
        return tuple(t.array for t in result) if isinstance(result, tuple) else result.array

    return step
