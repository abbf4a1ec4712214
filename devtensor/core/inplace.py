"""In-place ops and views: every effect is one `write`, and autograd sees it as a pure op."""

from __future__ import annotations

from typing import Any

from devtensor.core import tape
from devtensor.core.dispatch import call
from devtensor.core.errors import AutogradError, DTypeError, ShapeError
from devtensor.core.explain import recover
from devtensor.core.op import OPS, Op
from devtensor.core.state import Mode, current, replace
from devtensor.core.tape import plan_of
from devtensor.core.tensor import Storage, Tensor, View, describe, share, storage_of, wrap


def write(dst: Tensor, src: Tensor) -> None:
    """Put the values of `src` into the memory of `dst`: the one in-place primitive. It records nothing."""
    layers = current().layers
    if layers:
        _through(layers, dst, src)
    else:
        write_now(dst, src)


def _through(layers: tuple, dst: Tensor, src: Tensor) -> None:
    if not layers:
        write_now(dst, src)
    else:
        layers[0].write(dst, src, lambda *below: _through(layers[1:], *below))


def write_now(dst: Tensor, src: Tensor) -> None:
    """The write itself, beneath all layers."""
    storage = writable(dst)
    dst.kind.device.kernel("write", dst.kind.dtype)(dst.array, src.array)  # type: ignore[misc]
    storage.version += 1


def writable(target: Tensor) -> Storage:
    """The storage that a write into the target will change.

    Errors: AutogradError for an inference tensor outside inference mode.
    """
    storage = storage_of(target)
    if storage.inference and not current().inference:
        raise AutogradError(
            f"[write] Inplace update to inference tensor {describe(target)} outside InferenceMode is not "
            "allowed; clone() it to get a normal tensor"
        )
    return storage


def apply_inplace(op: Op, target: Tensor, others: tuple, params: tuple) -> Tensor:
    """`op_`: run `op` with the result written into its first input.

    Errors: AutogradError for a leaf that requires grad, DTypeError if the result does not fit the target's
    dtype, ShapeError if it has another shape.
    """
    mode = current()
    if not mode.layers and len(others) == 1 and not params and _written_directly(op, mode, target, others[0]):
        return target
    recording = mode.grad and any(i.requires_grad for i in (target, *others) if isinstance(i, Tensor))
    if mode.grad:
        check_leaf(op.name + "_", target)
    source = snapshot(op, target, others) if recording else target
    put(op.name + "_", target, call(op, (source, *others), params), recording)
    return target


def _written_directly(op: Op, mode: Mode, target: Tensor, other: Any) -> bool:
    """Let the kernel write into the target where nobody listens and nothing must be checked."""
    alias = target.alias
    if mode.grad and (
        target.requires_grad
        or (isinstance(other, Tensor) and other.requires_grad)
        or (alias is not None and alias.base is not None and alias.base.requires_grad)
    ):
        return False
    kind = target.kind
    if isinstance(other, Tensor):
        plan = op.fast.get(kind) if other.kind is kind and _fits(other, target) else None
    else:
        plan = op.scalar.get((kind, other.__class__))
    if plan is None or plan.inplace is None:
        return False
    if alias is not None and alias.chain:
        refuse_overlap(f"{op.name}_", target)
    storage = writable(target)
    array = other.array if isinstance(other, Tensor) else plan.literal.constant(other)
    try:
        plan.inplace(target.array, array, target.array)
    except Exception as error:
        recover(error, op, plan, (target, other), (target.array, array, target.array), ())
    storage.version += 1
    return True


def _fits(other: Tensor, target: Tensor) -> bool:
    """Whether `other` broadcasts to the target's own shape."""
    small, large = other.array.shape, target.array.shape
    if small == large:
        return True
    if len(small) > len(large):
        return False
    return all(a in (1, b) for a, b in zip(reversed(small), reversed(large), strict=False))


def put(name: str, target: Tensor, value: Tensor, recording: bool) -> None:
    """Make `target` hold `value`, with the value's history."""
    if value.kind is not target.kind:
        if value.kind.dtype.category > target.kind.dtype.category:
            raise DTypeError(
                f"[{name}] result type {value.kind.dtype.name} can't be cast to the desired output type "
                f"{target.kind.dtype.name}; write out of place, or convert the target first"
            )
        value = call(OPS["cast"], (value,), (target.kind.dtype,))
    if value.array.shape != target.array.shape:
        raise ShapeError(
            f"[{name}] output {describe(target)} doesn't match the broadcast shape "
            f"{tuple(value.array.shape)}; "
            "an in-place op cannot change its target's shape"
        )
    refuse_overlap(name, target)
    write(target, value)
    if recording:
        rebase(target, value)


def refuse_overlap(name: str, target: Tensor) -> None:
    """Refuse a target in which one element of memory stands in several places.

    Errors: ShapeError naming the expanded dims.
    """
    if target.alias is None or not target.alias.chain:
        return
    overlapping = any(step[0] in ("expand", "unfold") for step in target.alias.chain)
    if overlapping and _one_to_many(target):
        raise ShapeError(
            f"[{name}] target {describe(target)} holds one element of memory in several places; clone() "
            "it first"
        )


def _one_to_many(target: Tensor) -> bool:
    strides = target.kind.device.backend.strides_of(target.array)
    dims = sorted(
        (stride, size) for stride, size in zip(strides, target.array.shape, strict=True) if size > 1
    )
    reach = 0
    for stride, size in dims:
        if stride <= reach:
            return True
        reach += stride * (size - 1)
    return False


def check_leaf(name: str, target: Tensor, writes: bool = True) -> None:
    """Refuse to write, while the tape listens, where autograd could not follow.

    Errors: AutogradError for a leaf that requires grad, a view of one, or a view that the tape never saw.
    """
    base = target.alias.base if target.alias is not None else None
    if target.requires_grad and target.node is None:
        raise AutogradError(
            f"[{name}] a leaf Variable that requires grad is being used in an in-place operation; "
            "do it under devtensor.no_grad(), or work on a clone()"
        )
    if base is None or not base.requires_grad or not (writes or target.requires_grad):
        return
    if base.node is None:
        raise AutogradError(
            f"[{name}] a view of a leaf Variable that requires grad is being used in an in-place operation; "
            "do it under devtensor.no_grad(), or work on a clone()"
        )
    if not target.requires_grad:
        raise AutogradError(
            f"[{name}] A view was created in no_grad mode and is being modified inplace with grad mode "
            "enabled; take the view outside no_grad(), or write within it"
        )


def snapshot(op: Op, target: Tensor, others: tuple) -> Tensor:
    """The target, or a copy of it with the same history where a formula will need the value overwritten."""
    mask = tuple(isinstance(i, Tensor) and i.requires_grad for i in (target, *others))
    plan = plan_of(op, mask)
    if 0 not in plan.save and op.differentiable:
        return target
    before = replace(grad=False)
    try:
        copy = call(OPS["copy"], (target,), ())
    finally:
        replace(grad=before.grad)
    copy.node, copy.requires_grad = target.node, target.requires_grad
    return copy


def rebase(target: Tensor, value: Tensor) -> None:
    """Give the target the history of the value written into it; through a view, give it to the base."""
    alias = target.alias
    base = alias.base
    if base is None:
        target.node, target.requires_grad = value.node, value.requires_grad
        refresh_views(target)
        return
    if not (base.requires_grad or value.requires_grad):
        return
    chain = alias.chain[len(base.alias.chain) :]
    root = share(base)
    root.node, root.requires_grad = base.node, base.requires_grad
    made = wrap(base.array, base.kind)
    tape.record(OPS["overwrite"], (root, value), (chain,), made)
    base.node, base.requires_grad = made.node, made.requires_grad
    refresh_views(base)


def refresh_views(base: Tensor) -> None:
    """Give every live view of `base` the history that its chain has from the base's new one."""
    storage = storage_of(base)
    for ref in list(storage.views):
        view = ref()
        if view is not None and isinstance(view.alias, View) and view.alias.base is base:
            fresh = replay(base, view.alias.chain[len(base.alias.chain) :])
            view.node, view.requires_grad = fresh.node, fresh.requires_grad


def replay(source: Tensor, chain: tuple) -> Tensor:
    """Apply the view ops of a chain to a tensor."""
    for name, params in chain:
        source = call(OPS[name], (source,), params)
    return source


def copy_into(target: Tensor, source: Tensor) -> Tensor:
    """`target.copy_(source)`: values broadcast and converted; gradients flow to the source alone."""
    mode = current()
    recording = mode.grad and (target.requires_grad or source.requires_grad)
    if mode.grad:
        check_leaf("copy_", target)
    if source.kind.device is not target.kind.device:
        source = call(OPS["to_device"], (source,), (target.kind.device,))
    if source.kind is not target.kind:
        source = call(OPS["cast"], (source,), (target.kind.dtype,))
    if source.array.shape != target.array.shape:
        source = call(OPS["expand"], (source,), (tuple(target.array.shape),))
    refuse_overlap("copy_", target)
    write(target, source)
    if recording:
        rebase(target, copied_history(target, source))
    return target


def copied_history(target: Tensor, source: Tensor) -> Tensor:
    """The history of a target that was wholly overwritten: the source's, and none of what the target was.

    A target that required a gradient goes on doing so, though nothing flows to what it was.
    """
    made = wrap(source.array, target.kind)
    if target.requires_grad:
        before = share(target)
        before.node, before.requires_grad = target.node, True
        tape.record(OPS["overwrite"], (before, source), ((),), made)
    else:
        tape.record(OPS["copy"], (source,), (), made)
    return made
