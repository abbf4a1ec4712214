"""Results of kernels in the layout that their op's rule asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from devtensor.core.layout import descends, same_strides
from devtensor.core.op import Op
from devtensor.core.placement import ELEMENTWISE
from devtensor.core.plan import Plan
from devtensor.core.tensor import Tensor


def relaid(op: Op, plan: Plan, arrays: Sequence[Any], params: tuple, data: Any) -> Any:
    """An op's results in the layout that its rule asks for, where the library chose another.

    `arrays` holds None for a number.
    """
    strides_of = plan.out[0].device.backend.strides_of
    operands = [None if array is None else (tuple(array.shape), strides_of(array)) for array in arrays]
    if (
        op.placement is ELEMENTWISE
        and data.flags.c_contiguous
        and all([operand is None or descends(operand[1]) for operand in operands])
    ):
        return data
    made = data if plan.single is None else (data,)
    wanted = op.placement.rule([tuple(array.shape) for array in made], operands, params)  # type: ignore[union-attr]
    laid = [
        array
        if same_strides(array.shape, strides_of(array), strides)
        else kind.device.kernel("lay_out", kind.dtype)(array, strides)  # type: ignore[misc]
        for array, strides, kind in zip(made, wanted, plan.out, strict=True)
    ]
    return tuple(laid) if plan.single is None else laid[0]


def asks_for_layout(op: Op, inputs: tuple) -> bool:
    """Whether the op's layout rule has anything to say of these inputs."""
    if op.placement is None:
        return False
    if op.placement.always:  # type: ignore[union-attr]
        return True
    for value in inputs:  # noqa: SIM110 - a generator here costs as much as a kernel
        if isinstance(value, Tensor) and not value.array.flags.c_contiguous:
            return True
    return False
