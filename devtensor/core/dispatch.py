"""`call`: the one path every op takes: layers, types, kernel, tape."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from devtensor.backend import registry
from devtensor.core import rules, tape
from devtensor.core.device import Device, Kind, forget_devices, resolve
from devtensor.core.dtype import DType, as_dtype, bool_, int64
from devtensor.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    DeviceError,
    DevtensorError,
    DTypeError,
    IndexingError,
    KernelMissing,
    OutOfMemoryError,
    ShapeError,
)
from devtensor.core.op import OPS, Op
from devtensor.core.spec import Spec, normalize_dim, normalize_dims
from devtensor.core.state import Mode, current, replace
from devtensor.core.tensor import Storage, Tensor, View, describe, spec_of, storage_of, wrap

new = Tensor.__new__


class Plan:
    """What the rules say of one op for one combination of input kinds; computed once, then looked up."""

    __slots__ = ("array_type", "as_array", "casts", "inplace", "kernel", "literal", "out", "single")

    def __init__(self) -> None:
        self.kernel: Any = None
        self.casts: tuple[Kind | None, ...] | None = None
        self.literal: Any = None
        self.out: tuple[Kind, ...] = ()
        self.single: Any = None
        self.inplace: Any = None
        # A raw library function may give a scalar for 0-d inputs: then `as_array` makes it an array again.
        self.array_type: Any = None
        self.as_array: Any = _unchanged


def _unchanged(array: Any) -> Any:
    return array


def call1(op: Op, a: Tensor) -> Any:
    """An op of one tensor and no parameters: `call`, with the memoised path unrolled."""
    mode = current()
    if not mode.layers and isinstance(a, Tensor):
        plan = op.fast.get(a.kind)
        if plan is not None:
            try:
                data = plan.kernel(a.array)
            except Exception as error:
                data = recover(error, op, plan, (a,), (a.array,), ())
            out = new(Tensor)
            out.array = data if data.__class__ is plan.array_type else plan.as_array(data)
            out.kind = plan.single
            out.node = out.alias = None
            out.requires_grad = False
            if mode.grad and a.requires_grad:
                tape.record(op, (a,), (), out)
            return out
    return call(op, (a,), ())


def call2(op: Op, a: Any, b: Any) -> Any:
    """An op of two inputs and no parameters: `call`, with the memoised path unrolled."""
    mode = current()
    if not mode.layers and isinstance(a, Tensor):
        kind = a.kind
        if isinstance(b, Tensor):
            plan = op.fast.get(kind) if b.kind is kind else None
            other = b.array
            wanted = a.requires_grad or b.requires_grad
        else:
            plan = op.scalar.get((kind, b.__class__))
            other = None if plan is None else plan.literal.constant(b)
            wanted = a.requires_grad
        if plan is not None:
            try:
                data = plan.kernel(a.array, other)
            except Exception as error:
                data = recover(error, op, plan, (a, b), (a.array, other), ())
            out = new(Tensor)
            out.array = data if data.__class__ is plan.array_type else plan.as_array(data)
            out.kind = plan.single
            out.node = out.alias = None
            out.requires_grad = False
            if wanted and mode.grad:
                tape.record_pair(op, a, b, out)
            return out
    return call(op, (a, b), ())


def call(op: Op, inputs: tuple, params: tuple) -> Any:
    """Run an op: hand it to the layers if there are any, else find its plan, run its kernel and record it."""
    mode = current()
    if mode.layers:
        return through(mode.layers, op, inputs, params)
    return run(op, inputs, params)


def through(layers: tuple, op: Op, inputs: tuple, params: tuple) -> Any:
    """Hand an op to the topmost of `layers`; the rest are beneath it."""
    if not layers:
        return run(op, inputs, params)
    return layers[0].call(op, inputs, params, lambda *below: through(layers[1:], *below))


def run(op: Op, inputs: tuple, params: tuple) -> Any:
    """Types, kernel, tape: what happens beneath all layers."""
    if len(inputs) == 1 and inputs[0].__class__ is Tensor and not op.type_places:
        key: Any = inputs[0].kind
    else:
        key = key_of(op, inputs, params)
    plan = op.plans.get(key)
    if plan is None:
        plan = make_plan(op, key, inputs, params)
    if plan.casts is not None:
        inputs = cast_inputs(plan.casts, inputs)
        if current().layers:
            # From the top again, so that a layer that listens hears the op with the inputs its kernel gets.
            return call(op, inputs, params)
    if op.eager:
        op.shape_rule(op.name, specs_of(inputs), params)
    wanted = current().grad and needs_gradient(inputs)
    if plan.kernel is None or (wanted and op.differentiable is None):
        return run_body(op, inputs, params, wanted)
    arrays = [i.array if isinstance(i, Tensor) else None if i is None else plan.literal.constant(i) for i in inputs]
    try:
        data = plan.kernel(*arrays, *params)
    except Exception as error:
        data = recover(error, op, plan, inputs, arrays, params)
    if plan.single is not None:
        out = wrap(data, plan.single)
        if op.view:
            attach_view(op, inputs[0], params, out)
        if wanted:
            tape.record(op, inputs, params, out)
        return out
    outs = tuple([wrap(array, kind) for array, kind in zip(data, plan.out, strict=True)])
    if wanted:
        tape.record_many(op, inputs, params, outs)
    return outs


def needs_gradient(inputs: tuple) -> bool:
    """Whether any input is a tensor whose gradient is wanted."""
    for value in inputs:
        if isinstance(value, Tensor) and value.requires_grad:
            return True
    return False


def run_body(op: Op, inputs: tuple, params: tuple, wanted: bool) -> Any:
    """Run a composite by its body; with a formula of its own it is one node, else autograd sees inside."""
    if not wanted or op.differentiable is None:
        return op.body(*inputs, *params)  # type: ignore[misc]
    before = replace(grad=False)
    try:
        result = op.body(*inputs, *params)  # type: ignore[misc]
    finally:
        replace(grad=before.grad)
    outs = result if isinstance(result, tuple) else (result,)
    outs = tuple([wrap_again(out) if any(out is i for i in inputs) else out for out in outs])
    if isinstance(result, tuple):
        tape.record_many(op, inputs, params, outs)
        return outs
    tape.record(op, inputs, params, outs[0])
    return outs[0]


def wrap_again(tensor: Tensor) -> Tensor:
    """Another handle on a tensor that a body returned as it came, so that it can have its own history."""
    from devtensor.core.tensor import share

    return share(tensor)


def attach_view(op: Op, source: Tensor, params: tuple, out: Tensor) -> None:
    """Note that `out` sees the memory of `source` through one more view op."""
    alias = source.alias
    if alias is None:
        alias = source.alias = Storage(source.array)
    storage = alias.storage
    base = alias.base
    out.alias = View(storage, (*alias.chain, (op.name, params)), source if base is None else base)
    storage.watch(out)


def key_of(op: Op, inputs: tuple, params: tuple) -> tuple:
    """All that the dtype rule may look at: kinds, zero-dimensionality, scalar classes, dtype parameters."""
    parts: list = [
        (i.kind, i.array.ndim == 0) if isinstance(i, Tensor) else None if i is None else i.__class__ for i in inputs
    ]
    parts.extend([params[place] for place in op.type_places])
    return tuple(parts)


def make_plan(op: Op, key: Any, inputs: tuple, params: tuple) -> Plan:
    """Ask the rules, once per key, and remember what they say."""
    device = common_device(op, inputs, params)
    operands = [operand_of(op, place, i) for place, i in enumerate(inputs) if i is not None and op.takes_part(place)]
    many = op.dtype_rule if isinstance(op.dtype_rule, tuple) else (op.dtype_rule,)
    types = [rule(op.name, operands, params) for rule in many]
    plan = Plan()
    plan.out = tuple(device.kind(t.out) for t in types)
    plan.single = None if isinstance(op.dtype_rule, tuple) else plan.out[0]
    cast = types[0].cast
    casts = [cast_for(op, place, i, cast, device) for place, i in enumerate(inputs)]
    plan.casts = tuple(casts) if any(casts) else None
    basis = cast or (operands[0].dtype if operands else types[0].out)
    plan.literal = device.kind(basis)
    plan.kernel = find_kernel(op, device, basis)
    if len(op.plans) > 512:
        op.plans.clear()
    op.plans[key] = plan
    unroll(op, plan, basis, inputs, params)
    return plan


def unroll(op: Op, plan: Plan, dtype: DType, inputs: tuple, params: tuple) -> None:
    """Offer the plan to `call1` and `call2` where nothing but the inputs' kinds decides it."""
    usable = plan.kernel is not None and plan.casts is None and plan.single is not None
    if not usable or params or op.eager or op.view or op.differentiable is None or not isinstance(inputs[0], Tensor):
        return
    kinds = [i.kind if isinstance(i, Tensor) else i.__class__ for i in inputs]
    fast = Plan()
    if all(kind is kinds[0] for kind in kinds):
        op.fast[kinds[0]] = fast
    elif len(inputs) == 2 and isinstance(kinds[1], type):
        op.scalar[(kinds[0], kinds[1])] = fast
    else:
        return
    fast.kernel, fast.literal, fast.out, fast.single = plan.kernel, plan.literal, plan.out, plan.single
    device: Device = plan.single.device
    backend = device.backend
    if plan.single is kinds[0] and op.name in getattr(backend, "out_kernels", ()):
        fast.inplace = plan.kernel
    if hasattr(backend, "array_type"):
        fast.kernel = device.kernel(op.name, dtype, all_scalar=False)
        fast.array_type, fast.as_array = backend.array_type, backend.as_array


def operand_of(op: Op, place: int, value: Any) -> rules.Operand:
    if isinstance(value, Tensor):
        return rules.Operand(value.kind.dtype, rules.TENSOR if value.array.ndim else rules.ZERO_DIM)
    if value.__class__ in (bool, int, float):
        return rules.literal_operand(value.__class__)
    raise ArgumentTypeError(
        f"[{op.name}] {op.input_name(place)} is {describe(value)} of type {type(value).__name__}; "
        "it needs a Tensor or a Python number; make one with devtensor.tensor(...)"
    )


def common_device(op: Op, inputs: tuple, params: tuple) -> Device:
    """The one device of all inputs; CPU tensors without dimensions, and CPU index tensors, may join any.

    Errors: DeviceError that names the devices.
    """
    devices = {i.kind.device for i in inputs if isinstance(i, Tensor)}
    if len(devices) == 1:
        return devices.pop()
    if not devices:
        named = [p for p in params if isinstance(p, Device)]
        return named[0] if named else resolve(None)
    bound = {i.kind.device for p, i in enumerate(inputs) if isinstance(i, Tensor) and not may_move(op, p, i)}
    if len(bound) == 1:
        return bound.pop()
    names = " and ".join(sorted(map(str, bound or devices)))
    target = next(i.kind.device for i in inputs if isinstance(i, Tensor))
    raise DeviceError(f'[{op.name}] inputs are on {names}; all must be on one device; move with .to("{target}")')


def may_move(op: Op, place: int, value: Tensor) -> bool:
    """Whether PyTorch lets this CPU tensor stand beside tensors of another device."""
    if value.kind.device.type != "cpu":
        return False
    return value.array.ndim == 0 or not op.takes_part(place)


def cast_for(op: Op, place: int, value: Any, dtype: DType | None, device: Device) -> Kind | None:
    """The Kind that this input must be brought to, or None if it stays."""
    if not isinstance(value, Tensor):
        return None
    if not op.takes_part(place):
        marker = op.markers[op.input_name(place)].name
        dtype = {"Mask": bool_, "Index": int64}.get(marker, value.kind.dtype)
        given = value.kind.dtype
        if (marker == "Mask" and given is not bool_) or (marker == "Index" and given.category != int64.category):
            raise DTypeError(
                f"[{op.name}] {op.input_name(place)} is {describe(value)}; it needs {dtype.name}; "
                f"convert it with .to(devtensor.{dtype.name})"
            )
    kind = device.kind(dtype or value.kind.dtype)
    return None if kind is value.kind else kind


def cast_inputs(casts: tuple[Kind | None, ...], inputs: tuple) -> tuple:
    """Bring inputs to the plan's kinds by ops of their own, so that casts are recorded and captured."""
    moved = []
    for kind, value in zip(casts, inputs, strict=True):
        if kind is not None:
            if value.kind.device is not kind.device:
                value = call(OPS["to_device"], (value,), (kind.device,))
            if value.kind.dtype is not kind.dtype:
                value = call(OPS["cast"], (value,), (kind.dtype,))
        moved.append(value)
    return tuple(moved)


def find_kernel(op: Op, device: Device, dtype: DType) -> Callable | None:
    """The backend's kernel, ready for this op's parameters, or None where the body must do.

    Errors: KernelMissing for a primitive that the backend lacks.
    """
    kernel = device.kernel(op.name, dtype)
    if kernel is None:
        if op.composite:
            return None
        raise KernelMissing(
            f"[{op.name}] device {device} has no kernel for it; "
            f'add "{op.name}" to the kernels of backend {device.type!r}'
        )
    if op.type_places:
        return _with_names(kernel, len(op.parameters))
    return kernel


def _with_names(kernel: Callable, count: int) -> Callable:
    """Kernels know dtypes by name, and nothing of devices."""

    def named(*args: Any) -> Any:
        arrays, params = args[: len(args) - count], args[len(args) - count :]
        known = [p.name if isinstance(p, DType) else p for p in params if not isinstance(p, Device)]
        return kernel(*arrays, *known)

    return named


# What libraries raise on 1/0 or overflow when the user asked them to; PyTorch is silent there, and so are we.
FLOATING_POINT_EVENTS = (FloatingPointError, RuntimeWarning)


def recover(error: Exception, op: Op, plan: Plan, inputs: tuple, arrays: tuple, params: tuple) -> Any:
    """What to do when a kernel raised: run it again if only the user's floating-point traps fired, else explain."""
    if isinstance(error, FLOATING_POINT_EVENTS):
        rerun = getattr(plan.out[0].device.backend, "rerun", None)
        if rerun is not None:
            return rerun(plan.kernel, (*arrays, *params))
    explained = explain(error, op, inputs, params)
    if explained is error:
        raise error
    raise explained from (error if os.environ.get("DEVTENSOR_DEBUG") else None)


# What a library's exception means when the shape rule finds nothing wrong.
MEANINGS: tuple[tuple[type[Exception], type[DevtensorError]], ...] = (
    (IndexError, IndexingError),
    (MemoryError, OutOfMemoryError),
    (ZeroDivisionError, ArgumentError),
    (TypeError, ArgumentTypeError),
    (ValueError, ShapeError),
)


def explain(error: Exception, op: Op, inputs: tuple, params: tuple) -> Exception:
    """The exception that tells the user what was wrong: the shape rule's if it finds a fault."""
    if isinstance(error, DevtensorError):
        return error
    try:
        op.shape_rule(op.name, specs_of(inputs), params)
    except DevtensorError as found:
        return found
    given = ", ".join(describe(i) for i in inputs)
    named = ", ".join(f"{n}={p}" for n, p in zip(op.parameters, params, strict=False))
    for kind, meaning in MEANINGS:
        if isinstance(error, kind):
            return meaning(f"[{op.name}] inputs {given}{'; ' if named else ''}{named}: {error}")
    return error


def specs_of(inputs: Sequence) -> list[Spec]:
    """What shape rules see: a Spec for each tensor, a 0-d one for each number, None for an absent input."""
    found: list = []
    for value in inputs:
        if isinstance(value, Tensor):
            found.append(spec_of(value))
        else:
            found.append(None if value is None else Spec((), rules.literal_operand(type(value)).dtype, None, ()))  # type: ignore[arg-type]
    return found


def one_dim(op: str, source: Tensor, dim: int) -> int:
    """What an entry does with a parameter marked Dim."""
    if not isinstance(dim, int):
        dim = as_index(op, "dim", dim)
    return normalize_dim(op, dim, tensor_only(op, source).array.ndim)


def many_dims(op: str, source: Tensor, dims: Any) -> tuple[int, ...]:
    """What an entry does with a parameter marked Dims: None means all."""
    if not isinstance(dims, (int, tuple, list, type(None))):
        dims = as_index(op, "dim", dims)
    if isinstance(dims, list):
        dims = tuple(dims)
    return normalize_dims(op, dims, tensor_only(op, source).array.ndim)


def as_index(op: str, name: str, value: Any) -> int:
    """A Python int from anything that can index.

    Errors: ArgumentTypeError that names the parameter.
    """
    try:
        return value.__index__()
    except (AttributeError, TypeError):
        raise ArgumentTypeError(
            f"[{op}] {name} is {describe(value)} of type {type(value).__name__}; it needs an int"
        ) from None


def tensor_only(op: str, value: Any) -> Tensor:
    """The value, if it is a Tensor.

    Errors: ArgumentTypeError that says what it is instead.
    """
    if isinstance(value, Tensor):
        return value
    raise ArgumentTypeError(
        f"[{op}] got a {type(value).__name__}; it needs a Tensor; make one with devtensor.tensor(...)"
    )


def forget(device_type: str) -> None:
    """Drop all that was remembered of a device type whose backend has changed."""
    forget_devices(device_type)
    for op in OPS.values():
        for table in (op.plans, op.fast, op.scalar):
            table.clear()


registry.door.listeners.append(forget)

one_dtype = as_dtype
one_device = resolve

__all__ = ["Mode", "Plan", "call", "call1", "call2", "explain", "run", "storage_of", "through"]
