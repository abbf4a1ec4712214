"""Learning one kind of call: its runs are heard, compared, and accepted once two in a row agree."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

from devtensor.core.errors import TraceError
from devtensor.core.tensor import Tensor, describe, storage_of
from devtensor.graph.ir import Graph, comparable
from devtensor.graph.listen import Capture
from devtensor.graph.memory import Gradient, Outside
from devtensor.graph.replay import Memory, Replay
from devtensor.graph.tree import Nest, flatten, unflatten

ATTEMPTS = 5


# How many different circumstances may be waited in before the function is refused.
PATIENCE = 16


class Run:
    """What one run left behind to compare the next with; it keeps no tensor alive.

    `free` are the arguments that were seen in different memory. Any other might as well be memory that the
    function reaches by itself, so a replay insists that it is the same.
    """

    def __init__(self, capture: Capture, leaves: list, outs: list, shape: Any) -> None:
        self.graph: Graph = capture.graph
        self.outside: list[Outside] = capture.outside
        self.gradients: list[Gradient] = capture.gradients
        self.arguments = {
            place: (weakref.ref(storage_of(leaf)), leaf.alias.chain)
            for place, leaf in enumerate(leaves)
            if isinstance(leaf, Tensor)
        }
        self.free: set[int] = set()
        # Runs are compared with the latest one that found Python state and gradients like this.
        self.circumstances = (
            tuple(value for _, value in capture.depends),
            tuple((g.name, g.slot is not None, comparable(g.chain)) for g in capture.gradients),
        )
        returned = tuple(out.requires_grad if isinstance(out, Tensor) else comparable(out) for out in outs)
        nest = shape.key() if isinstance(shape, Nest) else None
        owners = tuple(outside.owner() for outside in capture.outside)
        self.signature = capture.graph.signature(), owners, nest, returned

    def confirm(self, earlier: Run) -> None:
        """Note what two runs that agree tell together: which arguments are free, and which tensors and
        leaves were there before."""
        self.free = earlier.free | {
            place for place in self.arguments if self.arguments[place] != earlier.arguments[place]
        }
        for outside, before in zip(self.outside, earlier.outside, strict=True):
            outside.forget_all_but(before)
        known = {gradient.name: gradient.leaf for gradient in earlier.gradients}
        self.gradients[:] = [g for g in self.gradients if g.leaf.lasts(known[g.name])]

    def serves(self, leaves: list) -> bool:
        """Whether the arguments that are not free are in the memory that this run saw them in."""
        for place, (storage, chain) in self.arguments.items():
            if place not in self.free:
                leaf = leaves[place]
                if storage_of(leaf) is not storage() or leaf.alias.chain != chain:
                    return False
        return True


class Learning:
    """The runs of one kind of call, until one agrees with the run before it in the same circumstances."""

    def __init__(self) -> None:
        self.latest: dict[Any, Run] = {}
        self.failures = 0
        self.accepted: tuple[Run, Replay] | None = None

    def ready(self, leaves: list) -> tuple[Replay, Memory] | None:
        """The accepted graph and where its memory is now, or None if none holds for this call."""
        if self.accepted is None or not self.accepted[0].serves(leaves):
            return None
        replay = self.accepted[1]
        memory = replay.memory(leaves)
        return None if memory is None else (replay, memory)

    def listen(self, function: Callable, args: tuple, kwargs: dict, leaves: list) -> Any:
        """Run the function eagerly under a capture and compare what was heard with the run before."""
        self.accepted = None
        capture = Capture()
        enter_arguments(capture, leaves)
        with capture:
            result = function(*args, **kwargs)
            outs: list = []
            shape = flatten(result, outs)
            tensors = [out for out in outs if isinstance(out, Tensor)]
            bound = capture.finish(tensors)
        run = Run(capture, leaves, outs, shape)
        earlier = self.latest.get(run.circumstances)
        self.latest[run.circumstances] = run
        if earlier is None or earlier.signature != run.signature:
            self._go_on(run, earlier)
        else:
            run.confirm(earlier)
            refuse_escapes(capture, tensors, bound)
            self.accepted = run, Replay(capture, leaves, outs, shape)
            self.failures = 0
        return unflatten(shape, outs)

    def _go_on(self, run: Run, earlier: Run | None) -> None:
        """Wait for the next run, unless there were too many.

        Errors: TraceError that shows where two runs part.
        """
        self.failures += earlier is not None
        if earlier is not None and self.failures >= ATTEMPTS - 1:
            raise TraceError(difference(earlier.graph, run.graph))
        if len(self.latest) > PATIENCE:
            raise TraceError(
                f"[capture] Python state that the graph depends on was different in {PATIENCE} runs; keep it "
                "as it is, make it a tensor, or feed it"
            )


def enter_arguments(capture: Capture, leaves: list) -> None:
    """Enter the tensor arguments; those that share memory without being the same view enter whole."""
    tensors = [(place, leaf) for place, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    for place, tensor in tensors:
        storage = storage_of(tensor)
        whole = any(storage_of(o) is storage and o.alias.chain != tensor.alias.chain for _, o in tensors)
        capture.add_input(tensor, place, whole)


def refuse_escapes(capture: Capture, outputs: list[Tensor], bound: list[Tensor]) -> None:
    """Refuse a function that leaves new tensors behind which it does not return: a replay would not.

    Errors: TraceError with the lines that made them.
    """
    results = [*outputs, *bound]
    if capture.left_alive(results):
        gc.collect()
    lines = capture.left_alive(results)
    if lines:
        raise TraceError(
            "[capture] the function leaves tensors alive that it made and does not return; a replay could "
            "not renew them. Return them, or write them into tensors that exist (copy_). They were made at\n"
            + lines[0]
        )
    lasting = [gradient.leaf.ref() for gradient in capture.gradients]
    for out in outputs:
        if getattr(out, "_grad", None) is not None and not any(out is leaf for leaf in lasting):
            raise TraceError(
                f"[capture] the result {describe(out)} was made inside and has a gradient, which a replay "
                "would not give it; return its .grad beside it"
            )


def difference(a: Graph, b: Graph) -> str:
    """A message that shows where two captures part."""
    advice = "a Python value that changes from call to call is baked in: make it a tensor, or feed it"
    said = f"[capture] {ATTEMPTS} runs gave no two equal graphs in a row"
    for first, second in zip(a.nodes, b.nodes, strict=False):
        if repr(first) != repr(second):
            return f"{said}; the last two part at\n  {first!r}\n  {second!r}\n{second.line}\n{advice}"
    if str(a) == str(b):
        return (
            f"{said}: they do the same to other memory, or return other Python values; keep memory outside "
            f"where it is and write into it; {advice}"
        )
    return (
        f"{said}: they have {len(a.nodes)} and {len(b.nodes)} nodes, {len(a.slots)} and {len(b.slots)} "
        "slots; memory outside is new at every call: keep it, and write into it"
    )
