"""The same elements repeated, reversed, rolled and turned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.errors import ArgumentTypeError, ShapeError
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.formats import copied
from devtensor.functions.shaping import ravel, reshape, sizes
from devtensor.functions.transposing import transpose
from devtensor.ops import shape as ops
from devtensor.ops.create import copy

__all__ = ["flip", "fliplr", "flipud", "roll", "rot90", "tile"]


def repeat(self: Tensor, *repeats: Any) -> Tensor:
    """Copies side by side: each dimension as often as its number says.

    Shapes: self (*S) -> S times repeats; more repeats than dims add dims in front
    """
    counts = sizes(repeats)
    extra = len(counts) - self.array.ndim
    if extra < 0:
        raise ShapeError(
            "[repeat] Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            f"tensor: {counts} for {describe(self)}"
        )
    shape = (*(1,) * extra, *self.array.shape)
    thin = tuple(part for size in shape for part in (1, size))
    wide = tuple(part for count, size in zip(counts, shape, strict=True) for part in (count, size))
    stretched = ops.expand(ops.as_shape(self, thin), wide)
    return ops.fresh_shape(stretched, tuple(c * s for c, s in zip(counts, shape, strict=True)))


def tile(input: Tensor, *dims: Any) -> Tensor:
    """Copies side by side, as `repeat`; missing numbers in front are 1."""
    counts = sizes(dims)
    return repeat(input, (*(1,) * (input.array.ndim - len(counts)), *counts))


def flip(input: Tensor, dims: Any) -> Tensor:
    """The order of elements reversed along `dims`, which is a sequence."""
    if not isinstance(dims, (tuple, list)):
        raise ArgumentTypeError(
            f"[flip] argument 'dims' must be tuple of ints, not {type(dims).__name__}; write ({dims!r},)"
        )
    return flip_method(input, dims)


def flip_method(self: Tensor, dims: Any, *more: int) -> Tensor:
    """The order of elements reversed along `dims`, given one by one or as one sequence."""
    input, chosen = self, sizes((dims, *more))
    return ops.flip(input, chosen) if chosen else copied("flip", input, "preserve_format")


def fliplr(input: Tensor) -> Tensor:
    """The order of columns reversed."""
    _ranked("fliplr", input, 2)
    return ops.flip(input, 1)


def flipud(input: Tensor) -> Tensor:
    """The order of rows reversed."""
    _ranked("flipud", input, 1)
    return ops.flip(input, 0)


def _ranked(op: str, input: Tensor, least: int) -> None:
    if input.array.ndim < least:
        raise ShapeError(f"[{op}] Input must be >= {least}-d; got {describe(input)}")


def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """Elements moved along `dims`, those that fall off coming in at the other end; without dims, in C
    order."""
    if isinstance(shifts, (tuple, list)) and not shifts:
        raise ShapeError("[roll] `shifts` required; got none")
    if dims is None or (isinstance(dims, (tuple, list)) and not dims):
        if len(sizes((shifts,))) > 1:
            raise ShapeError(f"[roll] shifts and dimensions must align; shifts: {shifts}, no dims; name them")
        return reshape(ops.roll(ravel(input), sizes((shifts,)), (0,)), tuple(input.array.shape))
    moves, chosen = sizes((shifts,)), sizes((dims,))
    if len(moves) != len(chosen):
        raise ShapeError(
            f"[roll] shifts and dimensions must align; shifts: {len(moves)}, dims: {len(chosen)}"
        )
    return ops.roll(input, moves, tuple([normalize_dim("roll", d, input.array.ndim) for d in chosen]))


def rot90(input: Tensor, k: int = 1, dims: Any = (0, 1)) -> Tensor:
    """Two dimensions turned by `k` quarter turns, from the first towards the second."""
    if len(dims) != 2:
        raise ShapeError(f"[rot90] expected total rotation dims == 2, but got dims = {len(dims)}")
    _ranked("rot90", input, 2)
    first, second = (normalize_dim("rot90", d, input.array.ndim) for d in dims)
    if first == second:
        raise ShapeError(f"[rot90] expected rotation dims to be different, but got dims {tuple(dims)}")
    turns = k % 4
    if turns == 2:
        return ops.flip(input, (first, second))
    if turns == 0:
        return copy(input)
    return transpose(ops.flip(input, second if turns == 1 else first), first, second)


METHODS: dict[str, Callable] = {f.__name__: f for f in (fliplr, flipud, repeat, roll, rot90, tile)}
METHODS["flip"] = flip_method
