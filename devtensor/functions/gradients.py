"""What the tape says of a tensor: who made it, hooks on its gradient, gradients kept inside a graph."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from devtensor.core.errors import ArgumentTypeError, AutogradError
from devtensor.core.hooks import RemovableHandle, add_hook
from devtensor.core.node import Node, hooked_leaves
from devtensor.core.tensor import Tensor, describe


def _on_leaf(leaf: Tensor, name: str, hook: Callable) -> RemovableHandle:
    hooked_leaves[id(leaf)] = leaf
    return add_hook(leaf.__dict__.setdefault(name, OrderedDict()), hook)


def register_hook(self: Tensor, hook: Callable[[Tensor], Any]) -> RemovableHandle:
    """Call `hook(gradient)` whenever this tensor's gradient is known; what it returns, unless None, replaces
    it.

    A hook stays with the value it was registered on: an in-place op afterwards is what comes between.

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
    if self.is_leaf:
        return _on_leaf(self, "_backward_hooks", hook)
    return add_hook(self.node.node.hooks().tensor, (self.node.place, hook))


def register_post_accumulate_grad_hook(self: Tensor, hook: Callable[[Tensor], Any]) -> RemovableHandle:
    """Call `hook(tensor)` whenever a gradient has been summed into this leaf's `.grad`.

    Errors: AutogradError for a tensor that is no leaf, or requires no gradient.
    """
    if not self.is_leaf or not self.requires_grad:
        raise AutogradError(
            "[register_post_accumulate_grad_hook] post accumulate grad hooks cannot be registered on "
            f"non-leaf tensors, or without requires_grad: {describe(self)}"
        )
    return _on_leaf(self, "_post_accumulate_grad_hooks", hook)


def retain_grad(self: Tensor) -> None:
    """Keep the gradient of a tensor inside a graph in its `.grad`, as leaves have it.

    It is the gradient after all hooks, of the value that the tensor has when backward runs.

    Errors: AutogradError for a tensor that requires no gradient.
    """
    if not self.requires_grad:
        raise AutogradError(
            f"[retain_grad] can't retain_grad on Tensor that has requires_grad=False: {describe(self)}"
        )
    if not self.is_leaf and not self.__dict__.get("_retains_grad"):
        self.__dict__["_retains_grad"] = True
        self.node.node.hooks().retained[self.node.place] = weakref.ref(self)


def _grad_fn(self: Tensor) -> Node | None:
    """The node that made the tensor; None for a leaf."""
    return None if self.is_leaf else self.node.node.named()


METHODS: dict[str, Callable] = {
    f.__name__: f for f in (register_hook, register_post_accumulate_grad_hook, retain_grad)
}
PROPERTIES = {
    "grad_fn": property(_grad_fn),
    "retains_grad": property(lambda self: self.__dict__.get("_retains_grad", False) and not self.is_leaf),
    "output_nr": property(lambda self: 0 if self.node is None else self.node.place),
}
__all__: list[str] = []
