"""One backward pass over the tape: which nodes run, in what order, and what the leaves receive."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

from devtensor.autograd.formulas import apply
from devtensor.core.dispatch import call
from devtensor.core.errors import ArgumentTypeError, AutogradError
from devtensor.core.inplace import write
from devtensor.core.op import OPS
from devtensor.core.state import current, hear
from devtensor.core.tape import Node
from devtensor.core.tensor import Tensor, describe
from devtensor.ops.reduce import sum_to


class Run:
    """One backward pass: gradients that wait for their node, and the leaves and edges that collect them.

    `wanted` names the leaves and edges asked for, None all leaves; `path` holds the nodes that lead to what
    is asked for: no other node is run or released.
    """

    def __init__(self, retain_graph: bool, wanted: Sequence[Tensor] | None) -> None:
        self.retain_graph = retain_graph
        self.wanted = None if wanted is None else {edge_key(tensor) for tensor in wanted}
        self.path: set[Node] = set()
        self.waiting: dict[Node, list[Tensor | None]] = {}
        self.heap: list[tuple[int, int, Node]] = []
        self.collected: dict[Any, Tensor] = {}
        self.given: set[int] = set()

    def send(self, edge: Any, g: Tensor) -> None:
        """Add a gradient to what an edge has received so far."""
        wanted = self.wanted
        if isinstance(edge, Tensor):
            if wanted is None or edge in wanted:
                self._collect(edge, g)
            return
        node, place = edge.node, edge.place
        if wanted is not None and node not in self.path and (node, place) not in wanted:
            return
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
            if node.extra is not None:
                for hook in list(node.extra.hooks):
                    gs = [checked(new, old) for new, old in zip(hook(gs), gs, strict=True)]
            if self.wanted is not None:
                for place, g in enumerate(gs):
                    if g is not None and (node, place) in self.wanted:
                        self._collect((node, place), g)
            if self.wanted is None or node in self.path:
                self._pass_on(node, gs)

    def _pass_on(self, node: Node, gs: list[Tensor | None]) -> None:
        """Run the node's formulas and send what they give to where its inputs came from."""
        check_alive(node)
        for place, g in apply(node, gs):
            if node.shapes is not None and g.array.shape != node.shapes[place]:
                g = sum_to(g, node.shapes[place])
            self.send(node.edges[place], g)

        if not self.retain_graph:
            release(node)

    def finish(self) -> None:
        """Let the leaves' hooks see, and change, what was collected."""
        for leaf, g in self.collected.items():
            if isinstance(leaf, Tensor):
                for hook in list(leaf.__dict__.get("_backward_hooks", {}).values()):
                    result = hook(g)
                    g = g if result is None else checked(result, g)
                self.collected[leaf] = g  # type: ignore[assignment]

    def deliver(self) -> None:
        """Sum what the leaves collected into their `.grad`."""
        for leaf, g in self.collected.items():
            if isinstance(leaf, Tensor):
                accumulate(leaf, g, self.given)
                for hook in list(leaf.__dict__.get("_post_accumulate_hooks", {}).values()):
                    hook(leaf)


def path_to(wanted: set, roots: Sequence[Tensor]) -> set[Node]:
    """The nodes between `roots` and what is wanted."""
    stack = [root.node.node for root in roots if root.node is not None]
    seen = set(stack)
    while stack:
        for edge in stack.pop().edges:
            if edge is not None and not isinstance(edge, Tensor) and edge.node not in seen:
                seen.add(edge.node)
                stack.append(edge.node)
    path: set[Node] = set()
    for node in sorted(seen, key=lambda node: node.seq):
        for edge in node.edges:
            if edge is not None and (
                edge in wanted
                if isinstance(edge, Tensor)
                else edge.node in path or (edge.node, edge.place) in wanted
            ):
                path.add(node)
                break
    return path


def checked(new: Any, old: Tensor | None) -> Tensor | None:
    """What a hook made of a gradient, if it is of the same shape, dtype and device.

    Errors: ArgumentTypeError for what is no tensor, AutogradError for one that does not fit.
    """
    if new is old or old is None:
        return new
    if not isinstance(new, Tensor):
        raise ArgumentTypeError(f"[hook] expected Variable, but hook returned '{type(new).__name__}'")
    if new.kind is not old.kind or new.array.shape != old.array.shape:
        raise AutogradError(
            f"[hook] hook has changed the type or size of value: was {describe(old)}, got {describe(new)}"
        )
    return new


def accumulate(leaf: Tensor, g: Tensor, given: set[int]) -> None:
    """Add `g` to `leaf.grad`; a first gradient that nobody else can see is taken as it is.

    Two gradients never share memory: what is aliased, or was already given to another leaf, is copied.
    """
    if g.kind is not leaf.kind:
        g = call(OPS["cast"], (g,), (leaf.kind.dtype,))
    before = leaf.grad if leaf.node is None else getattr(leaf, "_grad", None)
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


def edge_key(tensor: Tensor) -> Any:
    """What stands for a tensor in a run: a leaf for itself, else the node and which of its outputs."""
    return tensor if tensor.node is None else (tensor.node.node, tensor.node.place)
