"""Products and powers of matrices in the spellings of torch.linalg."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from devtensor.core.dtype import BOOL, int64
from devtensor.core.errors import DTypeError, OptionError, ShapeError
from devtensor.core.precision import one_op
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.formats import copied, in_order
from devtensor.functions.out import into, into_exactly
from devtensor.functions.products import cross_product
from devtensor.linalg.factors import constant_of
from devtensor.linalg.solutions import check_square, inv
from devtensor.ops import linalg as ops
from devtensor.ops import reduce, scans, solvers
from devtensor.ops.create import full
from devtensor.ops.join import cat
from devtensor.ops.matrices import identity_like
from devtensor.ops.parts import conjugate
from devtensor.ops.shape import as_shape, expand


def matmul(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The matrix product over the last two dims; vectors are rows or columns.

    Shapes: input (*B, N, K), other (*B, K, M) -> (*B, N, M)
    """
    return into_exactly(out, ops.matmul(input, other))


@one_op("lower", name="linalg_vecdot")
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:
    """The sums of conj(x) times y along `dim`.

    Shapes: x (*S), y (*S), broadcast -> S without dim
    """
    if not x.dtype.differentiable:
        raise DTypeError(
            f"[linalg_vecdot] Expected a floating point or complex tensor as input. Got {x.dtype.name}; "
            "convert it"
        )
    if x.dtype is not y.dtype:
        raise DTypeError(
            f"[linalg_vecdot] got {x.dtype.name} and {y.dtype.name}; Expected both to have the same dtype; "
            "convert one with .to(dtype)"
        )
    return into_exactly(out, reduce.sum(conjugate(x) * y, dim))


def cross(input: Tensor, other: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:
    """Cross products of three-dimensional vectors along `dim`.

    Shapes: input (*S), other (*S), broadcast, with 3 elements along dim -> (*S)
    """
    return into_exactly(out, cross_product("linalg_cross", input, other, dim))


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of matrices as a view.

    Shapes: A (*B, M, N) -> (*B, min(M, N)) for the default dims
    """
    first, second = (normalize_dim("linalg_diagonal", d, A.array.ndim) for d in (dim1, dim2))
    if first == second:
        raise ShapeError(
            f"[linalg_diagonal] diagonal dimensions cannot be identical {dim1}, {dim2}; name two"
        )
    return A.diagonal(offset, first, second)


def matrix_exp(A: Tensor) -> Tensor:
    """The exponential of square matrices.

    Shapes: A (*B, N, N) -> (*B, N, N)
    """
    return solvers.matrix_exp(A)


def matrix_power(A: Tensor, n: int, *, out: Tensor | None = None) -> Tensor:
    """A times itself, `n` factors; of its inverse for negative `n`.

    Shapes: A (*B, N, N) -> (*B, N, N)
    Errors: LinAlgError if n is negative and A singular.
    """
    check_square("matrix_power", A)
    if n == 0:
        size = A.array.shape[-1]
        return into(out, in_order(constant_of(A, identity_like(A, size, size))))
    return into_exactly(out, _power(A if n > 0 else inv(A), abs(n)))


def _power(A: Tensor, n: int) -> Tensor:
    """By squares: as many products as n has binary digits, and ones among them."""
    if n == 1:
        return copied("matrix_power", A, "preserve_format")
    made: Tensor | None = None
    while True:
        if n % 2:
            made = A if made is None else made @ A
        n //= 2
        if not n:
            return made  # type: ignore[return-value]
        A = A @ A


@one_op("lower", name="linalg_multi_dot")
def multi_dot(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """The product of matrices in a row, taken in the order that needs the fewest multiplications; the first
    and the last may be vectors.

    Shapes: (N, K), (K, L), ..., (L, M) -> (N, M)
    Source: Cormen et al., Introduction to Algorithms, 15.2.
    """
    if len(tensors) < 2:
        raise OptionError(f"[linalg_multi_dot] expected at least 2 tensors but got {len(tensors)}")
    matrices = list(tensors)
    row, column = matrices[0].array.ndim == 1, matrices[-1].array.ndim == 1
    if row:
        matrices[0] = matrices[0][None]
    if column:
        matrices[-1] = matrices[-1][:, None]
    _check_chain(matrices)
    sizes = [matrices[0].array.shape[0], *(m.array.shape[1] for m in matrices)]
    found = _product(matrices, _best_cuts(sizes), 0, len(matrices) - 1)
    found = found[0] if row else found
    return into_exactly(out, found[..., 0] if column else found)


def _check_chain(matrices: list[Tensor]) -> None:
    for matrix in matrices:
        if matrix.array.ndim != 2 or matrix.kind is not matrices[0].kind:
            raise ShapeError(
                f"[linalg_multi_dot] {describe(matrix)} beside {describe(matrices[0])}: all tensors must be "
                "2D, the first and the last 1D or 2D, and have the same dtype and device"
            )
    for left, right in pairwise(matrices):
        if left.array.shape[1] != right.array.shape[0]:
            raise ShapeError(
                f"[linalg_multi_dot] tensors {describe(left)} and {describe(right)} cannot be multiplied; "
                "inner sizes must be equal"
            )


def _best_cuts(sizes: list[int]) -> dict[tuple[int, int], int]:
    """For each run of matrices, after which of them to cut it in two."""
    count = len(sizes) - 1
    cost: dict[tuple[int, int], int] = {(i, i): 0 for i in range(count)}
    cuts: dict[tuple[int, int], int] = {}
    for length in range(1, count):
        for start in range(count - length):
            stop = start + length
            choices = [
                (cost[start, k] + cost[k + 1, stop] + sizes[start] * sizes[k + 1] * sizes[stop + 1], k)
                for k in range(start, stop)
            ]
            cost[start, stop], cuts[start, stop] = min(choices)
    return cuts


def _product(matrices: list[Tensor], cuts: dict[tuple[int, int], int], start: int, stop: int) -> Tensor:
    if start == stop:
        return matrices[start]
    cut = cuts[start, stop]
    return _product(matrices, cuts, start, cut) @ _product(matrices, cuts, cut + 1, stop)


def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """Powers of each element, from 0 on.

    Shapes: x (*B, M) -> (*B, M, N); N is M if not given
    """
    if x.dtype.category == BOOL or (x.dtype.is_floating_point and x.dtype.bits < 32):
        raise DTypeError(
            f"[linalg_vander] supports floating point, complex, and integer tensors, but got {x.dtype.name}"
        )
    if (N is None and not x.array.ndim) or (N is not None and N <= 1):
        raise OptionError(f"[linalg_vander] N is {N} for {describe(x)}; N must be greater than 1")
    x = x if x.array.ndim else x[None]
    return powers(x, x.array.shape[-1] if N is None else N)


def powers(x: Tensor, count: int) -> Tensor:
    """The powers of each element from 0 on, below `count`, in a dim of their own behind the others."""
    shape = tuple(x.array.shape)
    dtype = x.dtype if x.dtype.differentiable else int64
    ones = full((*shape, 1), 1, dtype, x.device)
    if count < 2:
        return ones[..., :count]
    wide = expand(as_shape(x, (*shape, 1)), (*shape, count - 1))
    return cat(ones, scans.cumprod(wide, -1), dim=len(shape))
