"""Putting tensors together and taking them apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

from devtensor import interop
from devtensor.core.dtype import FLOAT, int64
from devtensor.core.errors import ArgumentError, ArgumentTypeError, ShapeError
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.arithmetic import into
from devtensor.functions.shaping import unsqueeze
from devtensor.ops import join
from devtensor.ops.create import arange, cast
from devtensor.ops.index import index_select
from devtensor.ops.reduce import cumsum
from devtensor.ops.shape import as_shape, expand, getitem
from devtensor.ops.sort import searchsorted

__all__ = [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "cat",
    "chunk",
    "column_stack",
    "concat",
    "concatenate",
    "dstack",
    "hsplit",
    "hstack",
    "repeat_interleave",
    "row_stack",
    "split",
    "split_with_sizes",
    "stack",
    "tensor_split",
    "unbind",
    "vsplit",
    "vstack",
]


def _given(op: str, tensors: Any) -> Sequence[Tensor]:
    if isinstance(tensors, Tensor):
        raise ArgumentTypeError(f"[{op}] got one tensor; it needs a sequence of tensors; write [a, b]")
    found = list(tensors)
    if not found:
        raise ArgumentError(f"[{op}] expected a non-empty list of Tensors")
    return found


def cat(
    tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None, out: Tensor | None = None
) -> Tensor:
    """Tensors one after the other along `dim`.

    Shapes: (..., S_i, ...) -> (..., sum of S_i, ...); empty one-dimensional tensors are passed over
    """
    found = _given("cat", tensors)
    if any(t.array.ndim != found[0].array.ndim for t in found):
        found = [t for t in found if tuple(t.array.shape) != (0,)] or found
    return into(out, join.cat(*found, dim=dim if axis is None else axis))


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
    return into(out, join.cat(*[unsqueeze(t, dim) for t in found], dim=dim))


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


def _slices(input: Tensor, bounds: Sequence[int], dim: int) -> tuple[Tensor, ...]:
    lead = (slice(None),) * dim
    return tuple(getitem(input, (*lead, slice(a, b))) for a, b in pairwise(bounds))


def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces along `dim`: all of one size but perhaps the last, or of the sizes listed; views.

    Errors: ShapeError unless the sizes listed add up.
    """
    if not isinstance(split_size_or_sections, int):
        return split_with_sizes(tensor, split_size_or_sections, dim)
    at = normalize_dim("split", dim, tensor.array.ndim)
    size, step = _size(tensor, at), split_size_or_sections
    if step < 0 or (step == 0 and size):
        raise ArgumentError(
            f"[split] split_size is {step}; split expects split_size be non-negative, and 0 only of nothing"
        )
    bounds = [*range(0, size, step or 1), size] if size else [0, 0]
    return _slices(tensor, bounds, at)


def _size(input: Tensor, dim: int) -> int:
    if not input.array.ndim:
        raise ShapeError("[split] a 0-d tensor has no dimension to be split along")
    return input.array.shape[dim]


def split_with_sizes(tensor: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces of the sizes listed along `dim`; views."""
    at = normalize_dim("split", dim, tensor.array.ndim)
    parts = [int(size) for size in split_sizes]
    if sum(parts) != _size(tensor, at) or any(size < 0 for size in parts):
        raise ShapeError(
            f"[split] split_with_sizes expects split_sizes to sum exactly to {tensor.array.shape[at]} "
            f"(input tensor's size at dimension {dim}), but got split_sizes={parts}"
        )
    return _slices(tensor, [0, *accumulate(parts)], at)


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` pieces of one size, but perhaps the last, along `dim`; views."""
    if chunks < 1:
        raise ArgumentError(f"[chunk] chunk expects `chunks` to be greater than 0, got: {chunks}")
    size = _size(input, normalize_dim("chunk", dim, input.array.ndim))
    if not size:
        return tuple(split(input, 0, dim)[0] for _ in range(chunks))
    return split(input, -(-size // chunks), dim)


def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces along `dim`: that many, as equal as can be, or cut at the places listed; views."""
    at = normalize_dim("tensor_split", dim, input.array.ndim)
    size = _size(input, at)
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, int):
        count = indices_or_sections
        if count < 1:
            raise ArgumentError(f"[tensor_split] number of sections must be larger than 0, got {count}")
        small, longer = divmod(size, count)
        return _slices(input, [0, *accumulate(small + (k < longer) for k in range(count))], at)
    cuts = [c.__index__() for c in indices_or_sections]
    lead = (slice(None),) * at
    return tuple(getitem(input, (*lead, slice(a, b))) for a, b in zip([0, *cuts], [*cuts, size], strict=True))


def hsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Pieces along the second dim, or the first of one-dimensional tensors."""
    return tensor_split(input, indices_or_sections, 0 if input.array.ndim == 1 else 1)


def vsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Pieces along the first dim."""
    return tensor_split(input, indices_or_sections, 0)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along `dim`, without it; views."""
    at = normalize_dim("unbind", dim, input.array.ndim)
    lead = (slice(None),) * at
    return tuple(getitem(input, (*lead, k)) for k in range(_size(input, at)))


def iterate(self: Tensor) -> Any:
    """What a for loop over a tensor sees: its slices along the first dim."""
    if not self.array.ndim:
        raise ArgumentTypeError("[iter] iteration over a 0-d tensor")
    return iter(unbind(self))


def repeat_interleave(
    input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Every slice along `dim` several times in a row, as often as `repeats`, one number or one per slice,
    says.

    Without `dim`, of all elements in C order. With the repeats alone, the places: 0 as often as the first
    says, ...
    """
    if repeats is None:
        repeats = input
        input = arange(0, 1, repeats.array.shape[0], int64, repeats.device)
    if dim is None:
        input, dim = as_shape(input, (input.shape.numel(),)), 0
    at = normalize_dim("repeat_interleave", dim, input.array.ndim)
    shape = tuple(input.array.shape)
    if (
        isinstance(repeats, int)
        or not getattr(repeats, "ndim", 1)
        or tuple(getattr(repeats, "shape", ())) == (1,)
    ):
        count = int(repeats)
        if count < 0:
            raise ArgumentError(f"[repeat_interleave] repeats can not be negative, got {count}")
        wide = expand(
            as_shape(input, (*shape[: at + 1], 1, *shape[at + 1 :])),
            (*shape[: at + 1], count, *shape[at + 1 :]),
        )
        return as_shape(wide, (*shape[:at], shape[at] * count, *shape[at + 1 :]))
    return index_select(input, _repeated(repeats, shape[at], output_size), at)


def _repeated(repeats: Any, size: int, total: int | None) -> Tensor:
    """Place k as often as repeats[k] says: where each place of the result falls among the running sums."""
    if not isinstance(repeats, Tensor):
        repeats = interop.tensor(list(repeats))
    if tuple(repeats.array.shape) != (size,) or repeats.dtype.category == FLOAT:
        raise ShapeError(
            f"[repeat_interleave] repeats must have the same size as input along dim, {size} integers; "
            f"got {describe(repeats)}"
        )
    ends = cumsum(cast(repeats, int64), 0)
    count = total if total is not None else int(ends[-1]) if size else 0
    return searchsorted(ends, arange(0, 1, count, int64, repeats.device), True)


concat = concatenate = cat
row_stack = vstack
METHODS: dict[str, Callable] = {
    f.__name__: f
    for f in (
        chunk, hsplit, repeat_interleave, split, split_with_sizes, tensor_split, unbind, vsplit,
    )
} | {"__iter__": iterate}  # fmt: skip
