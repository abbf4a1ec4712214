"""In-place ops and views: every effect is one `write`, and autograd sees it as a pure op."""

from __future__ import annotations

from typing import Any

from devtensor.core.dispatch import call
from devtensor.core.dtype import FLOAT
from devtensor.core.errors import AutogradError, DeviceError, DTypeError, ShapeError
from devtensor.core.explain import recover
from devtensor.core.history import check_leaf, copied_history, keep_written, rebase, snapshot
from devtensor.core.op import OPS, Op
from devtensor.core.overlap import is_same_view, refuse_overlap, refuse_partial
from devtensor.core.precision import dtypes_kept
from devtensor.core.state import Mode, current
from devtensor.core.tensor import Storage, Tensor, describe
from devtensor.core.views import spoil


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
    """The write itself, beneath all layers.

    Errors: AutogradError under vmap, if what differs from example to example would go where all are one.
    """
    if src.kind is not dst.kind and dst.kind.device in src.kind.device.under:
        raise AutogradError(
            "[write] vmap: an in-place op would write what differs from example to example, "
            f"{describe(src)}, into {describe(dst)}, which is the same for all; make that with zeros_like or "
            "new_zeros"
        )
    counter = writable(dst)
    dst.kind.kernel("write")(dst.array, src.array)
    counter.version += 1


def writable(target: Tensor) -> Any:
    """What counts the writes into the target.

    Errors: AutogradError for an inference tensor outside inference mode.
    """
    alias = target.alias
    if alias is None:
        alias = target.alias = Storage(target.array)
    whole = alias.__class__ is Storage
    storage = alias if whole else alias.storage
    counter = alias if whole else alias.counter
    if storage.inference and counter is storage and not current().inference:
        raise AutogradError(
            f"[write] Inplace update to inference tensor {describe(target)} outside InferenceMode is not "
            "allowed; clone() it to get a normal tensor"
        )
    if storage.marked:
        spoil(storage, counter)
    return counter


def apply_inplace(op: Op, target: Tensor, others: tuple, params: tuple) -> Tensor:
    """`op_`: run `op` with the result written into its first input.

    Errors: AutogradError for a leaf that requires grad, DTypeError if the result does not fit the target's
    dtype, ShapeError if it has another shape.
    """
    mode = current()
    if not mode.layers and len(others) == 1 and not params and _written_directly(op, mode, target, others[0]):
        return target
    name, recording = f"{op.told(params)}_", False
    if mode.grad:
        recording = any([isinstance(i, Tensor) and i._requires_grad for i in (target, *others)])
        check_leaf(name, target, others)
    for other in others if target.alias is not None else ():
        refuse_partial(name, target, other)
    source = snapshot(op, target, others) if recording else target
    if mode.layers:
        with dtypes_kept():
            value = call(op, (source, *others), params)
    else:
        value = call(op, (source, *others), params)
    put(name, target, value, recording)
    return target


def _written_directly(op: Op, mode: Mode, target: Tensor, other: Any) -> bool:
    """Let the kernel write into the target where nobody listens and nothing must be checked."""
    alias: Any = target.alias
    kind, array, both = target.kind, target.array, isinstance(other, Tensor)
    if mode.grad and (
        target._requires_grad
        or (both and other._requires_grad)
        or (alias is not None and alias.base is not None and alias.base._requires_grad)
    ):
        return False
    if both:
        plan = op.fast.get(kind) if other.kind is kind and _fits(other, target) else None
    else:
        plan = op.scalar.get((kind, other.__class__))
    if plan is None or plan.inplace is None:
        return False
    if alias is not None:
        if alias.chain:
            refuse_overlap(f"{op.name}_", target)
        if both and other.alias is not None:
            refuse_partial(f"{op.name}_", target, other)
    whole = alias is not None and alias.__class__ is Storage and not alias.marked
    counter: Any = alias if whole else writable(target)
    operand = other.array if both else plan.literal.constant(other)
    try:
        plan.inplace(array, operand, array)
    except Exception as error:
        recover(error, op, plan, (target, other), (array, operand, array), ())
    counter.version += 1
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
        if value.kind.device is not target.kind.device and not value.kind.device.under:
            raise DeviceError(
                f"[{name}] Expected all tensors to be on the same device, but found at least two devices, "
                f"{target.kind.place} and {value.kind.place}: what is written into is on {target.kind.place}"
            )
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
        keep_written(target, value)
        rebase(target, value)


def copy_into(target: Tensor, source: Tensor) -> Tensor:
    """`target.copy_(source)`: values broadcast and converted; gradients flow to the source alone."""
    mode = current()
    recording = mode.grad and (target.requires_grad or source.requires_grad)
    if mode.grad:
        check_leaf("copy_", target, (source,))
    same = source is target or (source.alias is not None and is_same_view(target, source))
    if source.kind.device is not target.kind.device:
        source = call(OPS["to_device"], (source,), (target.kind.device,))
    if source.kind is target.kind:
        refuse_partial("copy_", target, source)
    if source.array.shape != target.array.shape:
        # Before the cast, that the gradient is summed in the source's own dtype.
        source = call(OPS["expand"], (source,), (tuple(target.array.shape),))
    if source.kind is not target.kind:
        source = call(OPS["cast"], (source,), (target.kind.dtype,))
    if not same:
        refuse_overlap("copy_", target)
    write(target, source)
    if recording:
        rebase(target, copied_history(target, source))
    return target


# The largest number of the narrowest floating-point dtype.
SURELY = 448.0


def fill_number(target: Tensor, value: float) -> bool:
    """Make every element a number that the dtype surely holds, where nobody listens; whether it did."""
    mode, kind, alias = current(), target.kind, target.alias
    plain = value.__class__ in (int, float)
    held = plain and (value == 0 or (kind.dtype.category == FLOAT and -SURELY <= value <= SURELY))
    if not held or mode.layers or kind.device.under:
        return False
    if mode.grad and (target._requires_grad or (alias is not None and _base_wants(alias))):
        return False
    counter = writable(target)
    kind.kernel("write")(target.array, kind.constant(value))
    counter.version += 1
    return True


def _base_wants(alias: Any) -> bool:
    return alias.base is not None and alias.base._requires_grad


def fill(target: Tensor, source: Tensor) -> Tensor:
    """Make every element what the 0-d `source` holds; an element that stands in several places may be."""
    mode = current()
    recording = mode.grad and (target.requires_grad or source.requires_grad)
    if mode.grad:
        check_leaf("fill_", target, (source,))
    if source.kind is not target.kind:
        source = call(OPS["cast"], (source,), (target.kind.dtype,))
    write(target, source)
    if recording:
        wide = call(OPS["expand"], (source,), (tuple(target.array.shape),))
        rebase(target, copied_history(target, wide))
    return target
