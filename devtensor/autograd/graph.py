"""The graph as users reach it: its nodes and edges, hooks on what it saves, hooks on several gradients."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from devtensor.autograd.edges import GradientEdge, get_gradient_edge
from devtensor.autograd.mutation import allow_mutation_on_saved_tensors
from devtensor.autograd.run import current_run
from devtensor.autograd.saved import SavingLayer
from devtensor.core.device import resolve
from devtensor.core.dispatch import call
from devtensor.core.errors import ArgumentError, AutogradError
from devtensor.core.hooks import RemovableHandle
from devtensor.core.node import Node
from devtensor.core.op import OPS
from devtensor.core.tensor import Tensor, storage_of

__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]

_disabled: ContextVar[str | None] = ContextVar("devtensor_saved_hooks_disabled", default=None)


class saved_tensors_hooks:
    """Within it, what ops save for backward is given to `pack_hook`, and `unpack_hook` gets what it returned.

    Only the innermost hooks see a tensor. Nothing checks that the unpacked value is the one that was packed.

    Errors: AutogradError inside `disable_saved_tensors_hooks`; ArgumentTypeError in backward if unpack_hook
        returns no tensor.
    """

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook
        self._layers: list[SavingLayer] = []

    def __enter__(self) -> None:
        refusal = _disabled.get()
        if refusal is not None:
            raise AutogradError(refusal)
        layer = SavingLayer(self.pack_hook, self.unpack_hook)
        layer.__enter__()
        self._layers.append(layer)

    def __exit__(self, *error: object) -> None:
        self._layers.pop().__exit__()


class save_on_cpu(saved_tensors_hooks):
    """Within it, what ops save for backward waits on the CPU; `pin_memory` is taken and changes nothing."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(_to_cpu, _back)


def _to_cpu(value: Tensor) -> tuple:
    home = value.kind.device
    cpu = resolve("cpu")
    moved = call(OPS["copy"], (value,), ()) if home is cpu else call(OPS["to_device"], (value,), (cpu,))
    return home, moved


def _back(packed: tuple) -> Tensor:
    home, value = packed
    return value if value.kind.device is home else call(OPS["to_device"], (value,), (home,))


@contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Within it, `saved_tensors_hooks` raises AutogradError with this message."""
    token = _disabled.set(error_message)
    try:
        yield
    finally:
        _disabled.reset(token)


def increment_version(tensor: Any) -> None:
    """Say that a tensor's, or several tensors', memory was written where devtensor could not see it."""
    for target in (tensor,) if isinstance(tensor, Tensor) else tensor:
        storage_of(target)
        target.alias.counter.version += 1


class MultiHandle:
    """What registering one hook on several tensors gives; `remove()` takes it away from all."""

    def __init__(self, handles: Sequence[RemovableHandle]) -> None:
        self.handles = tuple(handles)

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        for handle in self.handles:
            handle.remove()

    def __enter__(self) -> MultiHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def register_multi_grad_hook(tensors: Sequence[Tensor], fn: Callable, *, mode: str = "all") -> MultiHandle:
    """Call `fn` when, in one backward, the gradients of all `tensors` are known, or of the first of them.

    With mode "all" `fn` gets a list, None for those that backward does not come to; with "any" the gradient.

    Errors: ArgumentError for another mode.
    """
    if mode not in ("all", "any"):
        raise ArgumentError(
            f"[register_multi_grad_hook] Expects mode to be one of ('all', 'any') but got {mode}"
        )
    hear = _All(tensors, fn) if mode == "all" else _Any(fn)
    return MultiHandle(
        [tensor.register_hook(functools.partial(hear, place)) for place, tensor in enumerate(tensors)]  # type: ignore[attr-defined]
    )


class _Any:
    """Calls the function with the first gradient of each pass."""

    def __init__(self, fn: Callable) -> None:
        self.fn = fn
        self.heard: weakref.WeakSet = weakref.WeakSet()

    def __call__(self, place: int, g: Tensor) -> None:
        run = current_run()
        if run not in self.heard:
            self.heard.add(run)
            self.fn(g)


class _All:
    """Collects the gradients of each pass until those that it comes to are there."""

    def __init__(self, tensors: Sequence[Tensor], fn: Callable) -> None:
        self.fn = fn
        self.edges = [get_gradient_edge(tensor) for tensor in tensors]
        self.heard: weakref.WeakKeyDictionary[Any, tuple[list, int]] = weakref.WeakKeyDictionary()

    def __call__(self, place: int, g: Tensor) -> None:
        run: Any = current_run()
        if run not in self.heard:
            self.heard[run] = [None] * len(self.edges), run.count_visits(self.edges)
        found, left = self.heard[run]
        found[place] = g
        self.heard[run] = found, left - 1
        if left == 1:
            self.fn(found)
