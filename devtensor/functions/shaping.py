"""Shapes in PyTorch's spellings: sizes as arguments or as one sequence, -1 for what fits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dtype import DType
from devtensor.core.errors import ShapeError
from devtensor.core.inplace import check_leaf
from devtensor.core.spec import infer_size, is_contiguous, normalize_dim, view_strides
from devtensor.core.tensor import Tensor, View, describe, strides_of
from devtensor.ops import shape as ops
from devtensor.ops.shape import getitem

__all__ = [
    "adjoint",
    "broadcast_to",
    "diagonal",
    "flatten",
    "moveaxis",
    "movedim",
    "narrow",
    "permute",
    "ravel",
    "reshape",
    "select",
    "squeeze",
    "swapaxes",
    "swapdims",
    "t",
    "transpose",
    "unflatten",
    "unsqueeze",
]


def sizes(args: tuple) -> tuple[int, ...]:
    """Sizes given one by one or as one sequence."""
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        args = tuple(args[0])
    return tuple([a if a.__class__ is int else a.__index__() for a in args])


def fitted(op: str, shape: tuple[int, ...], count: int) -> tuple[int, ...]:
    """`shape`, or if one of its sizes is -1, with that size replaced by what makes it hold `count` elements.

    Errors: ShapeError if no size fits.
    """
    known = 1
    for size in shape:
        known *= size
    return shape if known == count and count else infer_size(op, shape, count)


def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The same elements in another shape: a view where the layout allows it, else a copy.

    Shapes: input (*S) -> shape; one size may be -1
    """
    return ops.as_shape(input, fitted("reshape", sizes(shape), input.shape.numel()))


def view(self: Tensor, *shape: Any, size: Any = None) -> Any:
    """The same memory in another shape; refused where that needs a copy."""
    if shape and isinstance(shape[0], DType):
        return _as_dtype(self, shape[0])
    wanted = fitted("view", sizes(shape) if size is None else sizes((size,)), self.shape.numel())
    strides = strides_of(self)
    if (
        not is_contiguous(self.array.shape, strides)
        and view_strides(self.array.shape, strides, wanted) is None
    ):
        raise ShapeError(
            f"[view] {describe(self)} with strides {strides} as {wanted}: view size is not compatible with "
            "input tensor's size and stride; use .reshape(...) instead"
        )
    return ops.reshape(self, wanted)


def _as_dtype(self: Tensor, dtype: DType) -> Tensor:
    if dtype is self.dtype:
        return ops.reshape(self, tuple(self.array.shape))
    raise ShapeError(
        f"[view] {describe(self)} as {dtype}: bits are not read as another dtype; convert with .to(dtype)"
    )


def view_as(self: Tensor, other: Tensor) -> Tensor:
    """The same memory in another tensor's shape."""
    return view(self, tuple(other.array.shape))


def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """The same elements in another tensor's shape."""
    return reshape(self, tuple(other.array.shape))


def permute(input: Tensor, *dims: Any, **named: Any) -> Tensor:
    """The dimensions in another order.

    Errors: ShapeError unless every dimension is named once.
    """
    ndim = input.array.ndim
    order = tuple([normalize_dim("permute", d, ndim) for d in sizes(dims or (named["dims"],))])
    if sorted(order) != list(range(ndim)):
        raise ShapeError(
            f"[permute] dims {order} of {describe(input)}; each of its {ndim} dimensions must be named once"
        )
    return ops.permute(input, order)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions exchanged."""
    ndim = input.array.ndim
    first, second = normalize_dim("transpose", dim0, ndim), normalize_dim("transpose", dim1, ndim)
    order = list(range(ndim))
    if ndim:
        order[first], order[second] = second, first
    return ops.permute(input, tuple(order))


def t(input: Tensor) -> Tensor:
    """A matrix's transpose; vectors and numbers stay."""
    if input.array.ndim > 2:
        raise ShapeError(
            f"[t] t() expects a tensor with <= 2 dimensions, but self is {input.array.ndim}D; use .mT"
        )
    return transpose(input, 0, 1) if input.array.ndim == 2 else input


def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """Dimensions moved to new places; the others keep their order."""
    ndim = input.array.ndim
    old = [normalize_dim("movedim", d, ndim) for d in sizes((source,))]
    new = [normalize_dim("movedim", d, ndim) for d in sizes((destination,))]
    if len(old) != len(new) or len(set(old)) != len(old) or len(set(new)) != len(new):
        raise ShapeError(
            f"[movedim] source {source} and destination {destination} must name as many dims, each once"
        )
    placed = dict(zip(new, old, strict=True))
    rest = iter([d for d in range(ndim) if d not in old])
    return ops.permute(input, tuple([placed[d] if d in placed else next(rest) for d in range(ndim)]))


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A new dimension of size 1 in front of place `dim`."""
    place = normalize_dim("unsqueeze", dim, input.array.ndim + 1)
    return getitem(input, (*(slice(None),) * place, None))


def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """Dimensions of size 1 dropped: all of them, or those named."""
    ndim = input.array.ndim
    chosen = range(ndim) if dim is None else {normalize_dim("squeeze", d, ndim) for d in sizes((dim,))}
    index = tuple(0 if d in chosen and size == 1 else slice(None) for d, size in enumerate(input.array.shape))
    return getitem(input, index)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """A run of dimensions made into one."""
    shape = input.shape
    start = normalize_dim("flatten", start_dim, len(shape))
    end = normalize_dim("flatten", end_dim, len(shape))
    if start > end:
        raise ShapeError(f"[flatten] start_dim {start_dim} cannot come after end_dim {end_dim}")
    return ops.as_shape(input, (*shape[:start], shape[start : end + 1].numel(), *shape[end + 1 :]))


def ravel(input: Tensor) -> Tensor:
    """All elements in one dimension."""
    return ops.as_shape(input, (input.shape.numel(),))


def unflatten(input: Tensor, dim: int, sizes_: Any) -> Tensor:
    """One dimension made into several; one size may be -1."""
    at = normalize_dim("unflatten", dim, input.array.ndim)
    shape = tuple(input.array.shape)
    return ops.as_shape(
        input, (*shape[:at], *infer_size("unflatten", sizes((sizes_,)), shape[at]), *shape[at + 1 :])
    )


def expand(self: Tensor, *sizes_: Any) -> Tensor:
    """Dimensions of size 1 stretched without a copy; -1 keeps a size."""
    wanted = sizes(sizes_)
    extra = len(wanted) - self.array.ndim
    shape = tuple(
        self.array.shape[d - extra] if size == -1 and d >= extra else size for d, size in enumerate(wanted)
    )
    return ops.expand(self, shape)


def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """Dimensions of size 1 stretched to another tensor's shape."""
    return ops.expand(self, tuple(other.array.shape))


def broadcast_to(input: Tensor, size: Any) -> Tensor:
    """Dimensions of size 1 stretched to a shape."""
    return expand(input, *size)


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """One slice along `dim`, without it; a view."""
    return getitem(input, (*(slice(None),) * normalize_dim("select", dim, input.array.ndim), int(index)))


def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """`length` slices along `dim` from `start` on; a view.

    Errors: ShapeError if they reach past the end.
    """
    at = normalize_dim("narrow", dim, input.array.ndim)
    size, start = input.array.shape[at], int(start)
    first = start + size if start < 0 else start
    if length < 0 or not 0 <= first <= size - length:
        raise ShapeError(
            f"[narrow] start ({start}) + length ({length}) exceeds dimension size ({size}) of dim {dim}"
        )
    return getitem(input, (*(slice(None),) * at, slice(first, first + length)))


def _in_place(change: Callable[..., Tensor]) -> Callable:
    """A form that makes the tensor itself the view that `change` gives."""

    def inplace(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        check_leaf(inplace.__name__, self, False)
        made = change(self, *args, **kwargs)
        alias = made.alias
        self.alias = View(alias.storage, alias.chain, None) if alias.base is self else alias
        self.array, self.node, self.requires_grad = made.array, made.node, made.requires_grad
        return self

    inplace.__name__ = inplace.__qualname__ = f"{change.__name__}_"
    inplace.__doc__ = f"In-place form of `{change.__name__}`: the tensor itself takes the new shape."
    return inplace


def adjoint(input: Tensor) -> Tensor:
    """The last two dimensions exchanged."""
    return transpose(input, -2, -1)


diagonal = ops.diagonal
swapaxes = swapdims = transpose
moveaxis = movedim
METHODS: dict[str, Callable] = {
    f.__name__: f
    for f in (
        adjoint, broadcast_to, expand, expand_as, flatten, movedim, narrow, permute, ravel, reshape,
        reshape_as, select, squeeze, t, transpose, unflatten, unsqueeze, view, view_as,
    )
} | {f"{f.__name__}_": _in_place(f) for f in (squeeze, t, transpose, unsqueeze)} | {
    "swapaxes": transpose, "swapdims": transpose, "moveaxis": movedim,
}  # fmt: skip
PROPERTIES = {
    "T": property(lambda self: permute(self, *reversed(range(self.array.ndim))) if self.array.ndim else self),
    "mT": property(lambda self: transpose(self, -2, -1)),
    "H": property(t),
    "mH": property(adjoint),
}
