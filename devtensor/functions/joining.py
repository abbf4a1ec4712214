"""Putting tensors together and taking them apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from devtensor.core.dtype import promote
from devtensor.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    ShapeError,
)
from devtensor.core.precision import one_op
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor, View
from devtensor.functions.out import into_joined
from devtensor.functions.shaping import unsqueeze
from devtensor.ops import join
from devtensor.ops.create import cast
from devtensor.ops.shape import as_shape, reshape

__all__ = [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "cat",
    "column_stack",
    "concat",
    "concatenate",
    "dstack",
    "hstack",
    "row_stack",
    "stack",
    "vstack",
]


def _given(op: str, tensors: Any) -> Sequence[Tensor]:
    if isinstance(tensors, Tensor):
        raise ArgumentTypeError(f"[{op}] got one tensor; it needs a sequence of tensors; write [a, b]")
    found = list(tensors)
    if not found:
        raise (ArgumentError if op == "cat" else ShapeError)(f"[{op}] expects a non-empty list of Tensors")
    for place, part in enumerate(found):
        if not isinstance(part, Tensor):
            raise ArgumentTypeError(
                f"[{op}] expected Tensor as element {place} in argument 0, but got {type(part).__name__}"
            )
    return found


@one_op()
def cat(
    tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None, out: Tensor | None = None
) -> Tensor:
    """Tensors one after the other along `dim`.

    Shapes: (..., S_i, ...) -> (..., sum of S_i, ...); empty one-dimensional tensors are passed over
    """
    found = _given("cat", tensors)
    ranks = [t.array.ndim for t in found]
    if 0 in ranks:
        raise ShapeError(
            f"[cat] zero-dimensional tensor (at position {ranks.index(0)}) cannot be concatenated; use stack"
        )
    if ranks.count(ranks[0]) != len(ranks):
        found = _without_legacy(found)
    return into_joined(out, join.cat(*found, dim=dim if axis is None else axis), tuple(found))


def _without_legacy(found: Sequence[Tensor]) -> Sequence[Tensor]:
    """Tensors without those of shape (0,), which fit any rank; their dtypes still take part."""
    common = None
    for tensor in found:
        common = tensor.dtype if common is None else promote(common, tensor.dtype)
    rest = [t for t in found if tuple(t.array.shape) != (0,)]
    return [*([cast(rest[0], common)] if rest[0].dtype is not common else rest[:1]), *rest[1:]]


@one_op()
def stack(
    tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None, out: Tensor | None = None
) -> Tensor:
    """Tensors of one shape side by side along a new `dim`.

    Shapes: K tensors (*S) -> S with K at dim
    Errors: ShapeError if shapes differ.
    """
    found = _given("stack", tensors)
    if len({tuple(t.array.shape) for t in found}) > 1:
        shapes = ", ".join(str(list(t.array.shape)) for t in found)
        raise ShapeError(f"[stack] stack expects each tensor to be equal size, but got {shapes}")
    dim = normalize_dim("stack", dim if axis is None else axis, found[0].array.ndim + 1)
    if dim < found[0].array.ndim and all(t.array.flags.c_contiguous for t in found):
        made = _cut(join.cat(*found, dim=dim), dim, len(found))
    else:
        made = join.cat(*[unsqueeze(t, dim) for t in found], dim=dim)
    return made if out is None else into_joined(out, made, tuple(found))


def _cut(joined: Tensor, dim: int, count: int) -> Tensor:
    """Tensors that were put one after the other, side by side along a new dim; the result is no view."""
    shape = tuple(joined.array.shape)
    made = reshape(joined, (*shape[:dim], count, shape[dim] // count, *shape[dim + 1 :]))
    made.alias = View(made.alias.storage, made.alias.chain, None, made.alias.counter)
    return made


def atleast_1d(*tensors: Any) -> Any:
    """Tensors of at least one dimension."""
    return _atleast(tensors, lambda t: as_shape(t, (1,)) if not t.array.ndim else t)


def atleast_2d(*tensors: Any) -> Any:
    """Tensors of at least two dimensions, new ones in front."""
    return _atleast(tensors, lambda t: as_shape(t, (*(1,) * (2 - t.array.ndim), *t.array.shape)))


def atleast_3d(*tensors: Any) -> Any:
    """Tensors of at least three dimensions, one new behind and then one in front."""

    def widen(t: Tensor) -> Tensor:
        shape = tuple(t.array.shape)
        return as_shape(t, {0: (1, 1, 1), 1: (1, *shape, 1), 2: (*shape, 1)}.get(len(shape), shape))

    return _atleast(tensors, widen)


def _atleast(tensors: tuple, widen: Callable[[Tensor], Tensor]) -> Any:
    if len(tensors) == 1:
        return widen(tensors[0]) if isinstance(tensors[0], Tensor) else tuple(widen(t) for t in tensors[0])
    return tuple(widen(t) for t in tensors)


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors side by side along the second dim, or the first of one-dimensional ones."""
    found = atleast_1d(_given("hstack", tensors))
    return cat(found, 0 if found[0].array.ndim == 1 else 1)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors one above the other along the first dim; one-dimensional ones are rows."""
    return cat(atleast_2d(_given("vstack", tensors)), 0)


def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors behind each other along the third dim."""
    return cat(atleast_3d(_given("dstack", tensors)), 2)


def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors side by side; one-dimensional ones are columns."""
    found = [
        t if t.array.ndim > 1 else as_shape(t, (t.shape.numel(), 1)) for t in _given("column_stack", tensors)
    ]
    return cat(found, 1)


concat = concatenate = cat
row_stack = vstack
