"""What ops on matrices share: their dtypes, the checks of their shapes, and parts of matrices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from devtensor.core.dtype import FLOAT, int32, int64
from devtensor.core.errors import DTypeError, ShapeError
from devtensor.core.op import OWN, primitive
from devtensor.core.placement import MATRICES
from devtensor.core.rules import Operand, Types
from devtensor.core.spec import Spec
from devtensor.ops.compare import eq, where
from devtensor.ops.create import arange, cast
from devtensor.ops.examples import case, fails
from devtensor.ops.linalg import transposed
from devtensor.ops.parts import conjugate
from devtensor.ops.shape import as_shape, getitem

matrices = partial(primitive, eager=True, complex=OWN, amp="float32", placement=MATRICES)


def field(op: str, operands: Sequence[Operand], params: tuple) -> Types:
    """float32, float64 or their complex counterparts, the same in all inputs and in the result."""
    found = {operand.dtype for operand in operands}
    names = ", ".join(sorted(dtype.name for dtype in found))
    if len(found) > 1:
        raise DTypeError(f"[{op}] got {names}; all inputs must have one dtype; convert with .to(dtype) first")
    common = found.pop()
    if common.category < FLOAT:
        raise DTypeError(
            f"[{op}] Expected a floating point or complex tensor as input. Got {names}; convert with .float()"
        )
    if common.to_real().bits < 32:
        raise DTypeError(f"[{op}] Low precision dtypes not supported. Got {names}; convert with .float()")
    return Types(common, common)


def real_field(op: str, operands: Sequence[Operand], params: tuple) -> Types:
    """Of the same precision, and real."""
    common = field(op, operands, params).cast
    return Types(common, common.to_real())  # type: ignore[union-attr]


def complex_field(op: str, operands: Sequence[Operand], params: tuple) -> Types:
    """Of the same precision, and complex."""
    common = field(op, operands, params).cast
    return Types(common, common.to_complex())  # type: ignore[union-attr]


def counted(op: str, operands: Sequence[Operand], params: tuple) -> Types:
    """Places of rows and columns, in int32 as LAPACK has them."""
    return Types(None, int32)


def matrix_of(op: str, spec: Spec) -> tuple[tuple[int, ...], int, int]:
    """Batch dims, rows and columns.

    Errors: ShapeError for less than two dims.
    """
    if len(spec.shape) < 2:
        raise ShapeError(
            f"[{op}] The input tensor A must have at least 2 dimensions; got shape {spec.shape}; add dims"
        )
    return spec.shape[:-2], spec.shape[-2], spec.shape[-1]


def square_of(op: str, spec: Spec) -> tuple[tuple[int, ...], int]:
    """Batch dims and size.

    Errors: ShapeError unless rows and columns are as many.
    """
    batch, rows, columns = matrix_of(op, spec)
    if rows != columns:
        raise ShapeError(
            f"[{op}] A must be batches of square matrices, but they are {rows} by {columns} matrices: got "
            f"shape {spec.shape}"
        )
    return batch, rows


def same_square(op: str, inputs: Any, params: tuple) -> tuple[int, ...]:
    """The result is as large as the square input."""
    square_of(op, inputs[0])
    return inputs[0].shape


def identity_like(x: Any, rows: int, columns: int) -> Any:
    """Ones on the diagonal of one matrix, of the dtype and device of `x`."""
    down, across = (arange(0, 1, size, int64, x.kind.device) for size in (rows, columns))
    return cast(eq(as_shape(down, (rows, 1)), across), x.kind.dtype)


def with_diagonal(x: Any, values: Any) -> Any:
    """Square matrices with their diagonal replaced by `values`, one of them for each row."""
    return where(_on_diagonal(x, x.array.shape[-1]), as_shape(values, (*values.array.shape, 1)), x)


def _on_diagonal(x: Any, size: int) -> Any:
    line = arange(0, 1, size, int64, x.kind.device)
    return eq(as_shape(line, (size, 1)), line)


def columns(x: Any, start: Any, stop: Any) -> Any:
    """The columns from `start` to `stop`."""
    return getitem(x, (*(slice(None),) * (x.array.ndim - 1), slice(start, stop)))


def rows(x: Any, start: Any, stop: Any) -> Any:
    """The rows from `start` to `stop`."""
    return getitem(x, (*(slice(None),) * (x.array.ndim - 2), slice(start, stop)))


def adjoint(x: Any) -> Any:
    """The conjugated transpose of each matrix."""
    return conjugate(transposed(x))


def any_matrices(make: Any) -> Iterator[Any]:
    """Examples for an op that takes matrices apart: tall, wide, in batches, empty."""
    yield case(make(4, 3, distinct=True))
    yield case(make(2, 3, 3, distinct=True))
    yield case(make(2, 5, distinct=True))
    yield case(make(3, 4, layout="transposed", distinct=True))
    yield case(make(0, 3))
    yield fails(make(3), error="at least 2 dimensions")


def smallest_squares(make: Any) -> Iterator[Any]:
    """Examples of one number by one: of larger ones only one triangle is read, or the order is free."""
    for dtype in ("float32", "float64"):
        yield case(make(1, 1, low=1, high=2, dtype=dtype))
        yield case(make(2, 1, 1, low=1, high=2, dtype=dtype))
        yield case(make(0, 0, dtype=dtype))
    yield fails(make(2, 3), error="batches of square matrices")
