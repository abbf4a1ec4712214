"""What a call finds before its kernel runs: the plan, the arrays, and whether shapes were looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from devtensor.core.explain import specs_of
from devtensor.core.op import Op
from devtensor.core.plan import Plan, key_of
from devtensor.core.tensor import Tensor

# How many combinations of shapes and parameters a plan remembers before it starts anew.
REMEMBERED = 256


def looked_up(op: Op, inputs: tuple, params: tuple) -> tuple[Plan | None, list, bool]:
    """The plan made before, what its kernel gets, and whether the gradient of any input is wanted.

    What the kernel gets are arrays, None for an absent input, and numbers as arrays of the plan's dtype.
    """
    if len(inputs) == 1 and not op.type_places:
        a = inputs[0]
        if isinstance(a, Tensor):
            return op.plans.get(a.kind), [a.array], a._requires_grad
    arrays, key, wanted = [], [], False
    for value in inputs:
        if isinstance(value, Tensor):
            arrays.append(value.array)
            key.append(value.kind)
            if value._requires_grad:
                wanted = True
        else:
            arrays.append(value)
            key.append(value.__class__)
    if op.type_places:
        key += [params[place] for place in op.type_places]
    plan = op.usual.get(tuple(key))
    if plan is None:
        plan = op.plans.get(key_of(op, inputs, params))
    if plan is not None:
        for place in plan.numbers:
            arrays[place] = plan.literal.constant(arrays[place])
    return plan, arrays, wanted


def arrays_of(plan: Plan, inputs: tuple) -> list:
    """What the kernel gets: arrays, None for an absent input, and numbers as arrays of the plan's dtype."""
    return [
        value.array
        if isinstance(value, Tensor)
        else (None if value is None else plan.literal.constant(value))
        for value in inputs
    ]


def check_shapes(op: Op, plan: Plan, inputs: tuple, arrays: Sequence[Any], params: tuple) -> None:
    """Run the shape rule of an eager op, for each combination of shapes and parameters once.

    Rules of views look at strides too, and those of what cannot be hashed are not remembered.
    """
    key = None
    if not op.view:
        key = (params, *[None if array is None else array.shape for array in arrays])
        try:
            if key in plan.checked:
                return
        except TypeError:
            key = None
    op.shape_rule(op.name, specs_of(inputs), params)
    if key is not None:
        if len(plan.checked) > REMEMBERED:
            plan.checked.clear()
        plan.checked.add(key)
