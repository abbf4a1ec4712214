"""Diagonals: taking them out, and building matrices around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.errors import ShapeError
from devtensor.core.holding import held
from devtensor.core.inplace import copy_into
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor, describe, strides_of
from devtensor.functions.formats import placed
from devtensor.ops.create import cast, full, overwrite
from devtensor.ops.shape import as_shape, diagonal, getitem

__all__ = ["diag", "diag_embed", "diagflat", "diagonal_scatter"]


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """A vector as the diagonal of a matrix, or a matrix's diagonal as a vector."""
    if input.array.ndim == 1:
        return diag_embed(input, diagonal)
    if input.array.ndim != 2:
        raise ShapeError(
            f"[diag] Supports 1D or 2D tensors. Got {describe(input)}; use diag_embed() or diagonal()"
        )
    return _taken(input, diagonal).clone()


def _taken(input: Tensor, offset: int) -> Tensor:
    return diagonal(input, offset)


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices, in two new dims, with the last dim of `input` on their diagonal.

    Shapes: input (*B, N) -> (*B, N + |offset|, N + |offset|) for the default dims
    """
    ndim = input.array.ndim + 1
    first, second = normalize_dim("diag_embed", dim1, ndim), normalize_dim("diag_embed", dim2, ndim)
    if first == second:
        raise ShapeError(f"[diag_embed] diagonal dimensions cannot be identical {dim1}, {dim2}")
    size = input.array.shape[-1] + abs(offset)
    rest = list(input.array.shape[:-1])
    for place in sorted((first, second)):
        rest.insert(place, size)
    zeros = full(tuple(rest), 0, input.dtype, input.device)
    return overwrite(zeros, input, (("diagonal", (offset, first, second)),))


def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """All elements, in C order, as the diagonal of a matrix."""
    return diag_embed(as_shape(input, (input.shape.numel(),)), offset)


def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A copy of `input` with `src` on its diagonal."""
    ndim = input.array.ndim
    dims = normalize_dim("diagonal_scatter", dim1, ndim), normalize_dim("diagonal_scatter", dim2, ndim)
    src = cast(src, input.dtype)
    return placed(overwrite(input, src, (("diagonal", (offset, *dims)),)), strides_of(input))


def fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Put one number on the main diagonal; of more than two dims all sizes must be equal.

    With `wrap` the diagonal of a tall matrix starts again one row below each square.
    """
    shape = tuple(self.array.shape)
    if len(shape) < 2:
        raise ShapeError(f"[fill_diagonal_] dimensions must larger than 1; got {describe(self)}")
    if len(shape) > 2 and len(set(shape)) > 1:
        raise ShapeError(
            f"[fill_diagonal_] {describe(self)}: all dimensions of input must be of equal length; use "
            "diagonal().fill_()"
        )
    value = full((), held("fill_diagonal_", fill_value, self.dtype), self.dtype, self.device)
    if not wrap or len(shape) > 2:
        copy_into(_main_diagonal(self), value)
        return self
    for row in range(0, shape[0], shape[1] + 1):
        copy_into(diagonal(getitem(self, (slice(row, row + shape[1]),))), value)
    return self


def _main_diagonal(input: Tensor) -> Tensor:
    """The elements whose places are the same along all dims."""
    while input.array.ndim > 1:
        input = diagonal(input)
    return input


METHODS: dict[str, Callable] = {
    f.__name__: f for f in (diag, diag_embed, diagflat, diagonal_scatter, fill_diagonal_)
}
