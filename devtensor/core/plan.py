"""Plans: what the rules say of one op for one combination of input kinds, computed once and looked up
after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.backend import registry
from devtensor.core import rules
from devtensor.core.common_device import common_device
from devtensor.core.device import Device, Kind, forget_devices
from devtensor.core.dtype import DType, bool_, default_listeners, float32, int64
from devtensor.core.errors import DTypeError, KernelMissing, NotATensor
from devtensor.core.op import MOVED, OPS, Op
from devtensor.core.placement import ELEMENTWISE
from devtensor.core.tensor import Tensor, describe
from devtensor.core.wide_numbers import wide_places

# Inputs that no op takes a number for.
NEVER_NUMBERS = frozenset({"tensor1", "tensor2", "src", "end", "mat2", "vec", "vec2", "batch1", "batch2"})


def _unchanged(array: Any) -> Any:
    return array


class Plan:
    """What the rules say of one op for one combination of input kinds; computed once, then looked up."""

    __slots__ = (
        "array_type", "as_array", "casts", "checked", "direct", "exact", "inplace", "kernel", "literal",
        "numbers", "out", "relaid", "single", "wide",
    )  # fmt: skip

    def __init__(self) -> None:
        self.kernel: Any = None
        self.casts: tuple[Kind | None, ...] | None = None
        self.literal: Any = None
        # The places of the inputs that are Python numbers.
        self.numbers: tuple[int, ...] = ()
        # The places of tensors that keep float32 beside a half type.
        self.wide: tuple[int, ...] = ()
        self.out: tuple[Kind, ...] = ()
        self.single: Any = None
        self.inplace: Any = None
        # A raw library function may give a scalar for 0-d inputs: then `as_array` makes it an array again.
        self.array_type: Any = None
        self.as_array: Any = _unchanged
        # Whether an op of one tensor has but to run its kernel, whatever the parameters.
        self.direct = False
        # Whether a view's kernel gives sizes of 1 the strides of the rule, where libraries choose freely.
        self.exact = False
        # Whether results may have their dims in another order than the rule says.
        self.relaid = False
        # The shapes and parameters that an eager rule has found no fault with.
        self.checked: set[tuple] = set()


def key_of(op: Op, inputs: tuple, params: tuple) -> Any:
    """All that the dtype rule may look at: kinds, zero-dimensionality, scalar classes, dtype parameters.

    One tensor, two, the usual cases, and none at all have keys of their own form, which are made faster.
    """
    places = op.type_places
    if len(inputs) == 1 and not places and isinstance(inputs[0], Tensor):
        return inputs[0].kind
    if not inputs:
        return params[places[0] :] if places and len(params) - places[0] == len(places) else params
    if len(inputs) == 2 and not places:
        a, b = inputs
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            return a.kind, a.array.ndim == 0, b.kind, b.array.ndim == 0
    parts: list = [
        (i.kind, i.array.ndim == 0) if isinstance(i, Tensor) else None if i is None else i.__class__
        for i in inputs
    ]
    parts.extend([params[place] for place in op.type_places])
    return tuple(parts)


def make_plan(op: Op, key: Any, inputs: tuple, params: tuple) -> Plan:
    """Ask the rules, once per key, and remember what they say."""
    device = common_device(op, inputs, params)
    if len(op.inputs) == 1 and not op.variadic and not isinstance(inputs[0], Tensor):
        raise NotATensor(
            f"[{op.name}] argument '{op.inputs[0]}' must be a Tensor, not {type(inputs[0]).__name__}; "
            "make one with devtensor.tensor(...)"
        )
    given = [(place, operand_of(op, place, i)) for place, i in enumerate(inputs) if i is not None]
    operands = [operand for place, operand in given if op.takes_part(place)]
    check_numbers(op, operands)
    many = op.dtype_rule if isinstance(op.dtype_rule, tuple) else (op.dtype_rule,)
    types = [rule(op.name, operands, params) for rule in many]
    plan = Plan()
    plan.out = tuple(device.kind(t.out) for t in types)
    plan.single = None if isinstance(op.dtype_rule, tuple) else plan.out[0]
    cast = types[0].cast
    basis = cast or (operands[0].dtype if operands else types[0].out)
    settle_inputs(plan, op, device, cast, basis, inputs)
    plan.kernel = find_kernel(op, device, basis, params)
    plan.exact = op.name in getattr(device.backend, "exact_views", ())
    unordered = op.placement is not None and not getattr(device.backend, "orders_dims", False)
    plan.relaid = op.laid_out or unordered
    plan.direct = (
        plan.kernel is not None
        and plan.casts is None
        and plan.single is not None
        and op.differentiable is not None
        and not (op.eager or op.view)
    )
    if len(op.plans) > 512:
        op.plans.clear()
    op.plans[key] = plan
    remember_usual(op, plan, inputs, params)
    unroll(op, plan, basis, inputs, params)
    return plan


def settle_inputs(
    plan: Plan, op: Op, device: Device, cast: DType | None, basis: DType, inputs: tuple
) -> None:
    """Say what is made of each input: casts to `cast`, numbers in `basis`, and what stays in float32."""
    wide = wide_places(op, device, basis, inputs)
    casts = [
        cast_for(op, place, i, float32 if place in wide else cast, device) for place, i in enumerate(inputs)
    ]
    plan.casts = tuple(casts) if any(casts) else None
    plan.numbers = tuple(p for p, i in enumerate(inputs) if not (i is None or isinstance(i, Tensor)))
    plan.literal = device.kind(float32 if wide and set(plan.numbers) <= set(wide) else basis)
    plan.wide = tuple(place for place in wide if place not in plan.numbers)


def remember_usual(op: Op, plan: Plan, inputs: tuple, params: tuple) -> None:
    """Offer the plan under the inputs' kinds alone, where these decide it: all that take part have one.

    Numbers without dimensions are then no weaker than what stands beside them.
    """
    parts = {i.kind for place, i in enumerate(inputs) if isinstance(i, Tensor) and op.takes_part(place)}
    if len(parts) == 1 or not inputs:
        key = [i.kind if isinstance(i, Tensor) else i.__class__ for i in inputs]
        key += [params[place] for place in op.type_places]
        if len(op.usual) > 512:
            op.usual.clear()
        op.usual[tuple(key)] = plan


def unroll(op: Op, plan: Plan, dtype: DType, inputs: tuple, params: tuple) -> None:
    """Offer the plan to `call1` and `call2` where nothing but the inputs' kinds decides it."""
    usable = plan.kernel is not None and plan.casts is None and plan.single is not None
    if (
        not usable
        or params
        or op.eager
        or op.view
        or op.differentiable is None
        or (op.laid_out and op.placement is not ELEMENTWISE)
        or not isinstance(inputs[0], Tensor)
    ):
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
    fast.relaid = plan.relaid
    device = plan.out[0].device
    backend = device.backend
    if plan.single is kinds[0] and op.name in getattr(backend, "out_kernels", ()):
        fast.inplace = plan.kernel
    if hasattr(backend, "array_type"):
        fast.kernel = device.kernel(op.name, dtype, all_scalar=False)
        fast.array_type, fast.as_array = backend.array_type, backend.as_array


def operand_of(op: Op, place: int, value: Any) -> rules.Operand:
    if isinstance(value, Tensor):
        return rules.Operand(value.kind.dtype, rules.TENSOR if value.array.ndim else rules.ZERO_DIM)
    if isinstance(value, (bool, int, float, complex)) and op.input_name(place) not in NEVER_NUMBERS:
        return rules.literal_operand(value.__class__)
    raise NotATensor(
        f"[{op.name}] {op.input_name(place)} is {describe(value)} of type {type(value).__name__}; "
        "it needs a Tensor or a Python number; make one with devtensor.tensor(...)"
    )


def check_numbers(op: Op, operands: list[rules.Operand]) -> None:
    """Refuse the dtypes that only few ops take.

    Errors: DTypeError for complex numbers, or ones that can only be stored, where the op does not take them.
    """
    for dtype, _ in operands:
        if (dtype.is_complex and op.complex is None) or (dtype.storage_only and op.complex != MOVED):
            raise DTypeError(
                f"[{op.name}] not implemented for {dtype.name}; convert it with .to(devtensor.float32) first"
                if dtype.storage_only
                else f"[{op.name}] not implemented for {dtype.name}: complex numbers have no {op.name}; "
                "use abs(), .real or .imag first"
            )


def cast_for(op: Op, place: int, value: Any, dtype: DType | None, device: Device) -> Kind | None:
    """The Kind that this input must be brought to, or None if it stays."""
    if not isinstance(value, Tensor):
        return None
    if not op.takes_part(place):
        marker = op.markers[op.input_name(place)].name
        dtype = {"Mask": bool_, "Index": int64}.get(marker, value.kind.dtype)
        given = value.kind.dtype
        if (marker == "Mask" and given is not bool_) or (
            marker == "Index" and given.category != int64.category
        ):
            raise DTypeError(
                f"[{op.name}] {op.input_name(place)} is {describe(value)}; it needs {dtype.name}; "
                f"convert it with .to(devtensor.{dtype.name})"
            )
    kind = device.kind(dtype or value.kind.dtype)
    return None if kind is value.kind else kind


def find_kernel(op: Op, device: Device, dtype: DType, params: tuple) -> Callable | None:
    """The backend's kernel, ready for this op's parameters, or None where the body must do.

    The dtypes and devices among `params` are a part of the plan's key: any other call has the same.

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
        return _with_names(kernel, params[op.type_places[0] :])
    return kernel


def _with_names(kernel: Callable, last: tuple) -> Callable:
    """Kernels know dtypes by name, and nothing of devices; `last` are a call's parameters from the first on
    that is either."""
    count = len(last)
    if all(isinstance(p, (DType, Device)) for p in last):
        names = [p.name for p in last if isinstance(p, DType)]
        return lambda *args: kernel(*args[:-count], *names)

    def named(*args: Any) -> Any:
        known = [p.name if isinstance(p, DType) else p for p in args[-count:] if not isinstance(p, Device)]
        return kernel(*args[:-count], *known)

    return named


def forget(device_type: str) -> None:
    """Drop all that was remembered of a device type whose backend has changed."""
    forget_devices(device_type)
    forget_plans()


def forget_plans() -> None:
    """Drop all plans: something that the rules look at has changed."""
    for op in OPS.values():
        for table in (op.plans, op.usual, op.fast, op.scalar):
            table.clear()


registry.door.listeners.append(forget)
default_listeners.append(forget_plans)
