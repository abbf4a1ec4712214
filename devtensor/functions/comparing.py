"""Are two tensors equal, or nearly; and what dtypes and shapes meet in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from devtensor.core import dtype as dtypes
from devtensor.core.dtype import BOOL, DType, as_dtype
from devtensor.core.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from devtensor.core.rules import TENSOR, ZERO_DIM, Operand, literal_operand
from devtensor.core.rules import result_type as _result_type
from devtensor.core.spec import broadcast_shapes as _broadcast
from devtensor.core.tensor import Size, Tensor
from devtensor.functions.shaping import expand
from devtensor.ops.compare import eq, isfinite, isnan
from devtensor.ops.parts import abs
from devtensor.ops.reduce import all as all_of

__all__ = [
    "allclose",
    "broadcast_shapes",
    "broadcast_tensors",
    "can_cast",
    "equal",
    "isclose",
    "promote_types",
    "result_type",
]


def isclose(
    input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Whether |input - other| <= atol + rtol * |other|, element by element; infinities equal only themselves.

    Errors: DTypeError if dtypes differ.
    """
    if rtol < 0 or atol < 0:
        raise ArgumentError(
            f"[isclose] rtol must be greater than or equal to zero, and atol; got rtol={rtol}, atol={atol}"
        )
    if input.dtype is not other.dtype:
        raise DTypeError(
            f"[isclose] {input.dtype.name} did not match {other.dtype.name}; convert one of them first"
        )
    close: Any = eq(input, other)
    if input.dtype.category == BOOL:
        return close
    near = isfinite(input) & isfinite(other) & (abs(input - other) <= atol + rtol * abs(other))
    close = close | near
    return close | (isnan(input) & isnan(other)) if equal_nan else close


def allclose(
    input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether all elements are close; see `isclose`."""
    return bool(all_of(isclose(input, other, rtol, atol, equal_nan)))


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and equal elements."""
    return input.array.shape == other.array.shape and bool(all_of(eq(input, other)))


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that all of `shapes` stretch to.

    Errors: ShapeError if they do not.
    """
    given = [(shape,) if isinstance(shape, int) else tuple(shape) for shape in shapes]
    if any(size < 0 for shape in given for size in shape):
        raise ShapeError(f"[broadcast_shapes] shapes {given}: sizes must not be negative")
    return Size(_broadcast("broadcast_shapes", given)) if given else Size()


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """All tensors stretched to one shape, without copies."""
    for place, tensor in enumerate(tensors):
        if not isinstance(tensor, Tensor):
            raise ArgumentTypeError(
                f"[broadcast_tensors] argument {place} must be a Tensor, but got {type(tensor).__name__}; "
                "give the tensors one by one"
            )
    shape = broadcast_shapes(*(tuple(t.array.shape) for t in tensors))
    return tuple(t if t.array.shape == shape else expand(t, *shape) for t in tensors)


def promote_types(type1: DType, type2: DType) -> DType:
    """The dtype that holds values of both."""
    return dtypes.promote(as_dtype(type1), as_dtype(type2))


def result_type(tensor1: Any, tensor2: Any) -> DType:
    """The dtype of an arithmetic result of two tensors or numbers."""
    return _result_type([_operand(tensor1), _operand(tensor2)])


def common_dtype(tensors: Sequence[Any]) -> DType:
    """The dtype in which several tensors or numbers meet."""
    return _result_type([_operand(one) for one in tensors])


def _operand(value: Any) -> Operand:
    if isinstance(value, Tensor):
        return Operand(value.dtype, TENSOR if value.array.ndim else ZERO_DIM)
    if not isinstance(value, (bool, int, float, complex)):
        raise ArgumentTypeError(f"[result_type] got {value!r}; it needs Tensors or numbers")
    return literal_operand(type(value))


def can_cast(from_: DType, to: DType) -> bool:
    """Whether promotion lets values of one dtype be written into another: never from a higher category to a
    lower."""
    return as_dtype(from_).category <= as_dtype(to).category


METHODS: dict[str, Callable] = {"allclose": allclose, "equal": equal, "isclose": isclose}
