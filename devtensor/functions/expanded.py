"""Writes of what an index or a mask chooses, into expanded tensors too.

There one element of memory stands in several places, and gets what is written to any of them. PyTorch
deprecates it, and goes backward through none of it.
"""

from __future__ import annotations

from devtensor.core.callers import warn
from devtensor.core.history import check_leaf, refresh_views, take_history
from devtensor.core.inplace import copy_into
from devtensor.core.state import current, no_grad
from devtensor.core.tensor import Tensor, share, strides_of
from devtensor.ops import reduce
from devtensor.ops.compare import where
from devtensor.ops.refused import without_gradient
from devtensor.ops.shape import expand, getitem

__all__: list[str] = []


def repeated_dims(target: Tensor) -> tuple[int, ...]:
    """The dims along which a tensor that can be written repeats its memory."""
    if target.alias is None:
        return ()
    shape = target.array.shape
    return tuple(d for d, step in enumerate(strides_of(target)) if step == 0 and shape[d] > 1)


def fill_where(op: str, target: Tensor, mask: Tensor, value: Tensor | float) -> Tensor:
    """Write a number to every element at which the mask holds."""
    dims = repeated_dims(target)
    if not dims or 0 in target.array.shape:
        return copy_into(target, where(mask, value, target))
    begin(op, target, value)
    fill_repeated(target, mask, value)
    end(op, target, value)
    return target


@no_grad()
def fill_repeated(target: Tensor, mask: Tensor, value: Tensor | float) -> Tensor:
    """Make a number of every element of memory one of whose places is in the mask."""
    dims = repeated_dims(target)
    wide = expand(mask, tuple(target.array.shape))
    chosen, once = reduce.any(wide, dims, True), once_in(target, dims)
    return copy_into(once, where(chosen, value, once))


def once_in(target: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The view in which each element of the target's memory stands once."""
    return getitem(target, tuple(slice(0, 1) if d in dims else slice(None) for d in range(target.array.ndim)))


def begin(op: str, target: Tensor, value: Tensor | float) -> None:
    """Look at a write into an expanded tensor before it is made."""
    warn(f"Use of {op} on expanded tensors is deprecated: clone() the tensor first, and write into that")
    if current().grad:
        check_leaf(op, target, (value,))


def end(op: str, target: Tensor, value: Tensor | float) -> None:
    """Record a write into an expanded tensor, which backward refuses."""
    base = target.alias.base  # type: ignore[union-attr]
    base = target if base is None else base
    wanted = base.requires_grad or (isinstance(value, Tensor) and value.requires_grad)
    if current().grad and wanted:
        before = share(base)
        before.node, before._requires_grad = base.node, True
        take_history(base, without_gradient(before, op))
        refresh_views(base)
