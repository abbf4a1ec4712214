"""capture(fn): run eagerly and listen until two runs agree, then replay the graph."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from devtensor.core.errors import TraceError
from devtensor.core.state import current
from devtensor.core.tensor import Tensor, storage_of
from devtensor.graph.ir import Graph, comparable
from devtensor.graph.listen import Capture
from devtensor.graph.replay import Replay
from devtensor.graph.tree import Nest, flatten, unflatten

ATTEMPTS = 5


class Program:
    """A function that becomes a graph: eager while it is being learnt, replayed once two runs agreed.

    `replays` counts the calls that ran the graph; `graph` is the latest accepted one.
    """

    def __init__(self, function: Callable) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.entries: dict[Any, Learning] = {}
        self.replays = 0

    @property
    def graph(self) -> Graph | None:
        """The graph of the latest call's kind, or None while it is being learnt."""
        found = [e.accepted.graph for e in self.entries.values() if e.accepted is not None]
        return found[-1] if found else None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if any(isinstance(layer, Capture) for layer in current().layers):
            return self.function(*args, **kwargs)
        leaves: list = []
        shape = flatten((args, kwargs), leaves)
        learning = self.entries.setdefault(call_key(shape, leaves), Learning())
        if learning.accepted is not None and learning.accepted.holds(leaves):
            self.replays += 1
            return learning.accepted.run(leaves)
        return learning.listen(self.function, args, kwargs, leaves)


class Learning:
    """The captures of one kind of call, until one repeats an earlier one."""

    def __init__(self) -> None:
        self.seen: list[tuple[tuple, Capture]] = []
        self.accepted: Replay | None = None

    def listen(self, function: Callable, args: tuple, kwargs: dict, leaves: list) -> Any:
        """Run the function eagerly under a capture and compare what was heard with earlier runs."""
        capture = Capture()
        enter_inputs(capture, leaves)
        with capture:
            result = function(*args, **kwargs)
            outs: list = []
            shape = flatten(result, outs)
            tensors = [o for o in outs if isinstance(o, Tensor)]
            capture.finish(tensors)
        signature = (capture.graph.signature(), owners(capture))
        if any(signature == earlier for earlier, _ in self.seen):
            refuse_escapes(capture, tensors)
            self.accepted = Replay(capture, leaves, outs, shape)
            self.seen.clear()
        else:
            self.accepted = None
            self.seen.append((signature, capture))
            if len(self.seen) >= ATTEMPTS:
                raise TraceError(difference(self.seen[-2][1].graph, self.seen[-1][1].graph))
        return unflatten(shape, outs)


def call_key(shape: Any, leaves: list) -> tuple:
    """What must be equal for two calls to share a graph: nest, tensors' specs, other values, modes."""
    mode = current()
    described = tuple(
        (leaf.kind, tuple(leaf.array.shape), leaf.requires_grad, leaf.node is None)
        if isinstance(leaf, Tensor)
        else comparable(leaf)
        if leaf.__hash__
        else (type(leaf).__name__, id(leaf))
        for leaf in leaves
    )
    nest = shape.key() if isinstance(shape, Nest) else None
    layers = tuple(getattr(layer, "key", layer) for layer in mode.layers)
    return nest, described, mode.grad, mode.inference, layers


def enter_inputs(capture: Capture, leaves: list) -> None:
    """Enter the tensor arguments; those that share memory without being the same view enter whole."""
    tensors = [(place, leaf) for place, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    for place, tensor in tensors:
        storage = storage_of(tensor)
        whole = any(storage_of(o) is storage and o.alias.chain != tensor.alias.chain for _, o in tensors)
        capture.add_input(tensor, f"arg{place}", whole)


def owners(capture: Capture) -> tuple:
    """Which memory outside the slots are: two graphs over other memory are not the same."""
    return tuple(id(o.storage()) if o.leaf is None else ("grad", id(o.leaf())) for o in capture.outside)


def refuse_escapes(capture: Capture, outputs: list[Tensor]) -> None:
    """Refuse a function that leaves new tensors behind which it does not return: a replay would not.

    Errors: TraceError with the lines that made them.
    """
    if capture.left_alive(outputs):
        import gc

        gc.collect()
    lines = capture.left_alive(outputs)
    if lines:
        raise TraceError(
            "[capture] the function leaves tensors alive that it made and does not return; a replay "
            "could not renew "
            "them. Return them, or write them into tensors that exist (copy_). They were made at\n" + lines[0]
        )


def difference(a: Graph, b: Graph) -> str:
    """A message that shows where two captures part."""
    for first, second in zip(a.nodes, b.nodes, strict=False):
        if repr(first) != repr(second):
            return (
                f"[capture] {ATTEMPTS} runs gave no two equal graphs; the last two part at\n  {first!r}\n "
                f" {second!r}\n"
                f"{second.line}\na Python value that changes from call to call is baked in: make it a "
                "tensor, or feed it"
            )
    return (
        f"[capture] {ATTEMPTS} runs gave no two equal graphs: they have {len(a.nodes)} and {len(b.nodes)} "
        "nodes, "
        f"{len(a.slots)} and {len(b.slots)} slots; memory outside is new at every call: keep it, and "
        "write into it"
    )


def capture(function: Callable) -> Program:
    """The function, learnt as a graph by listening to it, then replayed: same results, bit for bit.

    Errors: TraceError for what a graph cannot hold, with the user's line.
    Example: `step = devtensor.graph.capture(step)`
    """
    return Program(function)
