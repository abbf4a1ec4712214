"""Norms under the names that are older than torch.linalg."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.tensor import Tensor
from devtensor.linalg.measures import matrix_norm, vector_norm

__all__ = [
    "frobenius_norm",
    "norm",
    "nuclear_norm",
]


def norm(
    input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, out: Tensor | None = None,
    dtype: Any = None,
) -> Tensor:  # fmt: skip
    """The norm of all numbers over `dim` for a number `p` or "fro"; that of matrices for "nuc".

    Shapes: input (*S) -> S without dim; all dims if dim is None
    """
    dims = (dim,) if isinstance(dim, int) else dim
    if not isinstance(p, str) or (p == "fro" and (dims is None or len(dims) <= 2)):
        order = 2 if p in ("fro", None) else p
        return vector_norm(input, order, dims, keepdim, dtype=dtype, out=out)
    dims = tuple(range(input.array.ndim)) if dims is None else dims
    return matrix_norm(input, p, dims, keepdim, dtype=dtype, out=out)


def frobenius_norm(
    input: Tensor, dim: Any = (), keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """The root of the sum of squares over `dim`."""
    return norm(input, "fro", dim, keepdim, out)


def nuclear_norm(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """The sum of singular values."""
    if isinstance(dim, bool):
        dim, keepdim = None, dim
    return norm(input, "nuc", dim, keepdim, out)


def _method_norm(
    self: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Tensor:
    """The norm over `dim`: `devtensor.norm`."""
    return norm(self, p, dim, keepdim, dtype=dtype)


METHODS: dict[str, Callable] = {"norm": _method_norm}
