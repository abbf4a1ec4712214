"""The closed vocabulary of dtype rules and shape rules that declarations choose from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from devtensor.core.dtype import (
    BOOL,
    COMPLEX,
    FLOAT,
    DType,
    bool_,
    default_dtype,
    float16,
    float32,
    float64,
    int64,
    promote,
    scalar_dtype,
)
from devtensor.core.errors import DTypeError
from devtensor.core.spec import Spec, broadcast_shapes

# How much an operand has to say in promotion: a Python scalar least, a tensor with dimensions most.
SCALAR, ZERO_DIM, TENSOR = range(3)


class Operand(NamedTuple):
    """What a dtype rule sees of one input."""

    dtype: DType
    level: int


class Types(NamedTuple):
    """What a dtype rule says: the dtype all promoted inputs are cast to (None: leave them), and the
    result's."""

    cast: DType | None
    out: DType | tuple[DType, ...]


def result_type(operands: Sequence[Operand]) -> DType:
    """PyTorch's promotion: a lower level widens the result only if its category is higher.

    Source: PyTorch's documented type promotion (tensors with dimensions, then zero-dimensional ones, then
    scalars).
    """
    result: DType | None = None
    for level in (TENSOR, ZERO_DIM, SCALAR):
        dtypes = [o.dtype for o in operands if o.level == level]
        if not dtypes:
            continue
        found = dtypes[0]
        for dtype in dtypes[1:]:
            found = promote(found, dtype)
        result = found if result is None else widened(result, found)
    if result is None:
        raise DTypeError("[result_type] got no operand; give at least one tensor or number")
    return result


def widened(result: DType, lower: DType) -> DType:
    """What `result` becomes beside an operand of a lower level: another only for a higher category."""
    if lower.category <= result.category:
        return result
    if lower.category == COMPLEX and result.category == FLOAT:
        return result.to_complex()
    return lower


def promoted(op: str, operands: Sequence[Operand], params: tuple) -> Types:
    """All inputs meet in their common dtype, which is the result's."""
    common = result_type(operands)
    return Types(common, common)


def floating(op: str, operands: Sequence[Operand], params: tuple) -> Types:
    """Like `promoted`; integers and bools become the default floating dtype first."""
    common = result_type(operands)
    common = common if common.differentiable else default_dtype()
    return Types(common, common)


def only_floating(op: str, operands: Sequence[Operand], params: tuple) -> Types:
    """Like `promoted`, and bool and integers are refused."""
    common = result_type(operands)
    if not common.differentiable:
        raise DTypeError(
            f"[{op}] got {common.name}; it needs floating-point input; convert with .float() first"
        )
    return Types(common, common)


def integral(op: str, operands: Sequence[Operand], params: tuple) -> Types:
    """Like `promoted`, and floating point is refused."""
    common = result_type(operands)
    if common.differentiable:
        raise DTypeError(f"[{op}] got {common.name}; it takes bool and integers; convert with .long() first")
    return Types(common, common)


def numeric(op: str, operands: Sequence[Operand], params: tuple) -> Types:
    """Like `promoted`, and bool is refused."""
    common = result_type(operands)
    if common.category == BOOL:
        raise DTypeError(f"[{op}] does not take bool; use the logical or bitwise ops, or convert with .int()")
    return Types(common, common)


def real_of(rule: Callable[..., Types]) -> Callable[..., Types]:
    """The rule, but of complex input the result has the dtype of its parts."""

    def real_result(op: str, operands: Sequence[Operand], params: tuple) -> Types:
        types = rule(op, operands, params)
        return Types(types.cast, types.out.to_real())  # type: ignore[union-attr]

    return real_result


def parts_of(op: str, operands: Sequence[Operand], params: tuple) -> Types:
    """The result has the dtype of a complex input's parts."""
    dtype = operands[0].dtype
    if not dtype.is_complex:
        raise DTypeError(f"[{op}] got {dtype.name}; it is only for complex tensors; use a real one as it is")
    return Types(dtype, dtype.to_real())


def complex_of(op: str, operands: Sequence[Operand], params: tuple) -> Types:
    """The result is complex, with parts of the inputs' one dtype: float64, float32, or float16 made wider."""
    dtypes = {o.dtype for o in operands}
    if len(dtypes) > 1 or not dtypes <= {float16, float32, float64}:
        names = " and ".join(o.dtype.name for o in operands)
        raise DTypeError(
            f"[{op}] got {names}; it needs float16, float32 or float64, all of one dtype; convert with "
            ".to(dtype)"
        )
    made = dtypes.pop().to_complex()
    return Types(made.to_real(), made)


def boolean(op: str, operands: Sequence[Operand], params: tuple) -> Types:
    """Inputs meet in their common dtype; the result is bool."""
    return Types(result_type(operands), bool_)


def index64(op: str, operands: Sequence[Operand], params: tuple) -> Types:
    """The result is int64 whatever the input."""
    return Types(None, int64)


def accumulated(op: str, operands: Sequence[Operand], params: tuple) -> Types:
    """Bools and integers are summed as int64, floating point as itself."""
    dtype = operands[0].dtype
    dtype = dtype if dtype.differentiable else int64
    return Types(dtype, dtype)


def same(op: str, operands: Sequence[Operand], params: tuple) -> Types:
    """All inputs must have one dtype already, which is the result's."""
    dtypes = {o.dtype for o in operands if o.level != SCALAR} or {o.dtype for o in operands}
    if len(dtypes) > 1:
        names = ", ".join(sorted(d.name for d in dtypes))
        raise DTypeError(f"[{op}] got {names}; all inputs must have one dtype; convert with .to(dtype) first")
    dtype = dtypes.pop()
    return Types(dtype, dtype)


def given(op: str, operands: Sequence[Operand], params: tuple) -> Types:
    """The result has the dtype that the parameters name."""
    return Types(None, next(p for p in params if isinstance(p, DType)))


def broadcast(op: str, inputs: Sequence[Spec], params: tuple) -> tuple[int, ...]:
    """All inputs stretch to one shape."""
    return broadcast_shapes(op, [i.shape for i in inputs if i is not None])


def same_shape(op: str, inputs: Sequence[Spec], params: tuple) -> tuple[int, ...]:
    """The result has the first input's shape."""
    return inputs[0].shape


def sized(op: str, inputs: Sequence[Spec], params: tuple) -> tuple[int, ...]:
    """The first parameter is the result's shape."""
    return tuple(params[0])


def reduced(op: str, inputs: Sequence[Spec], params: tuple) -> tuple[int, ...]:
    """The dims named by the first parameter go, or stay with size 1 if the second, keepdim, is true."""
    dims, keepdim = params[0], params[1]
    dims = (dims,) if isinstance(dims, int) else dims
    shape = inputs[0].shape
    if keepdim:
        return tuple(1 if d in dims else size for d, size in enumerate(shape))
    return tuple(size for d, size in enumerate(shape) if d not in dims)


def literal_operand(value: Any) -> Operand:
    """How a Python scalar takes part in promotion."""
    category = 0 if value is bool else 1 if issubclass(value, int) else 3 if value is complex else 2
    return Operand(scalar_dtype(category), SCALAR)


def as_tuple(result: Any) -> tuple:
    """A rule's result as one entry per output."""
    return tuple(result) if isinstance(result, list) else (result,)
