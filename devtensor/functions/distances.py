"""How far apart vectors are, and vectors cut to a length."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from devtensor.core.errors import ArgumentError, DTypeError, OptionError, ShapeError
from devtensor.core.inplace import copy_into
from devtensor.core.precision import one_op
from devtensor.core.spec import broadcast_shapes, normalize_dim
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.formats import in_order
from devtensor.functions.out import into
from devtensor.ops.compare import gt, where
from devtensor.ops.create import full
from devtensor.ops.lengths import distances, vector_norm
from devtensor.ops.refused import without_gradient
from devtensor.ops.shape import as_shape

__all__ = ["cdist", "dist", "renorm"]

# From how many rows on Euclidean distances come from a matrix product, as PyTorch's modes have it.
MODES = {
    None: 26,
    "use_mm_for_euclid_dist_if_necessary": 26,
    "use_mm_for_euclid_dist": 0,
    "donot_use_mm_for_euclid_dist": math.inf,
}


@one_op("float32")
def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of the difference.

    Source: of order 0, backward refuses `other`, as in PyTorch.
    """
    return vector_norm(input - (without_gradient(other, "dist") if p == 0 else other), p=p)


@one_op("float32")
def cdist(
    x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = "use_mm_for_euclid_dist_if_necessary"
) -> Tensor:
    """The p-norm of the difference of every row of one and every row of the other.

    Shapes: x1 (*B, N, D), x2 (*B, M, D) -> (*B, N, M)
    """
    if compute_mode not in MODES:
        raise ArgumentError(
            f"[cdist] {compute_mode!r} is not a valid value for compute_mode; use one of {tuple(MODES)}"
        )
    if x1.array.ndim < 2 or x2.array.ndim < 2 or x1.array.shape[-1] != x2.array.shape[-1]:
        raise ShapeError(
            f"[cdist] {describe(x1)}, {describe(x2)}: X1 and X2 must be at least 2D and have the same number "
            "of columns"
        )
    if x1.dtype is not x2.dtype or not x1.dtype.is_floating_point:
        raise DTypeError(
            f"[cdist] {describe(x1)}, {describe(x2)}: only supports floating-point dtypes, the same in both; "
            "convert with .float()"
        )
    if p < 0:
        raise OptionError(f"[cdist] p is {p}: cdist only supports non-negative p values")
    left = as_shape(x1, (*x1.array.shape[:-1], 1, x1.array.shape[-1]))
    right = as_shape(x2, (*x2.array.shape[:-2], 1, *x2.array.shape[-2:]))
    if not x1.array.shape[-1]:
        shape = broadcast_shapes("cdist", [tuple(left.array.shape[:-1]), tuple(right.array.shape[:-1])])
        return full(shape, 0, x1.dtype, x1.device)
    if p == 2 and max(x1.array.shape[-2], x2.array.shape[-2]) >= MODES[compute_mode]:
        return distances(x1, x2)
    return vector_norm(left - right, -1, p=p)


@one_op("float32")
def renorm(input: Tensor, p: float, dim: int, maxnorm: float, *, out: Tensor | None = None) -> Tensor:
    """Each slice along `dim` scaled down to the p-norm `maxnorm`, where it is longer.

    Shapes: input (*S) -> (*S)
    """
    ndim = input.array.ndim
    if ndim < 2 or p <= 0 or maxnorm < 0:
        raise ShapeError(
            f"[renorm] {describe(input)}, p={p}, maxnorm={maxnorm}: input needs at least 2 dimensions, p to "
            "be positive and maxnorm not negative"
        )
    at = normalize_dim("renorm", dim, ndim)
    length = vector_norm(input, tuple(d for d in range(ndim) if d != at), True, p)
    factor = where(gt(length, maxnorm), maxnorm / (length + 1e-7), 1.0)
    return into(out, in_order(input * factor))


def renorm_(self: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """In-place form of `renorm`."""
    return copy_into(self, renorm(self, p, dim, maxnorm))


METHODS: dict[str, Callable[..., Any]] = {"dist": dist, "renorm": renorm, "renorm_": renorm_}
