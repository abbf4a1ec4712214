"""Shapes in PyTorch's spellings: sizes as arguments or as one sequence, -1 for what fits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.spec import infer_size, normalize_dim
from devtensor.core.tensor import Tensor
from devtensor.ops import shape as ops

__all__ = ["flatten", "permute", "reshape", "squeeze", "transpose", "unsqueeze"]


def sizes(args: tuple) -> tuple[int, ...]:
    """Sizes given one by one or as one sequence."""
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        args = tuple(args[0])
    return tuple(a if isinstance(a, int) else a.__index__() for a in args)


def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The same elements in another shape: a view where the layout allows it, else a copy.

    Shapes: input (*S) -> shape; one size may be -1
    """
    return ops.as_shape(input, infer_size("reshape", sizes(shape), input.shape.numel()))


def view(self: Tensor, *shape: Any) -> Tensor:
    """The same memory in another shape; refused where that needs a copy."""
    return ops.reshape(self, infer_size("view", sizes(shape), self.shape.numel()))


def permute(input: Tensor, *dims: Any) -> Tensor:
    """The dimensions in another order."""
    ndim = input.array.ndim
    return ops.permute(input, tuple(normalize_dim("permute", d, ndim) for d in sizes(dims)))


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions exchanged."""
    ndim = input.array.ndim
    first, second = normalize_dim("transpose", dim0, ndim), normalize_dim("transpose", dim1, ndim)
    order = list(range(ndim))
    if ndim:
        order[first], order[second] = second, first
    return ops.permute(input, tuple(order))


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A new dimension of size 1 in front of place `dim`."""
    place = normalize_dim("unsqueeze", dim, input.array.ndim + 1)
    return ops.getitem(input, (*(slice(None),) * place, None))


def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """Dimensions of size 1 dropped: all of them, or those named."""
    ndim = input.array.ndim
    chosen = range(ndim) if dim is None else {normalize_dim("squeeze", d, ndim) for d in sizes((dim,))}
    index = tuple(0 if d in chosen and size == 1 else slice(None) for d, size in enumerate(input.array.shape))
    return ops.getitem(input, index)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """A run of dimensions made into one."""
    shape = input.shape
    start = normalize_dim("flatten", start_dim, len(shape))
    end = normalize_dim("flatten", end_dim, len(shape))
    middle = 1
    for size in shape[start : end + 1]:
        middle *= size
    return ops.as_shape(input, (*shape[:start], middle, *shape[end + 1 :]))


def expand(self: Tensor, *sizes_: Any) -> Tensor:
    """Dimensions of size 1 stretched without a copy; -1 keeps a size."""
    wanted = sizes(sizes_)
    extra = len(wanted) - self.array.ndim
    shape = tuple(self.array.shape[d - extra] if size == -1 and d >= extra else size for d, size in enumerate(wanted))
    return ops.expand(self, shape)


METHODS: dict[str, Callable] = {
    f.__name__: f for f in (expand, flatten, permute, reshape, squeeze, transpose, unsqueeze, view)
}
PROPERTIES = {
    "T": property(lambda self: permute(self, *reversed(range(self.array.ndim)))),
    "mT": property(lambda self: transpose(self, -2, -1)),
}
