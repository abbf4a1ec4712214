"""Arrays in other shapes, orders and pieces."""

from __future__ import annotations

from typing import Any

import devtensor
from devtensor.array_api.dtypes import together
from devtensor.core.errors import ArgumentError, DimensionError, ShapeError
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor

__all__ = [
    "broadcast_arrays",
    "broadcast_to",
    "concat",
    "expand_dims",
    "flip",
    "moveaxis",
    "permute_dims",
    "repeat",
    "reshape",
    "roll",
    "squeeze",
    "stack",
    "tile",
    "unstack",
]

Axes = int | tuple[int, ...]


def broadcast_arrays(*arrays: Tensor) -> list[Tensor]:
    """The arrays stretched to one shape."""
    return list(devtensor.broadcast_tensors(*arrays)) if arrays else []


def broadcast_to(x: Tensor, /, shape: tuple[int, ...]) -> Tensor:
    """`x` stretched to `shape`."""
    return devtensor.broadcast_to(x, tuple(shape))


def concat(arrays: Any, /, *, axis: int | None = 0) -> Tensor:
    """The arrays one after another along an axis; all elements in a row if it is None."""
    parts = together(*arrays)
    if axis is None:
        parts, axis = [part.reshape(-1) for part in parts], 0
    return devtensor.cat(parts, dim=axis)


def expand_dims(x: Tensor, /, axis: int = 0) -> Tensor:
    """`x` with a new axis of size 1 at `axis`.

    Errors: DimensionError if `axis` is out of range.
    """
    if not -x.ndim - 1 <= axis <= x.ndim:
        raise DimensionError(
            f"[expand_dims] axis {axis} is out of range; use -{x.ndim + 1} to {x.ndim} for {x.ndim} dims"
        )
    return devtensor.unsqueeze(x, axis)


def flip(x: Tensor, /, *, axis: Axes | None = None) -> Tensor:
    """`x` in reverse order along some axes, or all."""
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    return devtensor.flip(x, tuple(axes))


def moveaxis(x: Tensor, source: Axes, destination: Axes, /) -> Tensor:
    """`x` with some axes moved to other places, the rest in order."""
    return devtensor.movedim(x, source, destination)


def permute_dims(x: Tensor, /, axes: tuple[int, ...]) -> Tensor:
    """`x` with its axes in another order."""
    return devtensor.permute(x, tuple(axes))


def repeat(x: Tensor, repeats: int | Tensor, /, *, axis: int | None = None) -> Tensor:
    """Every element, or every slice along an axis, several times in a row."""
    if axis is None:
        x, axis = x.reshape(-1), 0
    return devtensor.repeat_interleave(x, repeats, dim=axis)


def reshape(x: Tensor, /, shape: tuple[int, ...], *, copy: bool | None = None) -> Tensor:
    """`x` in another shape; with its own memory if `copy`, never with it if `copy` is False.

    Errors: ArgumentError if `copy` is False and only a copy can have that shape.
    """
    if copy is not False:
        made = devtensor.reshape(x, tuple(shape))
        return made.clone() if copy else made
    try:
        return x.view(tuple(shape))
    except ShapeError as error:
        raise ArgumentError(f"[reshape] copy=False, but {error}") from None


def roll(x: Tensor, /, shift: Axes, *, axis: Axes | None = None) -> Tensor:
    """`x` with elements moved on along some axes, those beyond the end back to the front."""
    if isinstance(axis, tuple) and isinstance(shift, int):
        shift = (shift,) * len(axis)
    return x if axis == () else devtensor.roll(x, shift, axis)


def squeeze(x: Tensor, /, axis: Axes) -> Tensor:
    """`x` without some axes of size 1.

    Errors: ArgumentError if one has another size.
    """
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    for one in axes:
        size = x.shape[normalize_dim("squeeze", one, x.ndim)]
        if size != 1:
            raise ArgumentError(f"[squeeze] axis {one} has size {size}; only axes of size 1 can go")
    return devtensor.squeeze(x, axes) if axes else x


def stack(arrays: Any, /, *, axis: int = 0) -> Tensor:
    """The arrays side by side along a new axis."""
    return devtensor.stack(together(*arrays), dim=axis)


def tile(x: Tensor, repetitions: tuple[int, ...], /) -> Tensor:
    """`x` as often as given along each axis."""
    return devtensor.tile(x, tuple(repetitions))


def unstack(x: Tensor, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices along an axis."""
    return tuple(devtensor.unbind(x, axis))
