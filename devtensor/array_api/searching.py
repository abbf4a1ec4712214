"""Places of elements, and elements at places; sorting."""

from __future__ import annotations

from typing import Any

import devtensor
from devtensor.array_api.dtypes import together
from devtensor.array_api.reductions import along
from devtensor.core.dtype import int64
from devtensor.core.errors import ArgumentError
from devtensor.core.tensor import Tensor

__all__ = [
    "argmax",
    "argmin",
    "argsort",
    "count_nonzero",
    "nonzero",
    "searchsorted",
    "sort",
    "take",
    "take_along_axis",
    "where",
]


def argmax(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The place of the greatest element, the first of equal ones."""
    return _place("argmax", x, axis, keepdims)


def argmin(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The place of the least element, the first of equal ones."""
    return _place("argmin", x, axis, keepdims)


def _place(ours: str, x: Tensor, axis: int | None, keepdims: bool) -> Tensor:
    if axis is None:
        found = getattr(devtensor, ours)(x.reshape(-1), dim=0)
        return found.reshape((1,) * x.ndim) if keepdims else found
    return getattr(devtensor, ours)(x, dim=axis, keepdim=keepdims)


def argsort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The places of elements in their order."""
    return devtensor.sort(x, dim=axis, descending=descending, stable=True).indices


def sort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The elements in their order."""
    return devtensor.sort(x, dim=axis, descending=descending, stable=True).values


def count_nonzero(x: Tensor, /, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """How many elements along axes are not zero."""
    source, dims = along(x, axis)
    return (source != 0).sum(dims, keepdim=keepdims and source is x)


def nonzero(x: Tensor, /) -> tuple[Tensor, ...]:
    """The places of elements that are not zero, an array of indices for each axis.

    Errors: ArgumentError for an array without axes.
    """
    if not x.ndim:
        raise ArgumentError("[nonzero] x has no axes, so no indices either; reshape it to (1,)")
    return tuple(devtensor.nonzero(x, as_tuple=True))


def searchsorted(x1: Tensor, x2: Tensor, /, *, side: str = "left", sorter: Tensor | None = None) -> Tensor:
    """Where elements of `x2` would have to stand in the sorted line `x1`.

    Errors: ArgumentError for a side that is neither "left" nor "right".
    """
    if side not in ("left", "right"):
        raise ArgumentError(f"[searchsorted] side is {side!r}; it needs 'left' or 'right'")
    line, wanted = together(x1, x2)
    return devtensor.searchsorted(line if sorter is None else line[sorter], wanted, right=side == "right")


def take(x: Tensor, indices: Tensor, /, *, axis: int | None = None) -> Tensor:
    """The slices of `x` along an axis that `indices`, a line, names.

    Errors: ArgumentError without axis for an array of several.
    """
    if axis is None:
        if x.ndim != 1:
            raise ArgumentError(f"[take] x has {x.ndim} dims; give an axis unless it has one")
        axis = 0
    return x[(slice(None),) * (axis % x.ndim) + (indices.to(int64),)]


def take_along_axis(x: Tensor, indices: Tensor, /, *, axis: int = -1) -> Tensor:
    """The elements of `x` at the places along an axis that `indices` names, one by one."""
    places = indices.to(int64)
    return devtensor.take_along_dim(x, devtensor.where(places < 0, places + x.shape[axis], places), dim=axis)


def where(condition: Tensor, x1: Any, x2: Any, /) -> Tensor:
    """Elements of `x1` where the condition is true, of `x2` elsewhere."""
    if not isinstance(x1, Tensor) and not isinstance(x2, Tensor):
        return devtensor.where(condition, devtensor.tensor(x1), devtensor.tensor(x2))
    return devtensor.where(condition, *together(x1, x2))
