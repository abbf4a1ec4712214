"""What a replay leaves behind: how each tensor that a function returned, or bound as a gradient, is built."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

from devtensor.core.device import Kind
from devtensor.core.history import replay as replay_views
from devtensor.core.tensor import Storage, Tensor, share, storage_of, wrap
from devtensor.graph.ir import Slot, Value
from devtensor.graph.listen import Capture
from devtensor.graph.memory import Leaf
from devtensor.graph.views import root_kind


@dataclass(frozen=True, slots=True)
class Plain:
    """A Python value: the same at every replay."""

    value: Any

    def build(self, building: Building) -> Any:
        return self.value


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument itself."""

    place: int

    def build(self, building: Building) -> Any:
        return building.leaves[self.place]


@dataclass(frozen=True, slots=True)
class Lasting:
    """A tensor that was there before and is there still, such as a parameter."""

    find: weakref.ref[Tensor]

    def build(self, building: Building) -> Any:
        return self.find()


@dataclass(frozen=True, slots=True)
class GradientOf:
    """The `.grad` of a leaf, as it is after the replay."""

    leaf: Leaf

    def build(self, building: Building) -> Any:
        leaf = self.leaf.find(building.leaves)
        return None if leaf is None else leaf.grad


@dataclass(frozen=True, slots=True)
class Seen:
    """A view of an argument (from the view that was passed) or of memory outside."""

    slot: Slot
    chain: tuple
    kind: Kind

    def build(self, building: Building) -> Any:
        return replay_views(building.given(self.slot, self.kind), self.chain)


@dataclass(frozen=True, slots=True)
class Made:
    """A tensor that the graph made, seen through views; those of one `storage` share memory."""

    storage: int
    root: Value
    writes: int
    chain: tuple
    kind: Kind
    requires_grad: bool

    def build(self, building: Building) -> Any:
        made = replay_views(building.made(self), self.chain)
        made.requires_grad = self.requires_grad
        return made


class Building:
    """One replay's arguments, memory and results, from which tensors are built."""

    def __init__(
        self, leaves: list, inputs: dict[int, int], memory: dict[int, tuple[Storage, Any]], results: dict
    ) -> None:
        self.leaves = leaves
        self.inputs = inputs
        self.memory = memory
        self.results = results
        self.roots: dict[int, Tensor] = {}

    def given(self, slot: Slot, kind: Kind) -> Tensor:
        """The argument as it was passed, or a tensor that holds the whole of memory outside."""
        place = self.inputs.get(slot.value.id)
        if place is not None:
            return share(self.leaves[place])
        storage = self.memory[slot.value.id][0]
        made = wrap(storage.root, kind)
        made.alias = storage
        return made

    def made(self, plan: Made) -> Tensor:
        """The root of new memory, one for all its views, with the version that its writes gave it."""
        root = self.roots.get(plan.storage)
        if root is None:
            root = self.roots[plan.storage] = wrap(self.results["made", plan.storage], plan.kind)
            if plan.writes:
                storage_of(root).version = plan.writes
        return root


def plan_result(out: Any, capture: Capture, leaves: list, lasting: list[Tensor]) -> Any:
    """How a replay builds what this run returned as `out`; `lasting` are tensors that were there before."""
    if not isinstance(out, Tensor):
        return Plain(out)
    for gradient in capture.gradients:
        leaf = gradient.leaf.find(leaves)
        if leaf is not None and getattr(leaf, "_grad", None) is out:
            return GradientOf(gradient.leaf)
    return plan_tensor(out, capture, leaves, lasting)


def plan_tensor(out: Tensor, capture: Capture, leaves: list, lasting: list[Tensor]) -> Any:
    """How a replay builds a tensor: one that is there already, a view of what is there, or a new one."""
    place = next((place for place, leaf in enumerate(leaves) if leaf is out), None)
    if place is not None:
        return Argument(place)
    if any(out is tensor for tensor in lasting):
        return Lasting(weakref.ref(out))
    storage = storage_of(out)
    entry, chain = capture.table[storage], out.alias.chain
    if entry.slot is not None:
        return Seen(entry.slot, chain[len(entry.prefix) :], root_kind(out))
    leaf = out.requires_grad and out.node is None
    return Made(id(storage), entry.value, sum(entry.writes.values()), chain, root_kind(out), leaf)
