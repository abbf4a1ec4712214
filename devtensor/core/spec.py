"""Spec: what a tensor is, without its data; and the arithmetic of shapes and strides."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from operator import index
from typing import Any, NamedTuple

from devtensor.core.device import Device, Kind
from devtensor.core.dtype import DType
from devtensor.core.errors import ArgumentTypeError, DimensionError, ShapeError


class Spec(NamedTuple):
    """Shape, dtype, device and strides (in elements) of a tensor."""

    shape: tuple[int, ...]
    dtype: DType
    device: Device
    strides: tuple[int, ...]

    @property
    def ndim(self) -> int:
        return len(self.shape)


class Like(NamedTuple):
    """What an input was, without its data: shape, and dtype and device."""

    shape: tuple[int, ...]
    kind: Kind

    @property
    def dtype(self) -> DType:
        return self.kind.dtype

    @property
    def device(self) -> Device:
        return self.kind.device


def contiguous_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides, in elements, of a fresh row-major array of this shape."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def is_contiguous(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether the elements lie in row-major order without gaps."""
    if 0 in shape:
        return True
    step = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1:
            if stride != step:
                return False
            step *= size
    return True


# Numbers that Python compares with integers, but that count no dimensions.
NO_DIMS = (bool, float)


def normalize_dim(op: str, dim: int, ndim: int) -> int:
    """`dim` counted from the front.

    Errors: DimensionError if the tensor has no such dimension.
    """
    if dim.__class__ is int and -ndim <= dim < ndim:
        return dim + ndim if dim < 0 else dim
    span = max(ndim, 1)
    if dim.__class__ in NO_DIMS:
        raise ArgumentTypeError(f"[{op}] dim is {dim} of type {type(dim).__name__}; it needs an int")
    if dim.__class__ is not int:
        dim = _whole(op, dim)
    if not -span <= dim < span:
        raise DimensionError(
            f"[{op}] dim {dim} is out of range; a {ndim}-d tensor has dims {-span} to {span - 1}"
        )
    return dim + span if dim < 0 else dim


def _whole(op: str, dim: Any) -> int:
    """A dim that is an int in another guise: NumPy's, or a tensor's."""
    try:
        return index(dim)
    except (TypeError, RuntimeError):
        raise ArgumentTypeError(
            f"[{op}] argument 'dim' must be an int, not {type(dim).__name__}; give a number of a dimension"
        ) from None


def normalize_dims(op: str, dims: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """Dims as a sorted tuple counted from the front; None or an empty sequence means all of them.

    Errors: DimensionError if one does not exist, ShapeError if one appears twice.
    """
    if dims is None or dims == ():
        return tuple(range(ndim))
    if isinstance(dims, int):
        found = (normalize_dim(op, dims, ndim),)
        return found if ndim else ()
    found = tuple(sorted(normalize_dim(op, dim, ndim) for dim in dims))
    if len(set(found)) != len(found):
        raise ShapeError(f"[{op}] dims {tuple(dims)} name a dimension twice; name each once")
    return found if ndim else ()


def broadcast_shapes(op: str, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape that all of `shapes` stretch to.

    Errors: ShapeError that names the shapes and the sizes that differ.
    """
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return first
    result: list[int] = []
    for place in range(1, max(map(len, shapes)) + 1):
        sizes = {shape[-place] for shape in shapes if len(shape) >= place} - {1}
        if len(sizes) > 1:
            raise ShapeError(_unequal(op, shapes, place))
        result.append(sizes.pop() if sizes else 1)
    return tuple(reversed(result))


def _unequal(op: str, shapes: Sequence[tuple[int, ...]], place: int) -> str:
    """Which two of the shapes do not stretch to each other at `place`, counted from the end."""
    found = [shape for shape in shapes if len(shape) >= place and shape[-place] != 1]
    other = next(shape for shape in found if shape[-place] != found[0][-place])
    dim = max(map(len, shapes)) - place
    return (
        f"[{op}] The size of tensor a ({found[0][-place]}) must match the size of tensor b ({other[-place]}) "
        f"at non-singleton dimension {dim}: shapes {', '.join(map(str, shapes))} do not broadcast"
    )


def infer_size(op: str, shape: Sequence[int], count: int) -> tuple[int, ...]:
    """`shape` with its one -1, if any, replaced by what makes it hold `count` elements.

    Errors: ShapeError if no size fits.
    """
    known = prod(size for size in shape if size != -1)
    unknown = sum(1 for size in shape if size == -1)
    if unknown == 1 and known and count % known == 0:
        return tuple(count // known if size == -1 else size for size in shape)
    if unknown or known != count or any(size < 0 for size in shape):
        raise ShapeError(
            f"[{op}] shape '{list(shape)}' is invalid for input of size {count}; give sizes whose product is "
            "that"
        )
    return tuple(shape)


def view_strides(
    shape: Sequence[int], strides: Sequence[int], target: Sequence[int]
) -> tuple[int, ...] | None:
    """Strides with which the same memory is seen in shape `target`, or None if it must be copied.

    Runs of dims that lie without a gap form chunks; the target's dims must not straddle two chunks.
    """
    if prod(shape) == 0:
        return tuple(strides) if tuple(shape) == tuple(target) else contiguous_strides(target)
    result = [0] * len(target)
    place = len(target) - 1
    chunk_stride = strides[-1] if strides else 1
    chunk, seen = 1, 1
    for dim in range(len(shape) - 1, -1, -1):
        chunk *= shape[dim]
        if dim == 0 or (shape[dim - 1] != 1 and strides[dim - 1] != chunk * chunk_stride):
            while place >= 0 and (seen < chunk or target[place] == 1):
                result[place] = seen * chunk_stride
                seen *= target[place]
                place -= 1
            if seen != chunk:
                return None
            if dim > 0:
                chunk_stride = strides[dim - 1]
                chunk, seen = 1, 1
    if not shape:
        return tuple(1 for _ in target)
    return tuple(result) if place == -1 else None
