"""Products of vectors, matrices and tensors."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from devtensor.core.dtype import BOOL
from devtensor.core.errors import ArgumentError, DTypeError, ShapeError
from devtensor.core.precision import one_op
from devtensor.core.spec import broadcast_shapes, normalize_dim
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.formats import product
from devtensor.functions.out import into, into_exactly, into_exactly_another
from devtensor.functions.shaping import view
from devtensor.ops import linalg, reduce
from devtensor.ops.create import cast
from devtensor.ops.linalg import matmul
from devtensor.ops.parts import conjugate
from devtensor.ops.shape import as_shape, diagonal, expand, permute, roll

__all__ = [
    "bmm",
    "cross",
    "dot",
    "ger",
    "inner",
    "kron",
    "matmul",
    "mm",
    "mv",
    "outer",
    "spmm",
    "tensordot",
    "trace",
    "vdot",
]


@one_op("lower")
def mm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Product of two matrices.

    Shapes: input (N, K), mat2 (K, M) -> (N, M)
    """
    linalg.check_ranks("mm", input.array.shape, mat2.array.shape, 2, 2)
    return into_exactly(out, matmul(input, mat2))


@one_op("lower")
def bmm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Products of matrices, pair by pair.

    Shapes: input (B, N, K), mat2 (B, K, M) -> (B, N, M)
    """
    linalg.check_ranks("bmm", input.array.shape, mat2.array.shape, 3, 3)
    if input.array.shape[0] != mat2.array.shape[0]:
        raise ShapeError(
            f"[bmm] {describe(input)}, {describe(mat2)}: expected as many matrices in both; use matmul()"
        )
    return into_exactly(out, matmul(input, mat2))


@one_op("lower")
def mv(input: Tensor, vec: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Matrix times vector.

    Shapes: input (N, K), vec (K,) -> (N,)
    """
    return into_exactly(out, linalg.mv(input, vec))


def dot(input: Tensor, tensor: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Sum of the products of two vectors' elements.

    Shapes: input (K,), tensor (K,) -> ()
    """
    return into_exactly(out, linalg.dot(input, tensor))


@one_op("widest")
def vdot(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Sum of the products of the elements of conj(input) and other.

    Shapes: input (K,), other (K,) -> ()
    """
    return into_exactly(out, linalg.dot(conjugate(input), other))


def outer(input: Tensor, vec2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """All products of an element of one vector and one of the other.

    Shapes: input (N,), vec2 (M,) -> (N, M)
    """
    if input.array.ndim != 1 or vec2.array.ndim != 1:
        raise ShapeError(f"[outer] expected 1-D vectors, got {describe(input)} and {describe(vec2)}")
    return into(out, as_shape(input, (input.array.shape[0], 1)) * vec2)


def inner(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Sums of products over the last dims.

    Shapes: input (*A, K), other (*B, K) -> (*A, *B)
    """
    if not input.array.ndim or not other.array.ndim:
        return into(out, input * other)
    if input.array.shape[-1] != other.array.shape[-1]:
        raise ShapeError(
            f"[inner] {describe(input)}, {describe(other)}: the last dimensions must match in size"
        )
    return into_exactly(out, tensordot(input, other, ([-1], [-1])))


@one_op("widest")
def tensordot(a: Tensor, b: Tensor, dims: Any = 2, out: Tensor | None = None) -> Tensor:
    """Sums of products over pairs of dims: the last of `a` with the first of `b`, or those listed.

    Shapes: dims an int n: a (*A, *K), b (*K, *B) with n dims in K -> (*A, *B); or two lists of dims
    Errors: ShapeError if paired sizes differ and neither is 1, DTypeError for inputs of two dtypes.
    """
    if a.kind.dtype is not b.kind.dtype:
        raise DTypeError(
            f"[tensordot] {describe(a)}, {describe(b)}: both inputs should have the same dtype; convert one "
            "with .to(dtype)"
        )
    left, right = _paired(a, b, dims)
    a, b = _matched(a, b, left, right), _matched(b, a, right, left)
    free_a = [d for d in range(a.array.ndim) if d not in left]
    free_b = [d for d in range(b.array.ndim) if d not in right]
    rows = tuple(a.array.shape[d] for d in free_a)
    columns = tuple(b.array.shape[d] for d in free_b)
    middle = prod([a.array.shape[d] for d in left])
    if left and prod(rows) == prod(columns) == 1:
        # One number: a scalar product, which autocast on the CPU leaves in its dtype.
        orders = ((a, (*free_a, *left)), (b, (*right, *free_b)))
        lines = [as_shape(permute(t, order), (middle,)) for t, order in orders]
        return into_exactly(out, as_shape(linalg.dot(*lines), (*rows, *columns)))
    first = as_shape(permute(a, (*free_a, *left)), (prod(rows), middle))
    second = as_shape(permute(b, (*right, *free_b)), (middle, prod(columns)))
    return into_exactly(out, as_shape(matmul(first, second), (*rows, *columns)))


def _matched(tensor: Tensor, other: Tensor, dims: list[int], others: list[int]) -> Tensor:
    """The tensor summed over its dims that are paired with one of size 1."""
    alone = []
    for dim, pair in zip(dims, others, strict=True):
        size, wanted = tensor.array.shape[dim], other.array.shape[pair]
        if size != wanted and 1 not in (size, wanted):
            raise ShapeError(
                f"[tensordot] {describe(tensor)} over dim {dim}, {describe(other)} over {pair}: paired sizes "
                "must be equal, or 1"
            )
        if wanted == 1 != size:
            alone.append(dim)
    if not alone:
        return tensor
    total = reduce.sum(tensor, tuple(alone), True)
    return total if total.kind is tensor.kind else cast(total, tensor.dtype)


def _paired(a: Tensor, b: Tensor, dims: Any) -> tuple[list[int], list[int]]:
    """The dims to sum over, of each.

    Errors: ShapeError for numbers of dims that do not fit.
    """
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.array.ndim, b.array.ndim):
            raise ShapeError(
                f"[tensordot] dims={dims} of {describe(a)} and {describe(b)}: expects 0 <= dims <= each "
                "number of dims"
            )
        return list(range(a.array.ndim - dims, a.array.ndim)), list(range(dims))
    lists = [[d] if isinstance(d, int) else list(d) for d in dims]
    if len(lists) != 2 or len(lists[0]) != len(lists[1]):
        raise ArgumentError(
            f"[tensordot] dims={dims}: both dimension lists should have same length; pair them"
        )
    return (
        [normalize_dim("tensordot", d, a.array.ndim) for d in lists[0]],
        [normalize_dim("tensordot", d, b.array.ndim) for d in lists[1]],
    )


def kron(input: Tensor, other: Tensor) -> Tensor:
    """Every element of `input` times the whole of `other`: the Kronecker product."""
    ndim = max(input.array.ndim, other.array.ndim)
    left = (*(1,) * (ndim - input.array.ndim), *input.array.shape)
    right = (*(1,) * (ndim - other.array.ndim), *other.array.shape)
    thin = as_shape(input, tuple(part for size in left for part in (size, 1)))
    wide = as_shape(other, tuple(part for size in right for part in (1, size)))
    return view(product(thin, wide), tuple(a * b for a, b in zip(left, right, strict=True)))


@one_op()
def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal."""
    if input.array.ndim != 2:
        raise ShapeError(f"[trace] expected a matrix, but got {describe(input)}")
    if input.dtype.category == BOOL:
        raise DTypeError("[trace] not implemented for bool; convert with .int()")
    return reduce.sum(diagonal(input))


@one_op("widest")
def cross(input: Tensor, other: Tensor, dim: int | None = None, *, out: Tensor | None = None) -> Tensor:
    """Cross products of three-dimensional vectors along `dim`; without it, the first dim of size 3.

    Shapes: input (*S), other (*S), broadcast -> (*S)
    """
    if dim is None:
        shape = tuple(input.array.shape)
        if 3 not in shape:
            raise ShapeError(f"[cross] {describe(input)}: no dimension of size 3 in input; pad it")
        dim = shape.index(3)
    return into_exactly_another(out, cross_product("cross", input, other, dim), (input, other))


def cross_product(op: str, input: Tensor, other: Tensor, dim: int) -> Tensor:
    """Cross products along a dim of size 3, all others broadcast.

    Errors: ShapeError for other sizes, or other numbers of dims.
    """
    given = f"[{op}] {describe(input)}, {describe(other)}"
    if input.dtype is not other.dtype:
        raise DTypeError(f"{given}: expected both of one dtype; convert one with .to(dtype)")
    if input.array.ndim != other.array.ndim:
        raise ShapeError(f"{given}: inputs must have the same number of dimensions; add some")
    at = normalize_dim(op, dim, input.array.ndim)
    if input.array.shape[at] != 3 or other.array.shape[at] != 3:
        raise ShapeError(f"{given}: inputs dimension {dim} must have length 3; name another")
    shape = broadcast_shapes(op, [tuple(input.array.shape), tuple(other.array.shape)])
    left, right = expand(input, shape), expand(other, shape)

    def turned(t: Tensor, n: int) -> Tensor:
        return roll(t, (-n,), (at,))

    return turned(left, 1) * turned(right, 2) - turned(left, 2) * turned(right, 1)


ger, spmm = outer, mm


PLAIN = (bmm, cross, dot, inner, kron, mm, mv, outer, trace, vdot)
METHODS: dict[str, Callable] = {f.__name__: f for f in PLAIN} | {"ger": outer}
