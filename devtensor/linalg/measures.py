"""Norms, condition numbers and determinants in the spellings of torch.linalg."""

from __future__ import annotations

from math import inf
from typing import Any

from devtensor.core.dtype import as_dtype, promote
from devtensor.core.errors import ArgumentTypeError, DTypeError, IndexingError, OptionError, ShapeError
from devtensor.core.precision import one_op
from devtensor.core.spec import normalize_dim, normalize_dims
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.out import into, into_exactly
from devtensor.linalg import results
from devtensor.linalg.results import all_into
from devtensor.linalg.solutions import check_square, inv_ex
from devtensor.ops import determinants, lengths, reduce, spectra
from devtensor.ops.compare import eq, where
from devtensor.ops.create import cast, full
from devtensor.ops.shape import as_shape, permute


def det(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The determinant.

    Shapes: A (*B, N, N) -> (*B)
    """
    return into_exactly(out, determinants.linalg_det(A))


def slogdet(A: Tensor, *, out: Any = None) -> Any:
    """The determinant as its sign, or direction, and the logarithm of its size.

    Shapes: A (*B, N, N) -> sign (*B), logabsdet (*B)
    """
    return all_into(out, determinants.linalg_slogdet(A), results.linalg_slogdet)


@one_op("float32", name="linalg_vector_norm")
def vector_norm(
    x: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The norm of all numbers over `dim`: (sum |x|^ord)^(1/ord); inf: the largest, 0: how many are not 0.

    Shapes: x (*S) -> S without dim; all dims if dim is None
    """
    if not isinstance(ord, (int, float)):
        raise ArgumentTypeError(
            f"[linalg_vector_norm] ord is {ord!r}; it needs a number; use matrix_norm() for names"
        )
    x = in_dtype("linalg_vector_norm", x, dtype)
    if ord < 0 or ord == inf:
        _refuse_nothing(x, ord, dim)
    return into_exactly(out, _length(x, ord, dim, keepdim))


def in_dtype(op: str, x: Tensor, dtype: Any) -> Tensor:
    """`x` in the dtype that it is to be summed in.

    Errors: DTypeError unless both are floating or complex, and nothing is lost.
    """
    if not x.dtype.differentiable:
        raise DTypeError(
            f"[{op}] Expected a floating point or complex tensor as input. Got {x.dtype.name}; convert with "
            ".float()"
        )
    if dtype is None:
        return x
    wanted = as_dtype(dtype)
    if (
        not wanted.differentiable
        or wanted.is_complex != x.dtype.is_complex
        or promote(x.dtype, wanted) is not wanted
    ):
        raise DTypeError(
            f"[{op}] dtype is {wanted.name} for {describe(x)}; it must be of the same kind and no narrower; "
            "convert first"
        )
    return cast(x, wanted)


def _refuse_nothing(x: Tensor, ord: float, dim: Any) -> None:
    """Nothing has no largest or smallest number.

    Errors: ShapeError.
    """
    dims = normalize_dims("linalg_vector_norm", tuple(dim) if isinstance(dim, list) else dim, x.array.ndim)
    if any(x.array.shape[d] == 0 for d in dims):
        raise ShapeError(
            f"[linalg_vector_norm] cannot compute the {ord} norm on an empty dimension of {describe(x)} "
            "because the operation does not have an identity; give it elements"
        )


def _length(x: Tensor, ord: float, dim: Any, keepdim: bool) -> Tensor:
    dims = None if isinstance(dim, (list, tuple)) and not dim else dim
    dims = tuple(dims) if isinstance(dims, list) else dims
    return lengths.vector_norm(x, dims, keepdim, ord)


@one_op("float32", name="linalg_matrix_norm")
def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The norm of matrices in two dims: "fro", "nuc", or by columns (1, -1), rows (inf, -inf) or singular
    values (2, -2).

    Shapes: A (*S) -> S without the two dims
    """
    if A.array.ndim < 2:
        raise ShapeError(
            f"[linalg_matrix_norm] {describe(A)}: The input tensor A must have at least 2 dimensions"
        )
    x = in_dtype("linalg_matrix_norm", A, dtype)
    if isinstance(dim, int) or len(dim) != 2:
        raise ShapeError(f"[linalg_matrix_norm] dim must be a 2-tuple. Got {dim}; name rows and columns")
    first, second = (normalize_dim("linalg_matrix_norm", d, x.array.ndim) for d in dim)
    if first == second:
        raise ShapeError(
            f"[linalg_matrix_norm] dims must be different. Got {tuple(dim)}; name rows and columns"
        )
    return into_exactly(out, _matrix_norm(x, ord, first, second, keepdim))


def _matrix_norm(x: Tensor, ord: Any, first: int, second: int, keepdim: bool) -> Tensor:
    if isinstance(ord, str):
        if ord not in ("fro", "nuc"):
            raise OptionError(f"[linalg_matrix_norm] Order {ord} not supported; use 'fro', 'nuc' or a number")
        if ord == "fro":
            return _length(x, 2, (first, second), keepdim)
        return _over_singular_values(x, reduce.sum, first, second, keepdim)
    if not isinstance(ord, (int, float)):
        raise ArgumentTypeError(f"[linalg_matrix_norm] ord is {ord!r}; it needs a number, 'fro' or 'nuc'")
    if abs(ord) not in (1, 2, inf):
        raise OptionError(
            f"[linalg_matrix_norm] Order {ord} not supported; use 1, 2 or inf, or their negatives"
        )
    extreme = _largest if ord > 0 else _smallest
    if abs(ord) == 2:
        return _over_singular_values(x, extreme, first, second, keepdim)
    summed, left = (first, second) if abs(ord) == 1 else (second, first)
    found = extreme(_length(x, 1, summed, True), left, True)
    return found if keepdim else _without(found, first, second)


def _largest(x: Tensor, dim: int, keepdim: bool) -> Tensor:
    """The largest of norms, 0 of none."""
    return (reduce.amax if x.array.shape[dim] else reduce.sum)(x, dim, keepdim)


def _smallest(x: Tensor, dim: int, keepdim: bool) -> Tensor:
    """The smallest of norms.

    Errors: IndexingError for none.
    """
    if not x.array.shape[dim]:
        raise IndexingError(
            f"[linalg_matrix_norm] {describe(x)}: Expected reduction dim {dim} to have non-zero size; give "
            "it elements"
        )
    return reduce.amin(x, dim, keepdim)


def _over_singular_values(x: Tensor, function: Any, first: int, second: int, keepdim: bool) -> Tensor:
    rest = [d for d in range(x.array.ndim) if d not in (first, second)]
    values = spectra.linalg_svd(permute(x, (*rest, first, second)), False)[1]
    found = function(values, -1, False)
    if not keepdim:
        return found
    return as_shape(found, tuple(1 if d in (first, second) else n for d, n in enumerate(x.array.shape)))


def _without(x: Tensor, first: int, second: int) -> Tensor:
    return as_shape(x, tuple(n for d, n in enumerate(x.array.shape) if d not in (first, second)))


def norm(
    input: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, out: Tensor | None = None,
    dtype: Any = None,
) -> Tensor:  # fmt: skip
    """Of matrices where two dims are named, or `ord` without dims for a matrix; else of vectors.

    Shapes: input (*S) -> S without dim; all dims if dim and ord are None
    """
    dims = (dim,) if isinstance(dim, int) else dim
    if ord is None and dims != ():
        return vector_norm(input, 2, dims, keepdim, dtype=dtype, out=out)
    if dims is not None and len(dims) not in (1, 2):
        raise ShapeError(f"[linalg_norm] If dim is specified, it must be of length 1 or 2. Got {list(dims)}")
    if dims is None and input.array.ndim not in (1, 2):
        raise ShapeError(
            "[linalg_norm] If dim is not specified but ord is, the input must be 1D or 2D. Got "
            f"{input.array.ndim}D; give dim"
        )
    if (input.array.ndim if dims is None else len(dims)) == 2:
        return matrix_norm(input, ord, (-2, -1) if dims is None else dims, keepdim, dtype=dtype, out=out)
    return vector_norm(input, ord, dims, keepdim, dtype=dtype, out=out)


@one_op(name="linalg_cond")
def cond(A: Tensor, p: Any = None, *, out: Tensor | None = None) -> Tensor:
    """The condition number: the norm of A times that of its inverse; infinite for singular matrices.

    Shapes: A (*B, M, N), square unless p is 2, -2 or None -> (*B)
    """
    if A.array.ndim < 2:
        raise ShapeError(f"[linalg_cond] {describe(A)}: The input tensor A must have at least 2 dimensions")
    if p not in (None, "fro", "nuc", 1, -1, 2, -2, inf, -inf):
        raise OptionError(
            f"[linalg_cond] got an invalid norm type: {p}; use 'fro', 'nuc', 1, 2, inf or -1, ..."
        )
    if isinstance(p, str):
        check_square("linalg_cond", A)
    if not A.shape.numel():
        return into(out, full(tuple(A.array.shape[:-2]), 0, A.dtype.to_real(), A.device))
    if p is None or p in (2, -2):
        return into(out, _singular_ratio(A, p == -2))
    check_square("linalg_cond", A)
    inverse, info = inv_ex(A)
    found = _singular_sums(A) if p == "nuc" else matrix_norm(A, p) * matrix_norm(inverse, p)
    return into(out, where(eq(info, 0), found, inf))


def _singular_ratio(A: Tensor, smallest_first: bool) -> Tensor:
    values = spectra.linalg_svd(A, False)[1]
    return values[..., -1] / values[..., 0] if smallest_first else values[..., 0] / values[..., -1]


def _singular_sums(A: Tensor) -> Tensor:
    values = spectra.linalg_svd(A, False)[1]
    return reduce.sum(values, -1) * reduce.sum(1 / values, -1)
