"""Rules for convolution and pooling, whose inputs count examples of their own."""

from __future__ import annotations

from typing import Any

from devtensor.batching.rules import Flags, Rule, Values, count_of, run, spread
from devtensor.core.dispatch import call
from devtensor.core.op import Op
from devtensor.core.tensor import Tensor
from devtensor.ops.shape import as_shape


def examples_merged(op: Op, values: Values, batched: Flags, params: tuple) -> Any:
    """Ops whose dim 0 counts examples of its own: both counts become one."""
    count, own = values[0].array.shape[:2]
    return _divided(call(op, tuple(map(_first_merged, spread(values, batched))), params), count, own)


def _divided(result: Any, count: int, own: int) -> Any:
    if isinstance(result, tuple):
        return tuple([_divided(one, count, own) for one in result])
    return as_shape(result, (count, own, *result.array.shape[1:]))


def convolution(op: Op, values: Values, batched: Flags, params: tuple) -> Any:
    """Convolution and its derivatives: by one weight, more examples; by a weight for each, more groups."""
    if op.name != "convolution_grad_weight" and not any(batched[1:]):
        count, own = values[0].array.shape[:2]
        merged = as_shape(values[0], (count * own, *values[0].array.shape[2:]))
        if op.name == "convolution_grad_input":
            params = ((count * own, *params[0][1:]), *params[1:])
        return _divided(call(op, (merged, *values[1:]), params), count, own)
    count, (first, second) = count_of(values, batched), spread(values, batched)
    weights = op.name == "convolution_grad_weight"
    merged = (_beside(first), _beside(second) if weights else _first_merged(second))
    *kept, groups = params
    if weights:
        kept[0] = (count * kept[0][0], *kept[0][1:])
    elif op.name == "convolution_grad_input":
        kept[0] = (kept[0][0], count * kept[0][1], *kept[0][2:])
    made = call(op, merged, (*kept, groups * count))
    if weights:
        return _divided(made, count, made.array.shape[0] // count)
    own, channels, *sizes = made.array.shape
    apart = as_shape(made, (own, count, channels // count, *sizes))
    return run("permute", apart, dims=(1, 0, *range(2, apart.array.ndim)))


def _beside(value: Tensor) -> Tensor:
    """The channels of all examples beside each other: (B, N, C, *S) as (N, B * C, *S)."""
    turned = run("permute", value, dims=(1, 0, *range(2, value.array.ndim)))
    own, count, channels, *sizes = turned.array.shape
    return as_shape(turned, (own, count * channels, *sizes))


def _first_merged(value: Tensor) -> Tensor:
    count, first, *sizes = value.array.shape
    return as_shape(value, (count * first, *sizes))


def max_pool_grad(op: Op, values: Values, batched: Flags, params: tuple) -> Any:
    count, (own, *rest) = count_of(values, batched), params[0]
    merged = tuple(map(_first_merged, spread(values, batched)))
    return _divided(call(op, merged, ((count * own, *rest),)), count, own)


IMAGES: dict[str, Rule] = {
    **dict.fromkeys(("max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool"), examples_merged),
    **dict.fromkeys(("convolution", "convolution_grad_input", "convolution_grad_weight"), convolution),
    "max_pool_grad": max_pool_grad,
}
