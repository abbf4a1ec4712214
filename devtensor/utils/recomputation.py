"""Running a checkpointed function again: as it was, and only as far as backward needs."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from devtensor.amp.autocast_mode import autocast
from devtensor.amp.layer import AutocastLayer
from devtensor.amp.settings import is_autocast_cache_enabled
from devtensor.autograd.function import Function
from devtensor.autograd.graph import saved_tensors_hooks
from devtensor.core.device import Device, resolve
from devtensor.core.dtype import float32
from devtensor.core.errors import AutogradError
from devtensor.core.inplace import copy_into
from devtensor.core.state import current, enable_grad, no_grad
from devtensor.core.tensor import Tensor, share
from devtensor.ops.create import copy, full
from devtensor.random import fork_rng, generator_for


class CheckpointError(AutogradError):
    """A function that did not do the same when it was run again."""


class StopRecomputation(Exception):
    """All that backward needs has been computed again."""


class Circumstances:
    """What a second run needs to be like the first: random state and autocast."""

    def __init__(self, preserve_rng_state: bool, tensors: Sequence[Tensor]) -> None:
        self.states: dict[Device, Tensor] = {}
        if preserve_rng_state:
            for device in (resolve("cpu"), *(t.kind.device for t in tensors)):
                if device.type != "meta":
                    self.states[device] = copy(generator_for(device).state)
        self.casts = [
            (layer.device_type, layer.dtype, is_autocast_cache_enabled())
            for layer in current().layers
            if isinstance(layer, AutocastLayer)
        ]

    @contextmanager
    def again(self) -> Iterator[None]:
        """Within it random numbers and dtypes come as they did the first time."""
        with ExitStack() as stack:
            if self.states:
                stack.enter_context(fork_rng(self.states))
            with no_grad():
                for device, state in self.states.items():
                    copy_into(generator_for(device).state, state)
            for device_type, dtype, cached in self.casts:
                stack.enter_context(autocast(device_type, dtype, cache_enabled=cached))
            yield


class Arguments(Function):
    """Keeps tensors as any op would, so that a checkpoint around this one can take them away."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors)
        return share(anchor)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        raise AutogradError("[checkpoint] the node that keeps a checkpoint's arguments has no gradient")


class Note:
    """What stands in the graph for a tensor that will be computed again: the place at which it is saved."""

    __slots__ = ("__weakref__", "found", "frame", "like", "place")

    def __init__(self, frame: Frame, place: int, like: Any) -> None:
        self.frame = frame
        self.place = place
        self.like = like
        self.found: Tensor | None = None


class Frame:
    """One checkpointed call: how to run it again, and the notes that it left in the graph."""

    def __init__(self, rerun: Callable, describe: Callable, early_stop: bool) -> None:
        self.rerun = rerun
        self.describe = describe
        self.early_stop = early_stop
        self.notes: list[weakref.ref[Note]] = []

    def pack(self, value: Tensor) -> Note:
        note = Note(self, len(self.notes), self.describe(value))
        self.notes.append(weakref.ref(note))
        return note

    def unpack(self, note: Note) -> Tensor:
        if note.found is None:
            self.recompute()
        found, note.found = note.found, None
        if found is None:
            raise CheckpointError(
                "[checkpoint] A different number of tensors was saved during the original forward and "
                f"recomputation: the tensor at place {note.place} of {len(self.notes)} was not saved again; "
                "the function must do the same at every run"
            )
        return found

    def recompute(self) -> None:
        """Run the function again; what it saves goes to the notes, in the same order."""
        again = Again(self)
        try:
            with saved_tensors_hooks(again.pack, again.unpack), enable_grad():
                self.rerun()
        except StopRecomputation:
            pass
        if again.count > len(self.notes):
            raise CheckpointError(
                "[checkpoint] A different number of tensors was saved during the original forward and "
                f"recomputation: {len(self.notes)} and {again.count}; the function must do the same at "
                "every run"
            )


class Again:
    """The second run of a frame."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.count = 0
        living = [place for place, ref in enumerate(frame.notes) if ref() is not None]
        self.last = living[-1] if living else -1

    def pack(self, value: Tensor) -> Tensor:
        place, self.count = self.count, self.count + 1
        note = self.frame.notes[place]() if place < len(self.frame.notes) else None
        if note is not None:
            told = self.frame.describe(value)
            if told != note.like:
                raise CheckpointError(
                    "[checkpoint] Recomputed values for the following tensors have different metadata than "
                    f"during the forward pass: at place {place} {note.like} was saved, and now {told}"
                )
            note.found = share(value)
        if self.frame.early_stop and place >= self.last:
            raise StopRecomputation
        return share(value)

    def unpack(self, value: Tensor) -> Tensor:
        return value


def _metadata(value: Tensor) -> tuple:
    return tuple(value.array.shape), value.kind.dtype.name, str(value.kind.device)


CHECKS: dict[str, Callable[[Tensor], Any]] = {"default": _metadata, "none": lambda value: None}


class Held:
    """The arguments of a checkpointed call, their tensors kept by a node of the graph."""

    def __init__(self, args: tuple, kwargs: dict[str, Any]) -> None:
        self.names = list(kwargs)
        self.others: list = [*args, *kwargs.values()]
        self.places = [k for k, value in enumerate(self.others) if isinstance(value, Tensor)]
        tensors = [self.others[place] for place in self.places]
        for place in self.places:
            self.others[place] = None
        anchor = full((), 0, float32)
        anchor.requires_grad = True
        self.node = Arguments.apply(anchor, *tensors).node.node

    def values(self) -> tuple[list, dict[str, Any]]:
        """The arguments as they were given."""
        found = list(self.others)
        for place, value in zip(self.places, self.node.saved_tensors, strict=True):
            found[place] = value
        split = len(found) - len(self.names)
        return found[:split], dict(zip(self.names, found[split:], strict=True))
