"""What tensors know of the memory they share: storages, views of them, and counts of writes."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from devtensor.core.tensor import Tensor


class Storage:
    """The memory that a tensor and its views share: its root array and how often it was written.

    A tensor that nobody aliases has none; one is made when a view is taken, a value is saved or written.
    A storage is itself the alias of the tensor that holds the whole of it: no chain, no base.
    """

    __slots__ = ("__weakref__", "limit", "marked", "root", "version", "views")
    chain: tuple = ()
    base = None
    origin = None
    inference = False

    def __init__(self, root: Any) -> None:
        self.root = root
        self.version = 0
        self.views: list[weakref.ref[Tensor]] = []
        self.limit = 16
        # Whether some view may lose its history by a write: one that autograd cannot follow writes through.
        self.marked = False

    @property
    def storage(self) -> Storage:
        return self

    @property
    def counter(self) -> Storage:
        return self

    def forget_dead(self) -> None:
        """Drop the references to views that are gone; `views` serves to give live ones a new history."""
        self.views = [view for view in self.views if view() is not None]
        self.limit = 16 + 2 * len(self.views)


class InferenceStorage(Storage):
    """The memory of tensors made in inference mode: no graph may keep it, as nobody would see it written."""

    __slots__ = ()
    inference = True


class Counter:
    """Versions counted apart from the storage's own: what `.data` gives counts its own writes."""

    __slots__ = ("version",)

    def __init__(self, version: int = 0) -> None:
        self.version = version


class View:
    """How a tensor sees a storage: the chain of view ops from its root, and its base under autograd.

    `counter` counts the writes; `origin` tells what kind of view autograd cannot follow a write through:
    one made under no_grad, or one of several made at once.
    """

    __slots__ = ("base", "chain", "counter", "origin", "storage")

    def __init__(
        self,
        storage: Storage,
        chain: tuple,
        base: Tensor | None,
        counter: Any = None,
        origin: str | None = None,
    ) -> None:
        self.storage = storage
        self.chain = chain
        self.base = base
        self.counter = storage if counter is None else counter
        self.origin = origin
