"""What the tape says of a tensor: who made it, hooks on its gradient, gradients kept inside a graph."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from itertools import count
from typing import Any

from devtensor.core.errors import ArgumentTypeError, AutogradError
from devtensor.core.tensor import Tensor, describe, share

_numbers = count()


class Handle:
    """What registering a hook gives: `remove()` takes the hook away again. Also a context manager."""

    def __init__(self, remove: Callable[[], Any]) -> None:
        self._remove: Callable[[], Any] | None = remove

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        if self._remove is not None:
            self._remove()
            self._remove = None

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def _table(leaf: Tensor, name: str, hook: Callable) -> Handle:
    hooks = leaf.__dict__.setdefault(name, OrderedDict())
    number = next(_numbers)
    hooks[number] = hook
    return Handle(lambda: hooks.pop(number, None))


def _on_node(tensor: Tensor, hook: Callable[[Tensor], Any]) -> Handle:
    """A hook on one output of the node that made the tensor."""
    edge = tensor.node
    hooks, place = edge.node.with_extra().hooks, edge.place

    def on_gradients(gs: list) -> list:
        if gs[place] is None:
            return gs
        result = hook(gs[place])
        return gs if result is None else [*gs[:place], result, *gs[place + 1 :]]

    hooks.append(on_gradients)
    return Handle(lambda: hooks.remove(on_gradients))


def register_hook(self: Tensor, hook: Callable[[Tensor], Any]) -> Handle:
    """Call `hook(gradient)` whenever this tensor's gradient is known; what it returns, unless None, replaces
    it.

    Errors: AutogradError for a tensor that requires no gradient.
    """
    if not self.requires_grad:
        raise AutogradError(
            "[register_hook] cannot register a hook on a tensor that doesn't require gradient: "
            f"{describe(self)}"
        )
    if not callable(hook):
        raise ArgumentTypeError(
            f"[register_hook] hook is a {type(hook).__name__}; it needs a function of the gradient"
        )
    return _table(self, "_backward_hooks", hook) if self.node is None else _on_node(self, hook)


def register_post_accumulate_grad_hook(self: Tensor, hook: Callable[[Tensor], Any]) -> Handle:
    """Call `hook(tensor)` whenever a gradient has been summed into this leaf's `.grad`.

    Errors: AutogradError for a tensor that is no leaf, or requires no gradient.
    """
    if self.node is not None or not self.requires_grad:
        raise AutogradError(
            "[register_post_accumulate_grad_hook] post accumulate grad hooks cannot be registered on "
            f"non-leaf tensors, or without requires_grad: {describe(self)}"
        )
    return _table(self, "_post_accumulate_hooks", hook)


def retain_grad(self: Tensor) -> None:
    """Keep the gradient of a tensor inside a graph in its `.grad`, as leaves have it.

    Errors: AutogradError for a tensor that requires no gradient.
    """
    if not self.requires_grad:
        raise AutogradError(
            f"[retain_grad] can't retain_grad on Tensor that has requires_grad=False: {describe(self)}"
        )
    if self.node is None or self.__dict__.get("_retains_grad"):
        return

    def keep(g: Tensor) -> None:
        g = g if g.requires_grad else share(g)
        self.grad = g if self.grad is None else self.grad + g

    self.__dict__["_retains_grad"] = True
    _on_node(self, keep)


METHODS: dict[str, Callable] = {
    f.__name__: f for f in (register_hook, register_post_accumulate_grad_hook, retain_grad)
}
PROPERTIES = {
    "grad_fn": property(
        lambda self: None if self.node is None else self.node.node, doc="The node that made it."
    ),
    "retains_grad": property(
        lambda self: self.node is not None and self.__dict__.get("_retains_grad", False)
    ),
    "output_nr": property(lambda self: 0 if self.node is None else self.node.place),
}
__all__: list[str] = []
