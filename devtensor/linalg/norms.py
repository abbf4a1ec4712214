"""Norms under the names that are older than torch.linalg."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.precision import one_op
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor
from devtensor.linalg.measures import matrix_norm, vector_norm

__all__ = [
    "_weight_norm",
    "frobenius_norm",
    "norm",
    "norm_except_dim",
    "nuclear_norm",
]


@one_op("float32")
def norm(
    input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, out: Tensor | None = None,
    dtype: Any = None,
) -> Tensor:  # fmt: skip
    """The norm of all numbers over `dim` for a number `p` or "fro"; that of matrices for "nuc".

    Shapes: input (*S) -> S without dim; all dims if dim is None
    """
    dims = (dim,) if isinstance(dim, int) else dim
    if isinstance(p, Tensor) and not p.array.ndim:
        p = p.item()
    if not isinstance(p, str) or (p == "fro" and (dims is None or len(dims) <= 2)):
        order = 2 if p in ("fro", None) else p
        return vector_norm(input, order, dims, keepdim, dtype=dtype, out=out)
    dims = tuple(range(input.array.ndim)) if dims is None else dims
    return matrix_norm(input, p, dims, keepdim, dtype=dtype, out=out)


@one_op("float32")
def frobenius_norm(
    input: Tensor, dim: Any = (), keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """The root of the sum of squares over `dim`."""
    return norm(input, "fro", dim, keepdim, out)


@one_op("float32")
def nuclear_norm(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """The sum of singular values."""
    if isinstance(dim, bool):
        dim, keepdim = None, dim
    return norm(input, "nuc", dim, keepdim, out)


def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """The norm over all dims but one, which stays; over all dims if `dim` is -1.

    Shapes: v (*S) -> (1, ..., S[dim], ..., 1), or () for dim -1
    """
    if dim == -1:
        return vector_norm(v, pow)
    rank = v.array.ndim
    kept = normalize_dim("norm_except_dim", dim, rank)
    others = tuple(place for place in range(rank) if place != kept)
    return vector_norm(v, pow, others, True) if others else abs(v)  # type: ignore[arg-type]


def _weight_norm(v: Any, g: Any, dim: int = 0) -> Any:
    """`v` scaled so that its norm except `dim` is `g`.

    Source: Salimans and Kingma 2016.
    """
    return v * (g / norm_except_dim(v, 2, dim))


def _method_norm(
    self: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Tensor:
    """The norm over `dim`: `devtensor.norm`."""
    return norm(self, p, dim, keepdim, dtype=dtype)


METHODS: dict[str, Callable] = {"norm": _method_norm}
