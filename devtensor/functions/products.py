"""Products of vectors, matrices and tensors."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from devtensor.core.errors import ShapeError
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.arithmetic import inplace_form, into
from devtensor.ops import linalg, reduce
from devtensor.ops.lengths import vector_norm
from devtensor.ops.linalg import matmul
from devtensor.ops.shape import as_shape, diagonal, permute, roll

__all__ = [
    "addbmm",
    "addmm",
    "addmv",
    "addr",
    "baddbmm",
    "bmm",
    "cdist",
    "chain_matmul",
    "cross",
    "dist",
    "dot",
    "ger",
    "inner",
    "kron",
    "matmul",
    "mm",
    "mv",
    "norm",
    "outer",
    "tensordot",
    "trace",
    "vdot",
]


def _ranked(name: str, left: int, right: int, shapes: str, op: Callable = matmul) -> Callable:
    """A product that takes tensors of exactly these numbers of dimensions."""

    def product(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
        linalg.check_ranks(name, input.array.shape, other.array.shape, left, right)
        return into(out, op(input, other))

    product.__name__ = product.__qualname__ = name
    product.__doc__ = f"Product of {left}-d `input` and {right}-d `other`.\n\nShapes: {shapes}"
    return product


mm = _ranked("mm", 2, 2, "input (N, K), other (K, M) -> (N, M)")
bmm = _ranked("bmm", 3, 3, "input (B, N, K), other (B, K, M) -> (B, N, M)")
mv = _ranked("mv", 2, 1, "input (N, K), other (K,) -> (N,)", linalg.mv)
dot = _ranked("dot", 1, 1, "input (K,), other (K,) -> ()", linalg.dot)
vdot = dot


def outer(input: Tensor, vec2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """All products of an element of one vector and one of the other.

    Shapes: input (N,), vec2 (M,) -> (N, M)
    """
    if input.array.ndim != 1 or vec2.array.ndim != 1:
        raise ShapeError(f"[outer] expected 1-D vectors, got {describe(input)} and {describe(vec2)}")
    return into(out, as_shape(input, (input.array.shape[0], 1)) * vec2)


def inner(input: Tensor, other: Tensor) -> Tensor:
    """Sums of products over the last dims.

    Shapes: input (*A, K), other (*B, K) -> (*A, *B)
    """
    if not input.array.ndim or not other.array.ndim:
        return input * other
    return tensordot(input, other, ([-1], [-1]))


def _weighted(name: str, product: Callable, doc: str) -> Callable:
    """beta * input + alpha * product; input is not read if beta is 0."""

    def weighted(
        input: Tensor,
        first: Tensor,
        second: Tensor,
        *,
        beta: Any = 1,
        alpha: Any = 1,
        out: Tensor | None = None,
    ) -> Tensor:
        made = product(first, second)
        made = made if alpha == 1 else made * alpha
        if beta != 0:
            made = made + (input if beta == 1 else input * beta)
        return into(out, made)

    weighted.__name__ = weighted.__qualname__ = name
    weighted.__doc__ = f"beta * input + alpha * ({doc})."
    return weighted


addmm = _weighted("addmm", mm, "product of two matrices")
addmv = _weighted("addmv", mv, "product of a matrix and a vector")
addr = _weighted("addr", outer, "outer product of two vectors")
baddbmm = _weighted("baddbmm", bmm, "products of two batches of matrices")
addbmm = _weighted(
    "addbmm", lambda a, b: reduce.sum(bmm(a, b), 0), "sum of the products of two batches of matrices"
)


def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of matrices in a row."""
    made = matrices[0]
    for matrix in matrices[1:]:
        made = mm(made, matrix)
    return made


def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """Sums of products over pairs of dims: the last of `a` with the first of `b`, or those listed.

    Shapes: dims an int n: a (*A, *K), b (*K, *B) with n dims in K -> (*A, *B); or two lists of dims
    Errors: ShapeError if paired sizes differ.
    """
    left, right = _paired(a, b, dims)
    if any(a.array.shape[i] != b.array.shape[j] for i, j in zip(left, right, strict=True)):
        raise ShapeError(
            f"[tensordot] {describe(a)} over dims {left}, {describe(b)} over {right}: paired sizes must be "
            "equal"
        )
    free_a = [d for d in range(a.array.ndim) if d not in left]
    free_b = [d for d in range(b.array.ndim) if d not in right]
    rows = tuple(a.array.shape[d] for d in free_a)
    columns = tuple(b.array.shape[d] for d in free_b)
    middle = prod([a.array.shape[d] for d in left])
    first = as_shape(permute(a, (*free_a, *left)), (prod(rows), middle))
    second = as_shape(permute(b, (*right, *free_b)), (middle, prod(columns)))
    return as_shape(matmul(first, second), (*rows, *columns))


def _paired(a: Tensor, b: Tensor, dims: Any) -> tuple[list[int], list[int]]:
    if isinstance(dims, int):
        return list(range(a.array.ndim - dims, a.array.ndim)), list(range(dims))
    lists = [[d] if isinstance(d, int) else list(d) for d in dims]
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
    return as_shape(thin * wide, tuple(a * b for a, b in zip(left, right, strict=True)))


def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal."""
    if input.array.ndim != 2:
        raise ShapeError(f"[trace] expected a matrix, but got {describe(input)}")
    return reduce.sum(diagonal(input))


def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """Cross products of three-dimensional vectors along `dim`; without it, the first dim of size 3."""
    shape = tuple(input.array.shape)
    at = (
        shape.index(3)
        if dim is None and 3 in shape
        else normalize_dim("cross", -1 if dim is None else dim, len(shape))
    )
    if shape[at] != 3 or other.array.shape[at] != 3:
        raise ShapeError(
            f"[cross] {describe(input)}, {describe(other)}: inputs dimension {at} must have length 3"
        )

    def turned(t: Tensor, n: int) -> Tensor:
        return roll(t, (-n,), (at,))

    return turned(input, 1) * turned(other, 2) - turned(input, 2) * turned(other, 1)


def norm(
    input: Tensor,
    p: Any = "fro",
    dim: Any = None,
    keepdim: bool = False,
    out: Tensor | None = None,
    dtype: Any = None,
    *,
    axis: Any = None,
) -> Tensor:
    """The p-norm over `dim`: (sum |x|^p)^(1/p); inf: the largest, -inf: the smallest, 0: how many are not 0.

    Shapes: input (*S) -> S without dim; all dims if dim is None
    """
    dim = axis if dim is None else dim
    x = input if dtype is None else input.to(dtype)
    return into(out, vector_norm(x, dim, keepdim, 2 if p in ("fro", None) else p))


def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of the difference."""
    return vector_norm(input - other, p=p)


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: Any = None) -> Tensor:
    """The p-norm of the difference of every row of one and every row of the other.

    Shapes: x1 (*B, N, D), x2 (*B, M, D) -> (*B, N, M)
    """
    left = as_shape(x1, (*x1.array.shape[:-1], 1, x1.array.shape[-1]))
    right = as_shape(x2, (*x2.array.shape[:-2], 1, *x2.array.shape[-2:]))
    return vector_norm(left - right, -1, p=p)


ger = outer


ADDED = (addbmm, addmm, addmv, addr, baddbmm)
PLAIN = (bmm, cross, dist, dot, inner, kron, mm, mv, norm, outer, trace, vdot)
METHODS: dict[str, Callable] = {f.__name__: f for f in (*ADDED, *PLAIN)} | {"ger": outer}
METHODS |= {f"{f.__name__}_": inplace_form(f) for f in ADDED}
