"""backward() and grad(): order the nodes, apply their formulas, sum into the inputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import Any

from devtensor.core import tape
from devtensor.core.dispatch import call
from devtensor.core.errors import AutogradError, ShapeError
from devtensor.core.inplace import write
from devtensor.core.op import OPS
from devtensor.core.state import current, hear, replace
from devtensor.core.tape import Node
from devtensor.core.tensor import Tensor, describe, share
from devtensor.ops.reduce import sum_to


class Run:
    """One backward pass: gradients that wait for their node, and the leaves and edges that collect them."""

    def __init__(self, retain_graph: bool, accumulate: bool, wanted: dict[Any, None] | None) -> None:
        self.retain_graph = retain_graph
        self.accumulate = accumulate
        self.wanted = wanted
        self.waiting: dict[Node, list[Tensor | None]] = {}
        self.heap: list[tuple[int, int, Node]] = []
        self.collected: dict[Any, Tensor] = {}
        self.given: set[int] = set()

    def send(self, edge: Any, g: Tensor) -> None:
        """Add a gradient to what an edge has received so far."""
        if isinstance(edge, Tensor):
            self._collect(edge, g)
            return
        node, place = edge.node, edge.place
        slots = self.waiting.get(node)
        if slots is None:
            slots = self.waiting[node] = [None] * outputs_of(node)
            heappush(self.heap, (-node.seq, id(node), node))
        before = slots[place]
        slots[place] = g if before is None else before + g  # type: ignore[operator]

    def _collect(self, key: Any, g: Tensor) -> None:
        before = self.collected.get(key)
        self.collected[key] = g if before is None else before + g  # type: ignore[operator]

    def loop(self) -> None:
        """Visit nodes from the latest to the earliest; each has all its gradients when its turn comes."""
        while self.heap:
            node = heappop(self.heap)[2]
            gs = self.waiting.pop(node)
            self._visit(node, gs)
            if not self.retain_graph:
                release(node)

    def _visit(self, node: Node, gs: list[Tensor | None]) -> None:
        if node.extra is not None:
            for hook in node.extra.hooks:
                gs = hook(gs)
        if self.wanted:
            for place, g in enumerate(gs):
                if g is not None and (node, place) in self.wanted:
                    self._collect((node, place), g)
        check_alive(node)
        for place, g in tape.apply(node, gs):
            if node.shapes is not None and g.array.shape != node.shapes[place]:
                g = sum_to(g, node.shapes[place])
            self.send(node.edges[place], g)

    def deliver(self, only: Iterable[Tensor] | None = None) -> None:
        """Sum what the leaves collected into their `.grad`."""
        chosen = None if only is None else {id(t) for t in only}
        for leaf, g in self.collected.items():
            if isinstance(leaf, Tensor) and (chosen is None or id(leaf) in chosen):
                for hook in leaf.__dict__.get("_backward_hooks", {}).values():
                    g = _hooked(hook, g)
                accumulate(leaf, g, self.given)
                for hook in list(leaf.__dict__.get("_post_accumulate_hooks", {}).values()):
                    hook(leaf)


def _hooked(hook: Any, g: Tensor) -> Tensor:
    result = hook(g)
    return g if result is None else result


def accumulate(leaf: Tensor, g: Tensor, given: set[int]) -> None:
    """Add `g` to `leaf.grad`; a first gradient that nobody else can see is taken as it is.

    Two gradients never share memory: what is aliased, or was already given to another leaf, is copied.
    """
    if g.kind is not leaf.kind:
        g = call(OPS["cast"], (g,), (leaf.kind.dtype,))
    before = leaf.grad
    if before is None:
        if g.alias is not None or id(g) in given or g.requires_grad:
            g = call(OPS["copy"], (g,), ())
        given.add(id(g))
        leaf.grad = g
    elif current().grad:
        leaf.grad = before + g  # type: ignore[operator]
    else:
        write(before, before + g)  # type: ignore[operator]


def outputs_of(node: Node) -> int:
    """How many outputs the node's op gave."""
    return 1 if node.extra is None or node.extra.blanks is None else len(node.extra.blanks)


def release(node: Node) -> None:
    """Drop what the node kept; a second backward through it is an error."""
    if current().layers:
        hear("released", node)
    if node.saved or (node.extra is not None and node.extra.outs):
        node.saved = None
        if node.extra is not None:
            node.extra.outs = ()


def check_alive(node: Node) -> None:
    if node.saved is None:
        raise AutogradError(
            "[backward] Trying to backward through the graph a second time: the values that "
            f"{node.op.name} saved "
            "have been freed; pass retain_graph=True to the first backward() or grad()"
        )


def _seed(root: Tensor, g: Tensor | None, name: str) -> Tensor:
    """The gradient that a root starts with.

    Errors: AutogradError if the root needs no gradient or is no scalar, ShapeError if shapes differ.
    """
    if not root.requires_grad:
        raise AutogradError(
            f"[{name}] element of tensors {describe(root)} does not require grad and does not have a "
            "grad_fn; "
            "set requires_grad on what should be differentiated, outside no_grad()"
        )
    if g is None:
        if root.shape.numel() != 1:
            raise AutogradError(
                f"[{name}] grad can be implicitly created only for scalar outputs, got {describe(root)}; "
                "sum it first, or pass a gradient"
            )
        return call(OPS["full"], (), (tuple(root.array.shape), 1, root.kind.dtype, root.kind.device))
    if not isinstance(g, Tensor):
        raise AutogradError(f"[{name}] gradient is {type(g).__name__}; it needs a Tensor or None")
    if g.array.shape != root.array.shape:
        raise ShapeError(f"[{name}] gradient {describe(g)} for output {describe(root)}; shapes must be equal")
    return g if g.kind is root.kind else call(OPS["cast"], (g,), (root.kind.dtype,))


def _as_list(value: Any) -> list:
    return list(value) if isinstance(value, (tuple, list)) else [value]


def _start(roots: Sequence[Tensor], gs: Sequence[Tensor | None], run: Run, name: str) -> None:
    for root, g in zip(roots, gs, strict=True):
        seed = _seed(root, g, name)
        edge = tape.edge_of(root)
        if g is not None and seed is g:
            seed = share(g) if not g.requires_grad else g
        run.send(edge, seed)


def _settings(create_graph: bool) -> Any:
    """Backward runs with autocast off, since dtypes were settled forward, and records only when asked to."""
    layers = tuple(layer for layer in current().layers if not getattr(layer, "forward_only", False))
    return replace(grad=create_graph, layers=layers)


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Sum the gradients of `tensors` into the `.grad` of the leaves they were computed from.

    Shapes: grad_tensors like tensors; None for a tensor of one element means 1.
    Errors: AutogradError if nothing requires grad, or a graph is used twice without retain_graph.
    """
    roots = _as_list(tensors)
    gs = [None] * len(roots) if grad_tensors is None else _as_list(grad_tensors)
    only = None if inputs is None else _as_list(inputs)
    if only is not None and not only:
        raise AutogradError("[backward] inputs is empty; name at least one tensor, or leave it out")
    run = Run(create_graph if retain_graph is None else retain_graph, True, _wanted(only))
    before = _settings(create_graph)
    try:
        _start(roots, gs, run, "backward")
        run.loop()
        run.deliver(only)
        for tensor in only or ():
            key = _key(tensor)
            if tensor.node is not None and key in run.collected:
                accumulate(tensor, run.collected[key], run.given)
    finally:
        replace(grad=before.grad, layers=before.layers)


def _key(tensor: Tensor) -> Any:
    return tensor if tensor.node is None else (tensor.node.node, tensor.node.place)


def _wanted(tensors: Sequence[Tensor] | None) -> dict[Any, None] | None:
    return None if tensors is None else {_key(t): None for t in tensors}


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of `outputs` with respect to `inputs`, leaving every `.grad` alone.

    Errors: AutogradError if an input needs no gradient, or was not used and allow_unused is not set.
    """
    if is_grads_batched:
        raise AutogradError("[grad] is_grads_batched is not supported; call grad() once per row")
    roots, wanted = _as_list(outputs), _as_list(inputs)
    gs = [None] * len(roots) if grad_outputs is None else _as_list(grad_outputs)
    for tensor in wanted:
        if not tensor.requires_grad:
            raise AutogradError(
                f"[grad] One of the differentiated Tensors does not require grad: {describe(tensor)}; "
                "call requires_grad_() on it before it is used"
            )
    run = Run(create_graph if retain_graph is None else retain_graph, False, _wanted(wanted))
    before = _settings(create_graph)
    try:
        _start(roots, gs, run, "grad")
        run.loop()
        return tuple(
            _result(run, t, bool(allow_unused) or materialize_grads, materialize_grads) for t in wanted
        )
    finally:
        replace(grad=before.grad, layers=before.layers)


def _result(run: Run, tensor: Tensor, allow_unused: bool, materialize: bool) -> Tensor | None:
    found = run.collected.get(_key(tensor))
    if found is None and not allow_unused:
        raise AutogradError(
            "[grad] One of the differentiated Tensors appears to not have been used in the graph: "
            f"{describe(tensor)}; "
            "set allow_unused=True if that is meant"
        )
    if found is None and materialize:
        return call(OPS["full"], (), (tuple(tensor.array.shape), 0, tensor.kind.dtype, tensor.kind.device))
    if found is not None and found.kind is not tensor.kind:
        found = call(OPS["cast"], (found,), (tensor.kind.dtype,))
    return found
