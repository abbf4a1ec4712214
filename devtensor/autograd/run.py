"""One backward pass over the tape: which nodes run, in what order, and what the leaves receive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from heapq import heappop, heappush
from typing import Any

from devtensor.autograd.formulas import apply
from devtensor.autograd.listeners import (
    hear_accumulated,
    hear_accumulator,
    hear_after,
    hear_before,
    hear_leaf,
    hear_tensors,
    hooks_of,
)
from devtensor.core.hooks import Hooks
from devtensor.core.inplace import write
from devtensor.core.node import AccumulateGrad, Node, hooked_leaves
from devtensor.core.state import current, hear, switched
from devtensor.core.tensor import Tensor
from devtensor.ops.create import cast, copy
from devtensor.ops.reduce import sum_to


class Run:
    """One backward pass: gradients that wait for their node, and the leaves and edges that collect them.

    `wanted` names the leaves and edges asked for, None all leaves; `path` holds the nodes that lead to what
    is asked for: no other node is run or released. A pass that `accumulates` sums into leaves' `.grad`.
    `awaited` counts, for leaves with hooks, the uses that have not been visited: such a leaf is done when its
    last use is, any other at the end.
    """

    def __init__(self, retain_graph: bool, wanted: set | None, accumulates: bool) -> None:
        self.retain_graph = retain_graph or any(map(_keeps_graphs, current().layers))
        self.wanted = wanted
        self.accumulates = accumulates
        self.path: set[Node] = set()
        self.waiting: dict[Node, list[Tensor | None]] = {}
        self.heap: list[tuple[int, int, Node]] = []
        self.collected: dict[Any, Tensor] = {}
        self.given: set[int] = set()
        self.awaited: dict[Tensor, int] = {}
        self.roots: Sequence[Any] = ()
        layers = current().layers
        forward_only = any(getattr(layer, "forward_only", False) for layer in layers)
        self.around = layers if forward_only else None
        self.watch = next((w for w in map(_watcher, current().layers) if w is not None), None)

    def ask(self, function: Callable, *given: Any) -> Any:
        """Call a function of the user's, under all layers that stand around the call of backward: to it
        autocast is on there, though not to formulas."""
        if self.around is None:
            return function(*given)
        with switched(layers=self.around):
            return function(*given)

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
        token = _running.set(self)
        try:
            self._visit_all()
        finally:
            _running.reset(token)

    def _visit_all(self) -> None:
        while self.heap:
            node = heappop(self.heap)[2]
            gs = self.waiting.pop(node)
            hooks = hooks_of(node)
            if self.wanted is not None:
                needed = node in self.path
                if hooks is not None and not needed:
                    gs = self.ask(hear_tensors, hooks, gs)
                self._keep(node, gs)
                if not needed:
                    continue
            if hooks is not None:
                gs = self.ask(hear_before, hooks, self.ask(hear_tensors, hooks, gs))
            self._pass_on(node, gs, hooks)
            if self.awaited:
                self._visited(node)
        for leaf in [key for key in self.collected if isinstance(key, Tensor)]:
            if not self.awaited or self.awaited.get(leaf) != 0:
                self._finish(leaf)

    def _keep(self, node: Node, gs: list[Tensor | None]) -> None:
        """Collect the gradients of a node's outputs that were asked for."""
        for place, g in enumerate(gs):
            if g is not None and (node, place) in self.wanted:  # type: ignore[operator]
                self._collect((node, place), g)

    def _pass_on(self, node: Node, gs: list[Tensor | None], hooks: Hooks | None) -> None:
        """Run the node's formulas and send what they give to where its inputs came from."""
        node.check_alive()
        found = apply(node, gs) if self.watch is None else self.watch(node, gs, apply)
        if node.shapes is not None:
            found = [
                (place, g if g.array.shape == node.shapes[place] else sum_to(g, node.shapes[place]))
                for place, g in found
            ]
        if hooks is not None and hooks.after:
            made: list[Tensor | None] = [None] * len(node.edges)
            for place, g in found:
                made[place] = g
            heard = self.ask(hear_after, hooks, made, gs)
            found = [(p, g) for p, g in enumerate(heard) if g is not None]
        if not self.retain_graph:
            release(node)
        for place, g in found:
            if node.edges[place] is not None:
                self.send(node.edges[place], g)

    def start_from(self, roots: Sequence[Any]) -> None:
        """Find the way from these edges, and count the uses of leaves with hooks if there are such leaves."""
        self.roots = roots
        if self.wanted is not None:
            self.path = path_to(self.wanted, roots)
        for node in self._visited_nodes() if hooked_leaves else ():
            for edge in node.edges:
                if isinstance(edge, Tensor) and id(edge) in hooked_leaves:
                    self.awaited[edge] = self.awaited.get(edge, 0) + 1

    def _visited_nodes(self) -> set[Node]:
        return reachable(self.roots) if self.wanted is None else self.path

    def count_visits(self, edges: Sequence[Any]) -> int:
        """To how many of these GradientEdges the pass comes."""
        nodes = self._visited_nodes()
        leaves = [e for node in nodes for e in node.edges if isinstance(e, Tensor)]
        leaves += [root for root in self.roots if isinstance(root, Tensor)]
        used = {id(leaf) for leaf in leaves if self.wanted is None or leaf in self.wanted}
        wanted = self.wanted or ()
        return sum(
            id(node.variable) in used
            if isinstance(node, AccumulateGrad)
            else node in nodes or (node, place) in wanted
            for node, place, *_ in edges
        )

    def _visited(self, node: Node) -> None:
        for edge in node.edges:
            if isinstance(edge, Tensor) and edge in self.awaited:
                self.awaited[edge] -= 1
                if not self.awaited[edge] and edge in self.collected:
                    self._finish(edge)

    def _finish(self, leaf: Tensor) -> None:
        """Let the leaf's hooks see, and change, its gradient, and sum it into its `.grad`."""
        hooked = id(leaf) in hooked_leaves
        if hooked:
            self.collected[leaf] = self.ask(hear_leaf, leaf, self.collected[leaf])
        if not self.accumulates:
            return
        g = self.collected.pop(leaf)
        if not leaf._requires_grad:
            return
        if hooked:
            g = self.ask(hear_accumulator, leaf, g)
        accumulate(leaf, g, self.given)
        if hooked:
            self.ask(hear_accumulated, leaf, g)


_running: ContextVar[Run | None] = ContextVar("devtensor_backward", default=None)


def current_run() -> Run | None:
    """The backward pass that runs now in this thread."""
    return _running.get()


def _keeps_graphs(layer: Any) -> bool:
    """Whether a layer wants graphs kept, since what it runs will come back to them."""
    return getattr(layer, "keeps_graphs", False)


def _watcher(layer: Any) -> Any:
    """The method of a layer that runs each node's formulas in its own way, if it has one."""
    return getattr(layer, "watch", None)


def reachable(roots: Sequence[Any]) -> set[Node]:
    """The nodes that lead to `roots`, which are edges."""
    stack = [edge.node for edge in roots if edge is not None and not isinstance(edge, Tensor)]
    seen = set(stack)
    while stack:
        for edge in stack.pop().edges:
            if edge is not None and not isinstance(edge, Tensor) and edge.node not in seen:
                seen.add(edge.node)
                stack.append(edge.node)
    return seen


def path_to(wanted: set, roots: Sequence[Any]) -> set[Node]:
    """The nodes between `roots` and what is wanted."""
    path: set[Node] = set()
    for node in sorted(reachable(roots), key=lambda node: node.seq):
        for edge in node.edges:
            if edge is not None and (
                edge in wanted
                if isinstance(edge, Tensor)
                else edge.node in path or (edge.node, edge.place) in wanted
            ):
                path.add(node)
                break
    return path


def accumulate(leaf: Tensor, g: Tensor, given: set[int]) -> None:
    """Add `g` to `leaf.grad`; a first gradient that nobody else can see is taken as it is.

    Two gradients never share memory: what is aliased, or was already given to another leaf, is copied.
    """
    if g.kind is not leaf.kind:
        g = cast(g, leaf.kind.dtype)
    before = leaf.grad if leaf.node is None else getattr(leaf, "_grad", None)
    if before is None:
        if g.alias is not None or id(g) in given or g.requires_grad:
            g = copy(g)
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
