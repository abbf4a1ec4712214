"""Taking tensors apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

from devtensor.core.arguments import as_index
from devtensor.core.dtype import int64
from devtensor.core.errors import (
    ArgumentTypeError,
    DimensionError,
    ShapeError,
)
from devtensor.core.naming import named
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor, describe
from devtensor.core.views import mark_several
from devtensor.ops.shape import getitem

__all__ = [
    "chunk",
    "dsplit",
    "hsplit",
    "split",
    "split_with_sizes",
    "tensor_split",
    "unbind",
    "vsplit",
]


def _slices(input: Tensor, bounds: Sequence[int], dim: int) -> tuple[Tensor, ...]:
    lead = (slice(None),) * dim
    return tuple(getitem(input, (*lead, slice(a, b))) for a, b in pairwise(bounds))


def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces along `dim`: all of one size but perhaps the last, or of the sizes listed; views.

    Errors: ShapeError unless the sizes listed add up.
    """
    if isinstance(split_size_or_sections, Tensor):
        if split_size_or_sections.array.ndim:
            raise ArgumentTypeError("[split] sizes are a Tensor; they must be a tuple of ints")
        split_size_or_sections = int(split_size_or_sections)
    if not isinstance(split_size_or_sections, int):
        return split_with_sizes(tensor, split_size_or_sections, dim)
    size = _size("split", tensor, dim)
    at, step = normalize_dim("split", dim, tensor.array.ndim), split_size_or_sections
    if step < 0 or (step == 0 and size):
        raise ShapeError(
            f"[split] split_size is {step}; split expects split_size be non-negative, and 0 only of nothing"
        )
    bounds = [*range(0, size, step or 1), size] if size else [0, 0]
    return mark_several(_slices(tensor, bounds, at))


def _size(op: str, input: Tensor, dim: int) -> int:
    if not input.array.ndim:
        raise ShapeError(f"[{op}] {op} expects at least a 1-dimensional tensor")
    return input.array.shape[normalize_dim(op, dim, input.array.ndim)]


def split_with_sizes(tensor: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces of the sizes listed along `dim`; views."""
    size = _size("split", tensor, dim)
    at = normalize_dim("split", dim, tensor.array.ndim)
    parts = [int(size) for size in split_sizes]
    if sum(parts) != size or any(size < 0 for size in parts):
        raise ShapeError(
            f"[split] split_with_sizes expects split_sizes to sum exactly to {tensor.array.shape[at]} "
            f"(input tensor's size at dimension {dim}), but got split_sizes={parts}"
        )
    return mark_several(_slices(tensor, [0, *accumulate(parts)], at))


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` pieces of one size, but perhaps the last, along `dim`; views."""
    chunks = as_index("chunk", "chunks", chunks)
    if chunks < 1:
        raise ShapeError(f"[chunk] chunk expects `chunks` to be greater than 0, got: {chunks}")
    size = _size("chunk", input, dim)
    if not size:
        return tuple(split(input, 0, dim)[0] for _ in range(chunks))
    return split(input, -(-size // chunks), dim)


def tensor_split(
    input: Tensor,
    indices_or_sections: Any = None,
    dim: int = 0,
    *,
    indices: Any = None,
    sections: int | None = None,
    tensor_indices_or_sections: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Pieces along `dim`: that many, as equal as can be, or cut at the places listed; views."""
    for given in (indices, sections, tensor_indices_or_sections):
        indices_or_sections = given if indices_or_sections is None else indices_or_sections
    size = _size("tensor_split", input, dim)
    at = normalize_dim("tensor_split", dim, input.array.ndim)
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = _cuts(indices_or_sections)
    if isinstance(indices_or_sections, int):
        count = indices_or_sections
        if count < 1:
            raise ShapeError(f"[tensor_split] number of sections must be larger than 0, got {count}")
        small, longer = divmod(size, count)
        return _slices(input, [0, *accumulate(small + (k < longer) for k in range(count))], at)
    try:
        cuts = [cut.__index__() for cut in indices_or_sections]
    except (AttributeError, TypeError):
        raise ArgumentTypeError(
            f"[tensor_split] got {indices_or_sections!r}; it takes one int or a sequence of ints"
        ) from None
    lead = (slice(None),) * at
    return tuple(getitem(input, (*lead, slice(a, b))) for a, b in zip([0, *cuts], [*cuts, size], strict=True))


def _cuts(given: Tensor) -> Any:
    """How many sections, or where to cut, as a tensor tells it."""
    if given.dtype is not int64 or given.array.ndim > 1:
        raise ShapeError(
            "[tensor_split] expected tensor_indices_or_sections to be a zero-dimensional or one-dimensional "
            f"tensor of int64, but got {describe(given)}"
        )
    return given.tolist()


def _split_along(name: str, least: int, dim: int, doc: str) -> Callable:
    """`hsplit` and its kin: `tensor_split` along one dim into parts of one size, or cut at places."""

    def split_along(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
        ndim = input.array.ndim
        if ndim < least:
            raise ShapeError(
                f"[{name}] requires a tensor with at least {least} dimension, but got a tensor with {ndim} "
                "dimensions!"
            )
        at = 0 if ndim == 1 else dim
        size, count = input.array.shape[at], indices_or_sections
        if isinstance(count, int) and (count == 0 or (count > 0 and size % count)):
            raise ShapeError(
                f"[{name}] attempted to split along dimension {at}, but the size of the dimension {size} is "
                f"not divisible by the split_size {count}!"
            )
        return tensor_split(input, count, at)

    return named(split_along, name, f"Pieces along the {doc}; views.")


hsplit = _split_along("hsplit", 1, 1, "second dim, or the first of one-dimensional tensors")


vsplit = _split_along("vsplit", 2, 0, "first dim")


dsplit = _split_along("dsplit", 3, 2, "third dim")


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along `dim`, without it; views."""
    at = normalize_dim("unbind", dim, input.array.ndim)
    lead = (slice(None),) * at
    if not input.array.ndim:
        raise DimensionError("[unbind] Dimension specified as 0 but tensor has no dimensions")
    return mark_several(tuple(getitem(input, (*lead, k)) for k in range(input.array.shape[at])))


def iterate(self: Tensor) -> Any:
    """What a for loop over a tensor sees: its slices along the first dim."""
    if not self.array.ndim:
        raise ArgumentTypeError("[iter] iteration over a 0-d tensor")
    return iter(unbind(self))


METHODS: dict[str, Callable] = {
    f.__name__: f for f in (chunk, dsplit, hsplit, split, split_with_sizes, tensor_split, unbind, vsplit)
} | {"__iter__": iterate}
