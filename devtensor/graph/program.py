"""capture(fn): run eagerly and listen until two runs agree, then replay the graph."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from devtensor.core.device import default_device
from devtensor.core.dtype import default_dtype
from devtensor.core.errors import TraceError
from devtensor.core.state import current
from devtensor.core.tensor import Tensor, storage_of, strides_of
from devtensor.graph.ir import Graph, comparable
from devtensor.graph.learning import Learning
from devtensor.graph.listen import Capture
from devtensor.graph.tree import Nest, flatten

# How many kinds of calls a Program remembers; the oldest is forgotten first.
KINDS = 64


class Program:
    """A function that becomes a graph: eager while it is being learnt, replayed once two runs agreed.

    `replays` counts the calls that ran the graph; `graph` is the latest accepted one.
    """

    def __init__(self, function: Callable) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.entries: dict[Any, Learning] = {}
        self.replays = 0

    def __reduce__(self) -> tuple:
        # A copy learns anew: its graphs would belong to the memory of what was copied.
        return Program, (self.function,)

    @property
    def graph(self) -> Graph | None:
        """The graph of the latest call's kind, or None while it is being learnt."""
        found = [e.accepted[1].graph for e in self.entries.values() if e.accepted is not None]
        return found[-1] if found else None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if any(isinstance(layer, Capture) for layer in current().layers):
            return self.function(*args, **kwargs)
        leaves: list = []
        shape = flatten((args, kwargs), leaves)
        learning = self._learning(call_key(shape, leaves))
        ready = learning.ready(leaves)
        if ready is None:
            return learning.listen(self.function, args, kwargs, leaves)
        replay, memory = ready
        self.replays += 1
        return replay.run(leaves, memory)

    def _learning(self, key: Any) -> Learning:
        learning = self.entries.get(key)
        if learning is None:
            if len(self.entries) >= KINDS:
                del self.entries[next(iter(self.entries))]
            learning = self.entries[key] = Learning()
        return learning


def call_key(shape: Any, leaves: list) -> tuple:
    """What must be equal for two calls to share a graph: nest, tensors' specs and how they share memory,
    other values, modes and defaults."""
    mode = current()
    described = tuple(
        (leaf.kind, tuple(leaf.array.shape), strides_of(leaf), leaf.requires_grad, leaf.node is None)
        if isinstance(leaf, Tensor)
        else comparable_argument(leaf)
        for leaf in leaves
    )
    nest = shape.key() if isinstance(shape, Nest) else None
    layers = tuple(getattr(layer, "key", layer) for layer in mode.layers)
    modes = mode.grad, mode.inference, layers, default_dtype(), default_device()
    return nest, described, sharing(leaves), modes


def comparable_argument(value: Any) -> Any:
    """An argument that is no tensor, as part of a key.

    Errors: TraceError for one that can change without notice.
    """
    if type(value).__hash__ is None:
        raise TraceError(
            f"[capture] an argument is a {type(value).__name__}, which may change without notice; pass "
            "tensors, numbers, texts, and lists, tuples and dicts of them"
        )
    return comparable(value)


def sharing(leaves: list) -> tuple:
    """Which tensors share memory, by the place of the first that has it, and as which view of what size."""
    first: dict[int, int] = {}
    found = []
    for place, leaf in enumerate(leaves):
        if isinstance(leaf, Tensor):
            storage = storage_of(leaf)
            found.append((place, first.setdefault(id(storage), place), leaf))
    shared = {earlier for place, earlier, _ in found if place != earlier}
    return tuple(
        (place, earlier, tuple(storage_of(leaf).root.shape), comparable(leaf.alias.chain))
        for place, earlier, leaf in found
        if earlier in shared
    )


def capture(function: Callable) -> Program:
    """The function, learnt as a graph by listening to it, then replayed: same results, bit for bit.

    Arguments that are no tensors are part of the graph: another value is learnt anew. What the function
    does to Python objects happens while it is learnt and not at replays.

    Errors: TraceError for what a graph cannot hold, with the user's line.
    Example: `step = devtensor.graph.capture(step)`
    """
    return Program(function)
