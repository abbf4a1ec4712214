"""Shapes in PyTorch's spellings: sizes as arguments or as one sequence, -1 for what fits."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from devtensor.core.arguments import as_index
from devtensor.core.dtype import INTEGER, DType
from devtensor.core.errors import ArgumentTypeError, IndexingError, ShapeError
from devtensor.core.history import check_leaf, views_of
from devtensor.core.inplace import writable
from devtensor.core.naming import named
from devtensor.core.overlap import offset_of
from devtensor.core.spec import infer_size, normalize_dim, view_strides
from devtensor.core.state import current
from devtensor.core.tensor import Tensor, View, describe, in_rows, strides_of
from devtensor.ops import shape as ops
from devtensor.ops.create import copy
from devtensor.ops.shape import getitem
from devtensor.ops.strided import bits_as
from devtensor.ops.windows import unfold as unfold_windows

__all__ = [
    "broadcast_to",
    "flatten",
    "narrow",
    "ravel",
    "reshape",
    "select",
    "squeeze",
    "unflatten",
    "unsqueeze",
]


def sizes(args: tuple) -> tuple[int, ...]:
    """Sizes given one by one or as one sequence."""
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        args = tuple(args[0])
    elif not args:
        raise ArgumentTypeError("[size] missing 1 required positional argument; for no dims write ()")
    for size in args:
        if size.__class__ is not int:
            break
    else:
        return args
    # As in PyTorch, which looks at the first alone, True is a size of 1 further on.
    first, rest = as_index("size", "a size", args[0]), args[1:]
    return first, *[int(a) if isinstance(a, int) else as_index("size", "a size", a) for a in rest]


def fitted(op: str, shape: tuple[int, ...], count: int) -> tuple[int, ...]:
    """`shape`, or if one of its sizes is -1, with that size replaced by what makes it hold `count` elements.

    Errors: ShapeError if no size fits.
    """
    if shape == (-1,):
        return (count,)
    return shape if prod(shape) == count and count else infer_size(op, shape, count)


def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The same elements in another shape: a view where the layout allows it, else a copy.

    Shapes: input (*S) -> shape; one size may be -1
    """
    wanted = fitted("reshape", sizes(shape), prod(input.array.shape))
    return alias(input) if wanted == input.array.shape else ops.as_shape(input, wanted)


def alias(input: Tensor) -> Tensor:
    """Another tensor object that is a view of the whole of this one."""
    return getitem(input, ())


def view(self: Tensor, *shape: Any, size: Any = None, dtype: DType | None = None) -> Any:
    """The same memory in another shape, or read as another dtype; refused where that needs a copy."""
    if dtype is not None or (shape and isinstance(shape[0], DType)):
        return _read_as(self, shape[0] if dtype is None else dtype)
    if not shape and size is None:
        raise ArgumentTypeError("[view] got no arguments; it needs sizes or a dtype")
    wanted = fitted("view", sizes(shape if size is None else (size,)), prod(self.array.shape))
    if not in_rows(self) and view_strides(self.array.shape, strides_of(self), wanted) is None:
        raise ShapeError(
            f"[view] {describe(self)} with strides {strides_of(self)} as {wanted}: view size is not "
            "compatible with input tensor's size and stride; use .reshape(...) instead"
        )
    return ops.reshape(self, wanted)


def _read_as(self: Tensor, dtype: DType) -> Tensor:
    """The same memory read as another dtype: a view that autograd does not follow."""
    made = bits_as(self, *_seen_as(self, dtype), dtype)
    made.alias = View(made.alias.storage, made.alias.chain, None, made.alias.counter)
    made.node, made._requires_grad = None, False
    return made


def _seen_as(self: Tensor, dtype: DType) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Size and stride of the same memory in elements of another dtype.

    Errors: ShapeError if elements of another size do not fit.
    """
    shape, strides = tuple(self.array.shape), strides_of(self)
    have, want = self.dtype.itemsize, dtype.itemsize
    if have == want:
        return shape, strides
    if not shape or strides[-1] != 1:
        raise ShapeError(
            f"[view] {describe(self)} with strides {strides}: self.dim() cannot be 0 and self.stride(-1) "
            f"must be 1 to view it as {dtype.name} (different element sizes); use contiguous() first"
        )
    if have > want:
        more = have // want
        return (*shape[:-1], shape[-1] * more), (*(s * more for s in strides[:-1]), 1)
    less = want // have
    if shape[-1] % less or offset_of(self) % less or any(s % less for s in strides[:-1]):
        raise ShapeError(
            f"[view] {describe(self)} with strides {strides}, offset {offset_of(self)}: the last size, the "
            f"strides and storage_offset must be divisible by {less} to view it as {dtype.name} (different "
            "element sizes)"
        )
    return (*shape[:-1], shape[-1] // less), (*(s // less for s in strides[:-1]), 1)


def view_as(self: Tensor, other: Tensor) -> Tensor:
    """The same memory in another tensor's shape."""
    return view(self, tuple(other.array.shape))


def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """The same elements in another tensor's shape."""
    return reshape(self, tuple(other.array.shape))


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A new dimension of size 1 in front of place `dim`."""
    place = normalize_dim("unsqueeze", dim, input.array.ndim + 1)
    return getitem(input, (*(slice(None),) * place, None))


def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """Dimensions of size 1 dropped: all of them, or those named."""
    ndim = input.array.ndim
    if dim.__class__ is int:
        at = normalize_dim("squeeze", dim, ndim)
        alone = ndim and input.array.shape[at] == 1
        return getitem(input, (*(slice(None),) * at, 0) if alone else ())
    chosen = range(ndim) if dim is None else [normalize_dim("squeeze", d, ndim) for d in sizes((dim,))]
    if len(set(chosen)) < len(chosen):
        raise ShapeError(f"[squeeze] a dim appears multiple times in the list of dims {dim}; name each once")
    index = tuple(0 if d in chosen and size == 1 else slice(None) for d, size in enumerate(input.array.shape))
    return getitem(input, index)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """A run of dimensions made into one."""
    shape = tuple(input.array.shape)
    start = normalize_dim("flatten", start_dim, len(shape))
    end = normalize_dim("flatten", end_dim, len(shape))
    if start > end:
        raise ShapeError(f"[flatten] start_dim {start_dim} cannot come after end_dim {end_dim}")
    return ops.as_shape(input, (*shape[:start], prod(shape[start : end + 1]), *shape[end + 1 :]))


def ravel(input: Tensor) -> Tensor:
    """All elements in one dimension."""
    return view(input if in_rows(input) else copy(input), (input.shape.numel(),))


def unflatten(input: Tensor, dim: int, sizes: Any) -> Tensor:
    """One dimension made into several; one size may be -1.

    Errors: ShapeError if the sizes do not hold the dimension.
    """
    shape = tuple(input.array.shape)
    if not shape:
        normalize_dim("unflatten", dim, 0)
        raise ShapeError("[unflatten] a 0-d tensor has no dimension to be made into several")
    at = normalize_dim("unflatten", dim, len(shape))
    parts = tuple(sizes) if isinstance(sizes, (tuple, list)) else (sizes,)
    if not parts:
        raise ShapeError("[unflatten] unflatten: sizes must be non-empty")
    return view(input, (*shape[:at], *infer_size("unflatten", _whole(parts), shape[at]), *shape[at + 1 :]))


def _whole(parts: tuple) -> tuple[int, ...]:
    return tuple([as_index("unflatten", "a size", part) for part in parts])


def expand(self: Tensor, *sizes_: Any, size: Any = None, implicit: bool = False) -> Tensor:
    """Dimensions of size 1 stretched without a copy; -1 keeps a size."""
    wanted = sizes(sizes_ if size is None else (size,))
    if -1 not in wanted:
        return ops.expand(self, wanted)
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
    return expand(input, sizes((size,)))


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """One slice along `dim`, without it; a view."""
    if not input.array.ndim:
        raise IndexingError("[select] select() cannot be applied to a 0-dim tensor.")
    return getitem(input, (*(slice(None),) * normalize_dim("select", dim, input.array.ndim), int(index)))


def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """`length` slices along `dim` from `start` on; a view.

    Errors: ShapeError if they reach past the end.
    """
    if not input.array.ndim:
        raise ShapeError("[narrow] narrow() cannot be applied to a 0-dim tensor.")
    at = normalize_dim("narrow", dim, input.array.ndim)
    if isinstance(start, Tensor) and (start.array.ndim or start.dtype.category != INTEGER):
        raise ShapeError(f"[narrow] start must be an 0-dim integral Tensor. Got {describe(start)}")
    size, start = input.array.shape[at], int(start)
    if length < 0:
        raise ShapeError(f"[narrow] narrow(): length must be non-negative, got {length}")
    if not -size <= start <= size:
        raise IndexingError(
            f"[narrow] start out of range (expected to be in range of [-{size}, {size}], but got {start})"
        )
    first = start + size if start < 0 else start
    if not 0 <= first <= size - length:
        raise ShapeError(
            f"[narrow] start ({start}) + length ({length}) exceeds dimension size ({size}) of dim {dim}"
        )
    return getitem(input, (*(slice(None),) * at, slice(first, first + length)))


def _seen_from(base: Tensor, view: Tensor) -> None:
    """Say anew where a view lies in its base, of which the shape or the order of dims has changed."""
    place = offset_of(view) - offset_of(base)
    step = ("as_strided", (tuple(view.array.shape), strides_of(view), place, strides_of(base)))
    alias = view.alias
    view.alias = View(alias.storage, (*base.alias.chain, step), base, alias.counter, alias.origin)


def in_place(change: Callable[..., Tensor]) -> Callable:
    """A form that makes the tensor itself the view that `change` gives."""

    def inplace(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if current().grad:
            check_leaf(inplace.__name__, self)
        made = change(self, *args, **kwargs)
        alias = made.alias
        own = alias.base is self
        base, origin = (None, None) if own else (alias.base, self.alias.origin)
        self.alias = View(alias.storage, alias.chain, base, alias.counter, origin)
        self.array = made.array
        if current().grad:
            self.node, self._requires_grad = made.node, made._requires_grad
        writable(self).version += 1
        for view in views_of(self):
            _seen_from(self, view)
        return self

    return named(
        inplace,
        f"{change.__name__}_",
        f"In-place form of `{change.__name__}`: the tensor itself takes the new shape.",
    )


def unfold(self: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Windows of `size` elements at every `step` along a dimension; the window is the last dim; a view."""
    if not self.array.ndim:
        normalize_dim("unfold", dimension, 0)
        return getitem(unfold_windows(getitem(self, (None,)), 0, size, step), (0,))
    return unfold_windows(self, dimension, size, step)


METHODS: dict[str, Callable] = {
    f.__name__: f
    for f in (
        broadcast_to, expand, expand_as, flatten, narrow, ravel, reshape, reshape_as, select, squeeze,
        unflatten, unfold, unsqueeze, view, view_as,
    )
} | {f"{f.__name__}_": in_place(f) for f in (squeeze, unsqueeze)}  # fmt: skip
