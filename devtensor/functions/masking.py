"""Masks: choosing between values, filling and reading where a condition holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import COMPLEX, FLOAT, bool_, uint8
from devtensor.core.errors import ArgumentTypeError, DeviceError, DTypeError, ShapeError
from devtensor.core.holding import ALWAYS, held, held_or_infinite
from devtensor.core.inplace import copy_into
from devtensor.core.overlap import refuse_overlap, refuse_partial
from devtensor.core.spec import broadcast_shapes
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.arithmetic import number
from devtensor.functions.comparing import result_type
from devtensor.functions.expanded import fill_where
from devtensor.functions.formats import in_order
from devtensor.functions.indexing import get
from devtensor.functions.out import into_exactly
from devtensor.functions.selecting import nonzero, values_are_free
from devtensor.ops import compare, reduce
from devtensor.ops.create import cast, full
from devtensor.ops.index import index_select
from devtensor.ops.scans import cumsum
from devtensor.ops.shape import as_shape, expand

__all__ = ["masked_fill", "masked_scatter", "masked_select", "where"]


def where(condition: Tensor, input: Any = None, other: Any = None, *, out: Tensor | None = None) -> Any:
    """`input` where `condition` holds, else `other`; with the condition alone, the places where it holds."""
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    return into_exactly(out, _chosen(condition, input, other))


def where_method(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    """`self` where `condition` holds, else `other`."""
    return _chosen(condition, self, other)


def _chosen(condition: Any, input: Any, other: Any) -> Tensor:
    if not isinstance(condition, Tensor) or input is None or other is None:
        raise ArgumentTypeError(
            f"[where] got {describe(condition)}, {describe(input)}, {describe(other)}; it needs a condition "
            "and two values"
        )
    if condition.kind.dtype is uint8:
        condition = cast(condition, bool_)
    return compare.where(condition, _beside(number(input), other), _beside(number(other), input))


def _beside(value: Any, other: Any) -> Any:
    """A value; a number must be one of the dtype that the result has beside the other value."""
    if not isinstance(value, (int, float, complex)) or abs(value) <= ALWAYS:
        return value
    return held_or_infinite("where", value, result_type(value, number(other)))


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """`input` with `value`, in the input's dtype, where `mask` holds.

    Shapes: input (*A), mask (*B) -> broadcast(*A, *B)
    Errors: ShapeError for a value with dimensions, DTypeError unless the mask is bool.
    """
    return in_order(_filled(input, mask, value))


def _filled(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    _only_bool("masked_fill", mask)
    return compare.where(mask, _single("masked_fill", input, value), input)


def masked_fill_(self: Tensor, mask: Tensor, value: Any) -> Tensor:
    """In-place form of `masked_fill`; a target that is expanded is deprecated."""
    _only_bool("masked_fill_", mask)
    _only_its_shape("masked_fill_", self, mask)
    refuse_partial("masked_fill_", self, mask)
    return fill_where("masked_fill_", self, mask, _single("masked_fill_", self, value))


def _only_its_shape(op: str, self: Tensor, mask: Tensor) -> None:
    shape = broadcast_shapes(op, [tuple(self.array.shape), tuple(mask.array.shape)])
    if shape != tuple(self.array.shape):
        raise ShapeError(
            f"[{op}] output with shape {list(self.array.shape)} doesn't match the broadcast shape "
            f"{list(shape)}"
        )


def _only_bool(op: str, mask: Tensor) -> None:
    if mask.kind.dtype is not bool_:
        raise DTypeError(
            f"[{op}] {op} only supports boolean masks, but got mask {describe(mask)}; convert with .bool()"
        )


def _single(op: str, input: Tensor, value: Any) -> Any:
    """A value in the input's dtype, so that filling never widens."""
    value = number(value)
    if value.__class__ in (int, float) and input.kind.dtype.category == FLOAT:
        return held(op, value, input.kind.dtype)
    if not isinstance(value, Tensor):
        if isinstance(value, complex) and input.dtype.category != COMPLEX:
            _refuse_complex(op, input, value)
        return full((), held(op, value, input.dtype), input.dtype, input.device)
    if value.array.ndim:
        raise ShapeError(
            f"[{op}] {op} only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.array.ndim} dimension(s)"
        )
    if value.dtype.category == COMPLEX and input.dtype.category != COMPLEX:
        _refuse_complex(op, input, value)
    return value.to(input.device, input.dtype)


def _refuse_complex(op: str, input: Tensor, value: Any) -> None:
    raise DTypeError(f"[{op}] value {describe(value)} cannot be converted to type {input.dtype.name}")


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where `mask` holds, in C order, in one dim.

    Shapes: input (*A), mask (*B), broadcast together -> (count,)
    Errors: DeviceError unless both lie on one device.
    """
    _only_bool("masked_select", mask)
    if not (input.kind.device.under or mask.kind.device.under) and mask.kind.device is not input.kind.device:
        raise DeviceError(
            "[masked_select] Expected all tensors to be on the same device, but found at least two devices, "
            f"{input.device} and {mask.device}: input is on {input.device}, mask is on {mask.device}"
        )
    shape = broadcast_shapes("masked_select", [tuple(input.array.shape), tuple(mask.array.shape)])
    if not shape:
        input, mask = as_shape(input, (1,)), as_shape(mask, (1,))
    return get(expand(input, shape or (1,)), expand(mask, shape or (1,)))


def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """`input` with the elements of `source`, in order, where `mask` holds.

    Shapes: input (*A), mask (*B), source: as many elements as the mask holds -> broadcast(*A, *B)
    Errors: ShapeError if `source` has fewer elements than `mask` holds.
    """
    if source.dtype is not input.dtype:
        raise DTypeError(
            f"[masked_scatter] expected self and source to have same dtypes but got {input.dtype.name} and "
            f"{source.dtype.name}"
        )
    _only_bool("masked_scatter", mask)
    shape = broadcast_shapes("masked_scatter", [tuple(input.array.shape), tuple(mask.array.shape)])
    mask, input = expand(mask, shape), expand(input, shape)
    count = source.shape.numel()
    if values_are_free(mask) and int(reduce.sum(mask)) > count:
        raise ShapeError("[masked_scatter] Number of elements of source < number of ones in mask")
    if not count:
        return in_order(compare.where(mask, cast(reduce.sum(source), input.dtype), input))
    order = cumsum(as_shape(mask, (mask.shape.numel(),)), 0) - 1
    order = compare.where(order < 0, 0, order)
    taken = index_select(as_shape(source, (count,)), order, 0)
    return in_order(compare.where(mask, as_shape(taken, shape), input))


def masked_scatter_(self: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """In-place form of `masked_scatter`."""
    made = masked_scatter(self, mask, source)
    _only_its_shape("masked_scatter_", self, mask)
    refuse_overlap("masked_scatter_", self)
    refuse_partial("masked_scatter_", self, mask)
    return copy_into(self, made)


METHODS: dict[str, Callable] = {
    f.__name__: f for f in (masked_fill, masked_fill_, masked_scatter, masked_scatter_, masked_select)
} | {"where": where_method}
