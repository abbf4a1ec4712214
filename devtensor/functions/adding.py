"""Products added to what is there: beta * input + alpha * product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import BOOL, FLOAT, INTEGER, DType, promote
from devtensor.core.errors import DTypeError, ShapeError
from devtensor.core.holding import computed_in, refuse_unheld
from devtensor.core.layout import elementwise_strides
from devtensor.core.precision import one_op
from devtensor.core.state import current
from devtensor.core.tensor import Tensor, describe, strides_of
from devtensor.functions.arithmetic import inplace_form
from devtensor.functions.formats import placed
from devtensor.functions.out import into, into_exactly
from devtensor.functions.products import bmm, mm, outer
from devtensor.ops import linalg, reduce
from devtensor.ops.create import cast
from devtensor.ops.shape import expand

__all__ = ["addbmm", "addmm", "addmv", "addr", "baddbmm"]


@one_op("lower")
def addmm(
    input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1, out: Tensor | None = None
) -> Tensor:
    """beta * input + alpha * (product of two matrices); `input` is not read if beta is 0.

    Shapes: input broadcast to (N, M), mat1 (N, K), mat2 (K, M) -> (N, M)
    """
    _same_dtype("addmm", input, mat1, mat2)
    return into_exactly(out, _added("addmm", input, mm(mat1, mat2), beta, alpha))


@one_op("lower")
def addmv(
    input: Tensor, mat: Tensor, vec: Tensor, *, beta: Any = 1, alpha: Any = 1, out: Tensor | None = None
) -> Tensor:
    """beta * input + alpha * (product of a matrix and a vector); `input` is not read if beta is 0.

    Shapes: input broadcast to (N,), mat (N, K), vec (K,) -> (N,)
    """
    _same_dtype("addmv", input, mat, vec)
    return into_exactly(out, _added("addmv", input, linalg.mv(mat, vec), beta, alpha))


@one_op("lower")
def addr(
    input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1, out: Tensor | None = None
) -> Tensor:
    """beta * input + alpha * (outer product of two vectors); `input` is not read if beta is 0.

    Shapes: input broadcast to (N, M), vec1 (N,), vec2 (M,) -> (N, M)
    """
    made = outer(vec1, vec2)
    dtype = promote(input.dtype, made.dtype)
    if dtype.category == INTEGER and any(isinstance(number, float) for number in (beta, alpha)):
        raise DTypeError(
            f"[addr] beta={beta}, alpha={alpha}: For integral input tensors, arguments must not be floating "
            "point numbers; convert the tensors with .float()"
        )
    made = made if made.dtype is dtype else cast(made, dtype)
    found = _added("addr", input, made, beta, alpha)
    operands = [(tuple(t.array.shape), strides_of(t)) for t in (input, made)]
    return into(out, placed(found, elementwise_strides(found.array.shape, operands)))


@one_op("lower")
def baddbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1, out: Tensor | None = None
) -> Tensor:
    """beta * input + alpha * (products of two batches of matrices); `input` is not read if beta is 0.

    Shapes: input broadcast to (B, N, M), batch1 (B, N, K), batch2 (B, K, M) -> (B, N, M)
    """
    _same_dtype("baddbmm", input, batch1, batch2)
    return into_exactly(out, _added("baddbmm", input, bmm(batch1, batch2), beta, alpha))


@one_op("lower")
def addbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1, out: Tensor | None = None
) -> Tensor:
    """beta * input + alpha * (sum of the products of two batches of matrices); `input` is not read if beta
    is 0.

    Shapes: input broadcast to (N, M), batch1 (B, N, K), batch2 (B, K, M) -> (N, M)
    """
    _same_dtype("addbmm", input, batch1, batch2)
    products = bmm(batch1, batch2)
    total = reduce.sum(products, 0)
    total = total if total.dtype is products.dtype else cast(total, products.dtype)
    return into_exactly(out, _added("addbmm", input, total, beta, alpha))


def _same_dtype(op: str, *tensors: Tensor) -> None:
    """Refuse mixed dtypes; a layer such as autocast may settle them, and the product itself refuses the rest.

    Errors: DTypeError that names them.
    """
    if current().layers:
        return
    if len({tensor.dtype for tensor in tensors}) > 1:
        given = ", ".join(tensor.dtype.name for tensor in tensors)
        raise DTypeError(f"[{op}] got {given}; all must have the same dtype; convert with .to(dtype) first")


def _added(op: str, input: Tensor, product: Tensor, beta: Any, alpha: Any) -> Tensor:
    """The weighted sum in the product's dtype, which autocast may have lowered; weights of integers are
    cut."""
    shape, dtype = tuple(product.array.shape), product.dtype
    refuse_unheld(op, computed_in(dtype), beta, alpha)
    beta, alpha = (_weight(number, dtype) for number in (beta, alpha))
    made = product if alpha == 1 else product * alpha
    try:
        input = input if input.array.shape == shape else expand(input, shape)
    except ShapeError as error:
        raise ShapeError(
            f"[{op}] input {describe(input)} does not broadcast to {shape}; give it that shape"
        ) from error
    if beta == 0:
        return made
    input = input if input.dtype is dtype else cast(input, dtype)
    return made + (input if beta == 1 else input * beta)


def _weight(number: Any, dtype: DType) -> Any:
    if dtype.category >= FLOAT:
        return number
    return bool(number) if dtype.category == BOOL else int(number)


ADDED = (addbmm, addmm, addmv, addr, baddbmm)
METHODS: dict[str, Callable] = {f.__name__: f for f in ADDED} | {
    f"{f.__name__}_": inplace_form(f) for f in ADDED
}
