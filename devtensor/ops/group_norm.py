"""Group norm: channels normalised group by group."""

from __future__ import annotations

from math import prod
from typing import Any

from devtensor.core.errors import ShapeError
from devtensor.core.op import composite
from devtensor.core.placement import PLANES
from devtensor.ops.examples import case, fails
from devtensor.ops.norm import (
    fitting,
    in_dtype,
    layer_norm,
    layer_norm_gradient,
    like_input,
    wide_sums,
    with_weights,
)
from devtensor.ops.reduce import sum as _sum
from devtensor.ops.reduce import widened
from devtensor.ops.shape import as_shape, per_channel


def _group_shape(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    shape, groups = inputs[0].shape, params[0]
    if len(shape) < 2 or groups < 1 or shape[1] % groups:
        raise ShapeError(
            f"[{op}] Expected number of channels in input to be divisible by num_groups, but got input of "
            f"shape {list(shape)} and num_groups={groups}"
        )
    for name, spec in zip(("weight", "bias"), inputs[1:], strict=False):
        if spec is not None and spec.shape != shape[1:2]:
            raise ShapeError(
                f"[{op}] Expected {name} to be a vector of size equal to the number of channels in input, "
                f"but got {name} of shape {list(spec.shape)} and input of shape {list(shape)}"
            )
    return shape


def _grouped(shape: tuple[int, ...], num_groups: int) -> tuple[int, int, int]:
    """A row for each group of each sample."""
    return shape[0], num_groups, prod(shape[1:]) // num_groups


@composite(dtype=with_weights, shape=_group_shape, amp="float32", eager=True, placement=PLANES)
def group_norm(input, weight, bias, num_groups=1, eps=1e-5):
    """Channels normalised group by group, times weight plus bias for each channel; these may be None.

    Shapes: input (N, C, *S), weight, bias (C,) -> (N, C, *S)
    Source: Wu and He 2018.
    """
    shape = tuple(input.array.shape)
    wide = widened(input)
    grouped = as_shape(wide, _grouped(shape, num_groups))
    result = as_shape(layer_norm(grouped, None, None, 1, eps), shape)
    ndim = len(shape)
    result = result if weight is None else result * per_channel(weight, ndim)
    return in_dtype(result if bias is None else result + per_channel(bias, ndim), input.kind.dtype)


def _slopes_shape(op: str, inputs: Any, params: tuple) -> list:
    shape = _group_shape(op, inputs[1:], params)
    if inputs[0].shape != shape:
        raise ShapeError(f"[{op}] grad_output {inputs[0].shape}, input {shape}; both need one shape")
    return [shape, shape[1:2], shape[1:2]]


@composite(dtype=(like_input, wide_sums, wide_sums), shape=_slopes_shape, eager=True)
def group_norm_gradient(grad_output, input, weight, num_groups=1, eps=1e-5):
    """The gradients of a group norm's input, weight and bias, from that of its output, in float32 or wider.

    Shapes: grad_output, input (N, C, *S), weight (C,) or None -> (N, C, *S), (C,), (C,)
    """
    shape = tuple(input.array.shape)
    dims, groups = (0, *range(2, len(shape))), _grouped(shape, num_groups)
    wide, rows = widened(grad_output), as_shape(widened(input), groups)
    weighted = wide if weight is None else wide * per_channel(weight, len(shape))
    slope, _ = layer_norm_gradient(as_shape(weighted, groups), rows, None, 1, eps)
    standard = as_shape(layer_norm(rows, None, None, 1, eps), shape)
    slope = in_dtype(as_shape(slope, shape), grad_output.kind.dtype)
    return slope, _sum(wide * standard, dims), _sum(wide, dims)


@group_norm_gradient.examples
def _(make):
    yield case(make(2, 4), make(2, 4), make(4), num_groups=2)
    yield case(make(2, 4, 3), make(2, 4, 3), None, num_groups=4)
    yield case(make(2, 6, 2, 2), make(2, 6, 2, 2), make(6), num_groups=3, eps=0.1)
    yield case(make(0, 4), make(0, 4), make(4), num_groups=2)
    yield fails(make(2, 4), make(3, 4), None, error="both need one shape")


def _gradients(g: Any, input: Any, weight: Any, like: Any, num_groups: int, eps: float) -> tuple:
    slope, along, total = group_norm_gradient(g, input, weight, num_groups, eps)
    return fitting(((slope, like.input), (along, like.weight), (total, like.bias)))


# Joint because all three need the standardised input again.
group_norm.joint_vjp(_gradients)


@group_norm.examples
def _(make):
    yield case(make(2, 4), make(4), make(4), num_groups=2)
    yield case(make(2, 4, 3), make(4), None, num_groups=4)
    yield case(make(2, 6, 2, 2), make(6), make(6), num_groups=3, eps=0.1)
    yield case(make(2, 4, 3), None, None)
    yield fails(make(2, 4), None, None, num_groups=3, error="divisible by num_groups")
