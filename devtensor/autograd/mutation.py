"""Writing over what was saved for backward: the old value is copied before it is lost."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from devtensor.autograd.saved import SavingLayer
from devtensor.core.dispatch import call
from devtensor.core.errors import AutogradError
from devtensor.core.op import OPS
from devtensor.core.state import switched
from devtensor.core.tensor import Storage, Tensor, share, storage_of


class Kept:
    """A saved value: the tensor itself, or a copy of it once its memory was written."""

    __slots__ = ("__weakref__", "value")

    def __init__(self, value: Tensor) -> None:
        self.value: Tensor | None = share(value)


class MutationLayer(SavingLayer):
    """Keeps what is saved as it is until it is written to, and then a copy."""

    def __init__(self) -> None:
        self.kept: weakref.WeakKeyDictionary[Storage, weakref.WeakSet[Kept]] = weakref.WeakKeyDictionary()

    def pack(self, value: Tensor) -> Kept:
        made = Kept(value)
        self.kept.setdefault(storage_of(value), weakref.WeakSet()).add(made)
        return made

    def unpack(self, kept: Kept) -> Tensor:
        if kept.value is None:
            raise AutogradError(
                "[allow_mutation_on_saved_tensors] Trying to backward outside of the "
                "'allow_mutation_on_saved_tensors' context in which the graph was originally recorded."
            )
        return kept.value

    def write(self, dst: Tensor, src: Tensor, below: Any) -> None:
        with switched(grad=False):
            for kept in self.kept.pop(storage_of(dst), ()):
                kept.value = call(OPS["copy"], (kept.value,), ())
        below(dst, src)

    def clear(self) -> None:
        """Let go of all that is saved."""
        for held in self.kept.values():
            for kept in held:
                kept.value = None
        self.kept.clear()


@contextmanager
def allow_mutation_on_saved_tensors() -> Iterator[MutationLayer]:
    """Within it, tensors that were saved for backward may be written in place; backward must run within "
    "it."""
    with MutationLayer() as layer:
        try:
            yield layer
        finally:
            layer.clear()
