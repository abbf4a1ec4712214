"""Hooks in a backward pass: what is called when a node's or a leaf's gradients are known."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import ArgumentTypeError, AutogradError
from devtensor.core.hooks import Hooks
from devtensor.core.node import Node
from devtensor.core.tensor import Tensor, describe, share

Gradients = list[Tensor | None]


def hear_tensors(hooks: Hooks, gs: Gradients) -> Gradients:
    """Tensors' hooks, in the order of their registration; then gradients are kept that are retained."""
    gs = list(gs)
    for place, hook in list(hooks.tensor.values()):
        gs[place] = checked(hook(gs[place]), gs[place], hook)
    for place, ref in hooks.retained.items():
        tensor, g = ref(), gs[place]
        if tensor is not None and g is not None:
            g = g if g.requires_grad else share(g)
            before = getattr(tensor, "_grad", None)
            tensor.grad = g if before is None else before + g
    return gs


def hear_before(hooks: Hooks, gs: Gradients) -> Gradients:
    """Hooks on the node, which get all its gradients at once."""
    for hook in list(hooks.before.values()):
        gs = _replaced(hook(tuple(gs)), gs, hook)
    return gs


def hear_after(hooks: Hooks, made: Gradients, gs: Gradients) -> Gradients:
    """Hooks on the node, which get what its formulas made, and what they made it from."""
    for hook in list(hooks.after.values()):
        made = _replaced(hook(tuple(made), tuple(gs)), made, hook)
    return made


def hear_leaf(leaf: Tensor, g: Tensor) -> Tensor:
    """The hooks of a leaf; gives the gradient that they leave."""
    for hook in list(leaf.__dict__.get("_backward_hooks", {}).values()):
        g = checked(hook(g), g, hook)  # type: ignore[assignment]
    return g


def hear_accumulator(leaf: Tensor, g: Tensor) -> Tensor:
    """Hooks on the node that stands for a leaf, before it takes the gradient."""
    hooks = leaf.__dict__.get("_accumulator_hooks")
    return g if hooks is None else hear_before(hooks, [g])[0]  # type: ignore[return-value]


def hear_accumulated(leaf: Tensor, g: Tensor) -> None:
    """Hooks that are called when a leaf has taken its gradient."""
    for hook in list(leaf.__dict__.get("_post_accumulate_grad_hooks", {}).values()):
        returned = hook(leaf)
        if returned is not None:
            raise AutogradError(
                "[register_post_accumulate_grad_hook] Tensor post accumulate grad hooks should return None; "
                f"hook '{_name(hook)}' returned {type(returned).__name__}"
            )
    hooks = leaf.__dict__.get("_accumulator_hooks")
    if hooks is not None:
        hear_after(hooks, [], [g])


def _replaced(new: Any, old: Gradients, hook: Any) -> Gradients:
    """What a hook of several gradients returned in their place.

    Errors: ArgumentTypeError for what is no tuple, AutogradError for one of another length.
    """
    if new is None:
        return old
    if not isinstance(new, tuple):
        raise ArgumentTypeError(f"[hook] expected tuple, but hook returned '{type(new).__name__}'")
    if len(new) != len(old):
        raise AutogradError(
            f"[hook] hook '{_name(hook)}' has returned an incorrect number of values (got {len(new)}, but "
            f"expected {len(old)})"
        )
    return [None if n is None else checked(n, o, hook) for n, o in zip(new, old, strict=True)]


def checked(new: Any, old: Tensor | None, hook: Any = None) -> Tensor | None:
    """What a hook made of a gradient, if it is of the same shape, dtype and device; None leaves it.

    Errors: ArgumentTypeError for what is no tensor, AutogradError for one that does not fit.
    """
    if new is None or new is old:
        return old
    if not isinstance(new, Tensor):
        raise ArgumentTypeError(f"[hook] expected Variable, but hook returned '{type(new).__name__}'")
    if old is not None and (new.kind is not old.kind or new.array.shape != old.array.shape):
        raise AutogradError(
            f"[hook] hook '{_name(hook)}' has changed the type or size of value: was {describe(old)}, got "
            f"{describe(new)}"
        )
    return new


def _name(hook: Any) -> str:
    return getattr(hook, "__name__", type(hook).__name__)


def hooks_of(node: Node) -> Hooks | None:
    """The node's hooks, if it has any."""
    return None if node.extra is None else node.extra.hooks
