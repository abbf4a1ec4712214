"""Choosing elements by index tensors, in PyTorch's spellings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import INTEGER, int32, int64
from devtensor.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    DimensionError,
    DTypeError,
    IndexingError,
    ShapeError,
)
from devtensor.core.history import check_leaf
from devtensor.core.inplace import apply_inplace
from devtensor.core.overlap import is_expanded
from devtensor.core.spec import broadcast_shapes, contiguous_strides, normalize_dim
from devtensor.core.state import current
from devtensor.core.tensor import Tensor, describe
from devtensor.functions.expanded import fill_repeated
from devtensor.functions.formats import in_order
from devtensor.functions.shaping import view
from devtensor.interop import tensor
from devtensor.ops import index as ops
from devtensor.ops import reduce
from devtensor.ops.compare import where
from devtensor.ops.create import full
from devtensor.ops.elementwise import floor_divide, remainder
from devtensor.ops.gathering import gather as gather_op
from devtensor.ops.join import cat
from devtensor.ops.shape import as_shape, expand, getitem
from devtensor.ops.triangles import tril as tril_op
from devtensor.ops.triangles import triu as triu_op

__all__ = [
    "argwhere",
    "gather",
    "index_select",
    "nonzero",
    "nonzero_static",
    "take",
    "take_along_dim",
    "tril",
    "triu",
    "unravel_index",
]


def refuse_other_indices(op: str, index: Tensor, empty_too: bool = True) -> None:
    """Refuse indices that are neither int64 nor int32, as all that index along a dim do."""
    if index.kind.dtype not in (int64, int32) and (empty_too or index.shape.numel()):
        raise DTypeError(
            f"[{op}] index is {describe(index)}; Expected dtype int32/int64 for index; convert with .long()"
        )


def values_are_free(tensor: Tensor) -> bool:
    """Whether a look at the numbers costs nothing: where the host holds them, and no graph is recorded."""
    backend = tensor.kind.device.backend
    return getattr(backend, "host_reads_are_free", False) and not any(
        hasattr(layer, "host_read") for layer in current().layers
    )


def refuse_outside(op: str, index: Tensor, size: int, error: type[Exception]) -> None:
    """Refuse indices that are not in [0, size), where a look at them costs nothing."""
    if not index.shape.numel() or not values_are_free(index):
        return
    low, high = int(reduce.amin(index)), int(reduce.amax(index))
    if low < 0 or high >= size:
        bad = low if low < 0 else high
        raise error(
            f"[{op}] index {bad} is out of bounds for dimension with size {size}; it must be in [0, {size})"
        )


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices of `input` along `dim` that `index` names.

    Shapes: input (*A, S, *B), index (K,) -> (*A, K, *B)
    """
    refuse_other_indices("index_select", index)
    return ops.index_select(input, index, dim)


def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """For each element of `index`, that of `input` at its place with `dim` replaced by the index.

    Shapes: input (*S), index (*T) -> (*T)
    """
    refuse_other_indices("gather", index, empty_too=False)
    return gather_op(input, index, dim)


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The places of all elements that are not 0: one a row, or one index tensor per dim if `as_tuple`.

    Shapes: input (*S) -> (count, ndim)
    """
    if not as_tuple:
        return ops.nonzero(input)
    found = ops.nonzero(input if input.array.ndim else as_shape(input, (1,)))
    return tuple(getitem(found, (slice(None), d)) for d in range(max(1, input.array.ndim)))


def nonzero_static(input: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """The first `size` places of elements that are not 0, one a row; what is missing is `fill_value`.

    Shapes: input (*S) -> (size, ndim)
    """
    if size < 0:
        raise ShapeError(f"[nonzero_static] size must be non-negative, got {size}")
    found = ops.nonzero(input)
    count, ndim = found.array.shape
    if count >= size:
        return in_order(getitem(found, (slice(0, size),)))
    return cat(found, full((size - count, ndim), fill_value, int64, input.device), dim=0)


def argwhere(input: Tensor) -> Tensor:
    """The places of all elements that are not 0, one a row."""
    return ops.nonzero(input)


def take(input: Tensor, index: Tensor) -> Tensor:
    """Elements of `input`, seen in one dim, that `index` names; negative ones count from the end.

    Shapes: input (*S), index (*I) -> (*I)
    """
    if index.kind.dtype is not int64:
        raise DTypeError(f"[take] Expected a long tensor for index, but got {describe(index)}")
    if not input.shape.numel() and index.shape.numel():
        raise IndexingError("[take] tried to take from an empty tensor")
    flat = as_shape(input, (input.shape.numel(),))
    return ops.index_get(flat, index, places=(0,))


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """Like `gather`, with the other dims broadcast and negative indices counted from the end; without `dim`,
    of the elements seen in one dim."""
    if indices.kind.dtype is not int64:
        raise DTypeError(f"[take_along_dim] dtype of indices should be Long but got {describe(indices)}")
    if dim is None:
        return gather_op(view(input, (-1,)), view(indices, (-1,)), 0)
    if input.array.ndim != indices.array.ndim:
        raise ShapeError(
            f"[take_along_dim] input and indices should have the same number of dimensions, but got "
            f"{input.array.ndim} dimensions for input, and {indices.array.ndim} dimensions for indices"
        )
    if not input.array.ndim:
        raise DimensionError("[take_along_dim] Dimension specified as 0 but tensor has no dimensions")
    place = normalize_dim("take_along_dim", dim, input.array.ndim)
    sizes = [input.array.shape[place], indices.array.shape[place]]
    indices = where(indices < 0, indices + sizes[0], indices)
    shapes = [(*t.array.shape[:place], 1, *t.array.shape[place + 1 :]) for t in (input, indices)]
    common = broadcast_shapes("take_along_dim", shapes)
    whole = [(*common[:place], size, *common[place + 1 :]) for size in sizes]
    return gather_op(expand(input, whole[0]), expand(indices, whole[1]), place)


def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """For each number of an element in C order its place in every dim of `shape`.

    Errors: ArgumentTypeError unless the numbers are integers, ArgumentError for negative sizes.
    """
    if indices.kind.dtype.category != INTEGER:
        raise ArgumentTypeError(
            f"[unravel_index] indices are {describe(indices)}; they need an integer dtype"
        )
    sizes = (shape,) if isinstance(shape, int) else tuple(int(size) for size in shape)
    if any(size < 0 for size in sizes):
        raise ArgumentError(f"[unravel_index] 'shape' cannot have negative values, but got {sizes}")
    if not sizes:
        return ()
    steps = contiguous_strides(sizes)
    column = getitem(indices, (*(slice(None),) * indices.array.ndim, None))
    counted = floor_divide(column, tensor(steps, dtype=int64, device=indices.device))
    return remainder(counted, tensor(sizes, dtype=int64, device=indices.device)).unbind(-1)


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of matrices, zeros above `diagonal`."""
    return tril_op(_matrix("tril", input), diagonal)


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of matrices, zeros below `diagonal`."""
    return triu_op(_matrix("triu", input), diagonal)


def _matrix(op: str, input: Tensor) -> Tensor:
    if input.array.ndim < 2:
        raise ShapeError(
            f"[{op}] input {tuple(input.array.shape)}: input tensor must have at least 2 dimensions"
        )
    return input


def tril_(self: Tensor, diagonal: int = 0) -> Tensor:
    """In-place form of `tril`."""
    return _kept_in_place(tril_op, _matrix("tril_", self), diagonal)


def triu_(self: Tensor, diagonal: int = 0) -> Tensor:
    """In-place form of `triu`."""
    return _kept_in_place(triu_op, _matrix("triu_", self), diagonal)


def _kept_in_place(triangle: Any, self: Tensor, diagonal: int) -> Tensor:
    """A triangle alone; an element that stands in several places becomes 0 if one of them is outside."""
    if self.alias is None or not self.alias.chain or not is_expanded(self):
        return apply_inplace(triangle.op, self, (), (diagonal,))
    outside = triangle(full(tuple(self.array.shape), 1, int64, self.device), diagonal) == 0
    if current().grad:
        check_leaf(triangle.op.name + "_", self, ())
    return fill_repeated(self, outside, 0)


METHODS: dict[str, Callable] = {
    f.__name__: f
    for f in (
        argwhere, gather, index_select, nonzero, nonzero_static, take, take_along_dim, tril, tril_, triu,
        triu_,
    )
}  # fmt: skip
