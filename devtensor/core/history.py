"""What an in-place write does to the histories of a tensor, its base and its views."""

from __future__ import annotations

import weakref

from devtensor.core import tape
from devtensor.core.derivatives import plan_of
from devtensor.core.dispatch import call
from devtensor.core.errors import AutogradError
from devtensor.core.node import Node
from devtensor.core.op import OPS, Op
from devtensor.core.state import switched
from devtensor.core.tensor import Tensor, View, requires_grad_listeners, share, storage_of, wrap
from devtensor.core.views import NOWHERE, Spoiled


def check_leaf(name: str, target: Tensor, others: tuple = ()) -> None:
    """Refuse to write, while the tape listens, where autograd could not follow.

    Errors: AutogradError for a leaf that requires grad, a view of one, and a view that was made where the
    tape did not see it; the last two only if the target or something in `others` requires grad.
    """
    if target.requires_grad and target.node is None:
        raise AutogradError(
            f"[{name}] a leaf Variable that requires grad is being used in an in-place operation; "
            "do it under devtensor.no_grad(), or work on a clone()"
        )
    alias = target.alias
    if alias is None or alias.base is None:
        return
    base = alias.base
    tracked = target.requires_grad or base.requires_grad
    if not tracked and not any(isinstance(other, Tensor) and other.requires_grad for other in others):
        return
    if alias.origin is not None:
        raise AutogradError(f"[{name}] {alias.origin.format('is being modified inplace')}")
    if tracked and base.node is None:
        raise AutogradError(
            f"[{name}] a view of a leaf Variable that requires grad is being used in an in-place operation; "
            "do it under devtensor.no_grad(), or work on a clone()"
        )


def snapshot(op: Op, target: Tensor, others: tuple) -> Tensor:
    """The target, or a copy of it with the same history where a formula will need the value overwritten."""
    mask = tuple(isinstance(i, Tensor) and i.requires_grad for i in (target, *others))
    plan = plan_of(op, mask)
    if 0 not in plan.save and op.differentiable:
        return target
    with switched(grad=False):
        copy = call(OPS["copy"], (target,), ())
    copy.node, copy.requires_grad = target.node, target.requires_grad
    return copy


def keep_written(target: Tensor, value: Tensor) -> None:
    """Where a formula asks for the result, let it be the target's memory, that further writes are noticed."""
    node = value.node
    extra = node.extra if isinstance(node, Node) else None
    if extra is None or extra.packed or len(extra.outs) != 1 or extra.outs[0].array is not value.array:
        return
    kept = share(target)
    kept.node, kept._requires_grad = None, False
    tape.keep_outs(node, (kept,))


def rebase(target: Tensor, value: Tensor) -> None:
    """Give the target the history of the value written into it; through a view, give it to the base."""
    alias = target.alias
    base = alias.base
    if base is None:
        take_history(target, value)
        refresh_views(target)
        return
    if not (base.requires_grad or value.requires_grad):
        return
    chain = alias.chain[len(base.alias.chain) :]
    root = share(base)
    root.node, root._requires_grad = base.node, base._requires_grad
    made = wrap(base.array, base.kind)
    tape.record(OPS["overwrite"], (root, value), (chain,), made)
    take_history(base, made)
    refresh_views(base)


def refresh_views(base: Tensor) -> None:
    """Give every live view of `base` the history that its chain has from the base's new one."""
    for view in views_of(base):
        alias: View = view.alias
        if alias.origin is not None:
            if base.requires_grad:
                view.node, view._requires_grad = Spoiled(alias.origin), True  # type: ignore[assignment]
            continue
        fresh = replay(base, alias.chain[len(base.alias.chain) :])
        if fresh._requires_grad or view.node is not None:
            take_history(view, fresh)


def take_history(target: Tensor, value: Tensor) -> None:
    """Give the target the value's history; a gradient that it retains is from now on the new value's."""
    before = target.node
    target.node, target._requires_grad = value.node, value._requires_grad
    if before is not None and value.node is not None and target.__dict__.get("_retains_grad"):
        before.node.hooks().retained.pop(before.place, None)
        value.node.node.hooks().retained[value.node.place] = weakref.ref(target)


def views_of(base: Tensor) -> list[Tensor]:
    """The live views of which `base` is the base."""
    views = [ref() for ref in storage_of(base).views]
    return [view for view in views if view is not None and view.alias.base is base]


def follow_base(base: Tensor) -> None:
    """Let the views of a leaf know that it requires a gradient, or no longer does."""
    for view in views_of(base):
        if view.node is None and base._requires_grad:
            view.node, view._requires_grad = NOWHERE, True
        elif view.node is NOWHERE and not base._requires_grad:
            view.node, view._requires_grad = None, False


requires_grad_listeners.append(follow_base)


def replay(source: Tensor, chain: tuple) -> Tensor:
    """Apply the view ops of a chain to a tensor."""
    for name, params in chain:
        source = call(OPS[name], (source,), params)
    return source


def copied_history(target: Tensor, source: Tensor) -> Tensor:
    """The history of a target that was wholly overwritten: the source's, and none of what the target was.

    A target that required a gradient goes on doing so, though nothing flows to what it was.
    """
    made = wrap(source.array, target.kind)
    if target.requires_grad:
        before = share(target)
        before.node, before._requires_grad = target.node, True
        tape.record(OPS["overwrite"], (before, source), ((),), made)
    else:
        tape.record(OPS["copy"], (source,), (), made)
    return made
