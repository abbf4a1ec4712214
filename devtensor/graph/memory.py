"""Memory that a capture meets: what it knows of it while it listens, and how a replay finds it again."""

from __future__ import annotations

import weakref
from typing import Any

from devtensor.core.tensor import Storage, Tensor, storage_of
from devtensor.graph.ir import Slot, Value


class Entry:
    """What the capture knows of one storage: its current value, and what it was when first met.

    `prefix` is the chain of view ops that the value already has: an input that is a view enters as that view.
    """

    __slots__ = ("line", "outside", "prefix", "slot", "value", "writes")

    def __init__(
        self,
        value: Value,
        slot: Slot | None = None,
        prefix: tuple = (),
        line: str = "",
        outside: Outside | None = None,
    ) -> None:
        self.value = value
        self.slot = slot
        self.prefix = prefix
        self.line = line
        self.outside = outside
        # How many writes there were, by the flag under which they were masked; None is no flag.
        self.writes: dict[Value | None, int] = {}

    def wrote(self, value: Value, flag: Value | None) -> None:
        """Note a write: the storage has a new value from here on."""
        self.value = value
        self.writes[flag] = self.writes.get(flag, 0) + 1


class Leaf:
    """A tensor that has a `.grad`: an argument by its place, any other without being kept alive."""

    __slots__ = ("place", "ref")

    def __init__(self, tensor: Tensor, place: int | None) -> None:
        self.place = place
        self.ref = weakref.ref(tensor)

    def find(self, leaves: list) -> Tensor | None:
        """The tensor, among this call's arguments or where it was."""
        return self.ref() if self.place is None else leaves[self.place]

    def lasts(self, earlier: Leaf) -> bool:
        """Whether an earlier run knew the same leaf, so that it was not made inside."""
        if self.place is not None:
            return self.place == earlier.place
        return self.ref() is not None and self.ref() is earlier.ref()


class Outside:
    """Where a slot's memory is found at a replay: a storage, or the gradient that a leaf has then."""

    __slots__ = ("leaf", "shape", "storage", "tensors")

    def __init__(self, storage: Storage, leaf: Leaf | None = None) -> None:
        self.storage = weakref.ref(storage)
        self.leaf = leaf
        self.shape = tuple(storage.root.shape)
        self.tensors: list[tuple[weakref.ref[Tensor], bool]] = []

    def saw(self, tensor: Tensor) -> None:
        """Remember a tensor through which the memory was reached, to ask at replay if it still is so."""
        if not any(ref() is tensor for ref, _ in self.tensors):
            self.tensors.append((weakref.ref(tensor), tensor.requires_grad))

    def forget_all_but(self, earlier: Outside) -> None:
        """Keep only tensors that an earlier run saw too: the others were made inside."""
        known = [ref() for ref, _ in earlier.tensors]
        self.tensors = [
            (ref, flag)
            for ref, flag in self.tensors
            if (tensor := ref()) is not None and any(tensor is other for other in known)
        ]

    def owner(self) -> tuple:
        """What tells this memory from other memory."""
        if self.leaf is None:
            return "memory", id(self.storage())
        return ("gradient", self.leaf.place, None if self.leaf.place is not None else id(self.leaf.ref()))

    def find(self, leaves: list) -> Storage | None:
        """The storage to read now, or None if it is gone or reached in another way."""
        if self.leaf is not None:
            leaf = self.leaf.find(leaves)
            gradient = None if leaf is None else leaf.grad
            storage = None if gradient is None else storage_of(gradient)
        else:
            storage = self.storage()
        if storage is None or tuple(storage.root.shape) != self.shape:
            return None
        return storage if all(self._same(storage, *seen) for seen in self.tensors) else None

    def _same(self, storage: Storage, ref: weakref.ref[Tensor], requires_grad: bool) -> bool:
        tensor = ref()
        if self.leaf is not None:
            return tensor is None or tensor.requires_grad == requires_grad
        return tensor is not None and storage_of(tensor) is storage and tensor.requires_grad == requires_grad


class Gradient:
    """A `.grad` that the function touched: whose it is, and what it was at entry.

    `slot` is the memory it had then, seen through `chain`; None if it was None.
    """

    __slots__ = ("chain", "leaf", "name", "slot")

    def __init__(self, leaf: Leaf, name: str, slot: Slot | None, chain: tuple) -> None:
        self.leaf = leaf
        self.name = name
        self.slot = slot
        self.chain = chain

    def as_at_entry(self, leaves: list, found: dict[int, tuple[Storage, Any]]) -> bool:
        """Whether it now is None, or a view of the same memory, as it was when the graph was heard."""
        leaf = self.leaf.find(leaves)
        gradient = None if leaf is None else leaf.grad
        if leaf is None or gradient is None or self.slot is None:
            return leaf is not None and gradient is None and self.slot is None
        return storage_of(gradient) is found[self.slot.value.id][0] and gradient.alias.chain == self.chain
