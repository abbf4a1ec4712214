"""`call`: the one path every op takes: layers, types, kernel, tape."""

from __future__ import annotations

from typing import Any

from devtensor.core import tape
from devtensor.core.arguments import python_numbers
from devtensor.core.device import Kind
from devtensor.core.dtype import float32
from devtensor.core.errors import DevtensorError
from devtensor.core.explain import DEBUG, explain, recover
from devtensor.core.layout import same_strides
from devtensor.core.lookup import arrays_of, check_shapes, looked_up
from devtensor.core.memory import InferenceStorage
from devtensor.core.op import OPS, Op
from devtensor.core.plan import Plan, key_of, make_plan
from devtensor.core.relaying import asks_for_layout, relaid
from devtensor.core.state import Mode, current, switched
from devtensor.core.tensor import Tensor, share, strides_of, wrap
from devtensor.core.transfer import move
from devtensor.core.views import attach_view
from devtensor.core.wide_numbers import half_of_body, told_apart

new = Tensor.__new__


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
            if plan.relaid and not a.array.flags.c_contiguous:
                data = relaid(op, plan, (a.array,), (), data)
            out = new(Tensor)
            out.array = data if data.__class__ is plan.array_type else plan.as_array(data)
            out.kind = plan.single
            out.node = out.alias = None
            out._requires_grad = False
            if mode.grad:
                if a._requires_grad:
                    tape.record(op, (a,), (), out)
            elif mode.inference:
                out.alias = InferenceStorage(out.array)
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
            wanted = a._requires_grad or b._requires_grad
        else:
            plan = op.scalar.get((kind, b.__class__))
            other = None if plan is None else plan.literal.constant(b)
            wanted = a._requires_grad
        if plan is not None:
            try:
                data = plan.kernel(a.array, other)
            except Exception as error:
                data = recover(error, op, plan, (a, b), (a.array, other), ())
            if plan.relaid and not a.array.flags.c_contiguous:
                data = relaid(op, plan, (a.array, b.array if isinstance(b, Tensor) else None), (), data)
            out = new(Tensor)
            out.array = data if data.__class__ is plan.array_type else plan.as_array(data)
            out.kind = plan.single
            out.node = out.alias = None
            out._requires_grad = False
            if mode.grad:
                if wanted:
                    tape.record_pair(op, a, b, out)
            elif mode.inference:
                out.alias = InferenceStorage(out.array)
            return out
    return call(op, (a, b), ())


def call_one(op: Op, a: Tensor, params: tuple) -> Any:
    """An op of one tensor with parameters: `call`, with the memoised path unrolled."""
    mode = current()
    if not mode.layers and isinstance(a, Tensor):
        plan = op.plans.get(a.kind)
        if plan is not None and plan.direct:
            array = a.array
            try:
                data = plan.kernel(array, *params)
            except Exception as error:
                data = recover(error, op, plan, (a,), (array,), params)
            if plan.relaid and (op.placement.always or not array.flags.c_contiguous):  # type: ignore[union-attr]
                data = relaid(op, plan, (array,), params, data)
            out = new(Tensor)
            out.array = data
            out.kind = plan.single
            out.node = out.alias = None
            out._requires_grad = False
            if mode.grad:
                if a._requires_grad:
                    tape.record(op, (a,), params, out)
            elif mode.inference:
                out.alias = InferenceStorage(data)
            return out
    return call(op, (a,), params)


def call_view(op: Op, source: Tensor, params: tuple) -> Any:
    """A view op: `call`, with the memoised path unrolled."""
    mode = current()
    if not mode.layers and isinstance(source, Tensor):
        plan = op.plans.get(source.kind)
        if plan is not None and plan.casts is None:
            if op.eager:
                check_shapes(op, plan, (source,), (source.array,), params)
            try:
                data = plan.kernel(source.array, *params)
            except Exception as error:
                data = recover(error, op, plan, (source,), (source.array,), params)
            out = new(Tensor)
            out.array = data
            out.kind = plan.single
            out.node = None
            out._requires_grad = False
            attach_view(op, source, params, out, mode, plan.exact)
            if mode.grad and source._requires_grad:
                tape.record(op, (source,), params, out)
            return out
    return call(op, (source,), params)


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
    mode = current()
    plan, arrays, wanted = looked_up(op, inputs, params)
    if plan is None:
        plain = python_numbers(inputs)
        if plain is not inputs:
            return call(op, plain, params)
        plan = make_plan(op, key_of(op, inputs, params), inputs, params)
        arrays = arrays_of(plan, inputs)
    if plan.casts is not None:
        inputs = cast_inputs(plan.casts, inputs)
        if mode.layers:
            # From the top again, so that a layer that listens hears the op with the inputs its kernel gets.
            return call(op, inputs, params)
        arrays = arrays_of(plan, inputs)
    if op.eager:
        check_shapes(op, plan, inputs, arrays, params)
    wanted = wanted and mode.grad
    if plan.kernel is None or (wanted and op.differentiable is None):
        return run_body(op, inputs, params, wanted)
    try:
        data = plan.kernel(*arrays, *params)
    except Exception as error:
        data = recover(error, op, plan, inputs, tuple(arrays), params)
    if plan.relaid and asks_for_layout(op, inputs):
        data = relaid(op, plan, [i.array if isinstance(i, Tensor) else None for i in inputs], params, data)
    if plan.single is not None:
        out = wrap(data, plan.single)
        if op.view:
            attach_view(op, inputs[0], params, out, mode, plan.exact)
        elif mode.inference:
            out.alias = InferenceStorage(data)
        if wanted:
            tape.record(op, told_apart(inputs, plan.wide) if plan.wide else inputs, params, out)
        return out
    return several(op, plan, inputs, params, data, mode, wanted)


def several(op: Op, plan: Plan, inputs: tuple, params: tuple, data: Any, mode: Mode, wanted: bool) -> tuple:
    """The results of a kernel that gives more than one, recorded if their gradient is wanted."""
    outs = tuple([wrap(array, kind) for array, kind in zip(data, plan.out, strict=True)])
    if wanted:
        tape.record_many(op, inputs, params, outs)
    elif mode.inference:
        for out in outs:
            out.alias = InferenceStorage(out.array)
    return outs


def run_body(op: Op, inputs: tuple, params: tuple, wanted: bool) -> Any:
    """Run a composite by its body; with a formula of its own it is one node, else autograd sees inside."""
    if not wanted or op.differentiable is None:
        return call_body(op, inputs, params)
    if any([i.kind.device.under for i in inputs if isinstance(i, Tensor)]):
        # The level below may record what this one does not.
        result = call_body(op, tuple([share(i) if isinstance(i, Tensor) else i for i in inputs]), params)
    else:
        with switched(grad=False):
            result = call_body(op, inputs, params)
    outs = result if isinstance(result, tuple) else (result,)
    outs = tuple([_as_result(out, inputs) for out in outs])
    if isinstance(result, tuple):
        tape.record_many(op, inputs, params, outs)
        return outs
    tape.record(op, inputs, params, outs[0])
    return outs[0]


def _as_result(out: Tensor, inputs: tuple) -> Tensor:
    """What a body gives, as the result of one node: a view of inputs alone is seen as one."""
    if any(out is i for i in inputs):
        return share(out)
    alias = out.alias
    if alias is None or alias.base is None or any(_shares(i, alias.storage) for i in inputs):
        return out
    return share(out)


def _shares(value: Any, storage: Any) -> bool:
    return isinstance(value, Tensor) and value.alias is not None and value.alias.storage is storage


def call_body(op: Op, inputs: tuple, params: tuple) -> Any:
    """Run the body and lay out what it gives; what goes wrong inside is told in the composite's terms."""
    try:
        half = half_of_body(op, inputs)
        result = rounded_once(op, inputs, params, half) if half else op.body(*inputs, *params)  # type: ignore[misc]
        return placed(op, inputs, params, result) if op.laid_out and asks_for_layout(op, inputs) else result
    except DevtensorError as error:
        explained = explain(error, op, inputs, params)
        if explained is error:
            raise
        raise explained from (error if DEBUG else None)


def rounded_once(op: Op, inputs: tuple, params: tuple, half: Kind) -> Any:
    """What a body gives for float32 in place of a half type, in the half type."""
    wide = half.device.kind(float32)
    raised = [wide if isinstance(i, Tensor) and i.kind is half else None for i in inputs]
    result = op.body(*cast_inputs(tuple(raised), inputs), *params)  # type: ignore[misc]
    return cast_inputs((half,), (result,))[0] if result.kind is wide else result


def placed(op: Op, inputs: tuple, params: tuple, result: Any) -> Any:
    """A body's results in the layout that the op's rule asks for."""
    outs = result if isinstance(result, tuple) else (result,)
    operands = [(tuple(i.array.shape), strides_of(i)) if isinstance(i, Tensor) else None for i in inputs]
    wanted = op.placement.rule([tuple(out.array.shape) for out in outs], operands, params)  # type: ignore[union-attr]
    laid = [
        out
        if same_strides(out.array.shape, strides_of(out), strides)
        else call(OPS["lay_out"], (out,), (strides,))
        for out, strides in zip(outs, wanted, strict=True)
    ]
    return tuple(laid) if isinstance(result, tuple) else laid[0]


def cast_inputs(casts: tuple[Kind | None, ...], inputs: tuple) -> tuple:
    """Bring inputs to the plan's kinds by ops of their own, so that casts are recorded and captured."""
    moved = []
    for kind, value in zip(casts, inputs, strict=True):
        if kind is not None:
            if value.kind.device in kind.device.under:
                # Not recorded here: its history is the level's on which it was made.
                value = move(value, kind.device)
            elif value.kind.device is not kind.device:
                value = call(OPS["to_device"], (value,), (kind.device,))
            if value.kind.dtype is not kind.dtype:
                value = call(OPS["cast"], (value,), (kind.dtype,))
        moved.append(value)
    return tuple(moved)
