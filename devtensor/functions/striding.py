"""Memory seen by hand: strides, offsets, bits of another dtype, and copies with one region replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.errors import ArgumentTypeError, IndexingError, ShapeError
from devtensor.core.overlap import is_expanded, is_same_view, offset_of
from devtensor.core.spec import normalize_dim
from devtensor.core.tensor import Tensor, View, describe, in_rows, storage_of, strides_of, wrap
from devtensor.core.views import RETYPING
from devtensor.functions.shaping import in_place, sizes
from devtensor.ops import strided as ops
from devtensor.ops.create import cast, lay_out, overwrite

__all__ = ["as_strided", "as_strided_scatter", "select_scatter", "slice_scatter"]


def storage_offset(self: Tensor) -> int:
    """How many elements of the storage lie before the first one."""
    return offset_of(self)


def storage_size(tensor: Tensor) -> int:
    """How many elements the tensor's storage has room for."""
    root = storage_of(tensor).root
    strides = tensor.kind.device.backend.strides_of(root)
    count = ops.reach(tuple(root.shape), strides)
    return count * getattr(root, "itemsize", tensor.dtype.itemsize) // tensor.dtype.itemsize


def _geometry(op: str, input: Tensor, size: Any, stride: Any, offset: Any) -> tuple[tuple, tuple, int]:
    """Size, stride and absolute offset, checked against the memory there is.

    Errors: ShapeError for negative strides, and for what lies outside the storage.
    """
    for name, given in (("size", size), ("stride", stride)):
        if isinstance(given, int):
            raise ArgumentTypeError(f"[{op}] argument '{name}' must be a tuple of ints, not {given}")
    size, stride = sizes((size,)), sizes((stride,))
    offset = offset_of(input) if offset is None else int(offset)
    if len(size) != len(stride):
        raise ShapeError(f"[{op}] mismatch in length of strides and shape: {stride} and {size}")
    if any(n < 0 for n in (*stride, *size, offset)):
        raise ShapeError(
            f"[{op}] size {size}, stride {stride}, storage_offset {offset}: Negative strides, sizes and "
            "offsets are not supported"
        )
    room = storage_size(input)
    if offset + ops.reach(size, stride) > room and 0 not in size:
        raise ShapeError(
            f"[{op}] sizes {size}, strides {stride}, storage offset {offset} requiring a storage of "
            f"{offset + ops.reach(size, stride)} elements are out of bounds for storage of size {room}"
        )
    return size, stride, offset


def as_strided(input: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """The tensor's storage seen in any size, stride and offset, in elements; a view.

    Errors: ShapeError for what lies outside the storage.
    """
    size, stride, offset = _geometry("as_strided", input, size, stride, storage_offset)
    source = input if 0 in size else anchor(input)
    made = ops.as_strided(source, size, stride, offset - offset_of(source), strides_of(source))
    # Its place in memory does not depend on the views in between: the chain goes straight to the base.
    alias = made.alias
    base = alias.base
    start = base.alias.chain
    step = ("as_strided", (size, stride, offset - offset_of(base), strides_of(base)))
    made.alias = View(alias.storage, (*start, step), base, alias.counter, alias.origin)
    return made


def anchor(tensor: Tensor) -> Tensor:
    """The tensor, or if it holds nothing what it is a view of: an element from which memory can be reached.

    Errors: ShapeError where that holds another dtype.
    """
    if tensor.shape.numel():
        return tensor
    storage = storage_of(tensor)
    if any(name in RETYPING for name, _ in tensor.alias.chain):
        raise ShapeError(f"[as_strided] {describe(tensor)} views memory of another dtype; clone() it first")
    if tensor.alias.base is not None:
        return anchor(tensor.alias.base)
    made = wrap(storage.root, tensor.kind)
    made.alias = storage
    return made


def _replaced(op: str, input: Tensor, src: Tensor, step: tuple, shape: tuple) -> Tensor:
    """A copy of `input` in which the region that one view op reaches holds `src`."""
    if tuple(src.array.shape) != shape:
        raise ShapeError(
            f"[{op}] expected src to have a size equal to the slice of self, {shape}; got {describe(src)}"
        )
    made = overwrite(input, src if src.kind is input.kind else cast(src, input.dtype), (step,))
    return made if in_rows(input) or is_expanded(input) else lay_out(made, strides_of(input))


def as_strided_scatter(
    input: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int | None = None
) -> Tensor:
    """A copy of `input` in which the elements that `as_strided` would show hold `src`."""
    size, stride, offset = _geometry("as_strided_scatter", input, size, stride, storage_offset)
    step = ("as_strided", (size, stride, offset - offset_of(input), strides_of(input)))
    return _replaced("as_strided_scatter", input, src, step, size)


def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """A copy of `input` in which a slice along `dim` holds `src`."""
    if not input.array.ndim:
        raise IndexingError("[slice_scatter] slice() cannot be applied to a 0-dim tensor.")
    at = normalize_dim("slice_scatter", dim, input.array.ndim)
    if step <= 0:
        raise ShapeError(f"[slice_scatter] slice step must be positive, got {step}")
    part = slice(start, end, step)
    shape = list(input.array.shape)
    shape[at] = len(range(*part.indices(shape[at])))
    index = ((slice(None),) * at + (part,),)
    return _replaced("slice_scatter", input, src, ("getitem", index), tuple(shape))


def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy of `input` in which the slice at `index` of `dim` holds `src`."""
    if not input.array.ndim:
        raise IndexingError("[select_scatter] select() cannot be applied to a 0-dim tensor.")
    at = normalize_dim("select_scatter", dim, input.array.ndim)
    shape = list(input.array.shape)
    del shape[at : at + 1]
    step = ("getitem", ((*(slice(None),) * at, int(index)),))
    return _replaced("select_scatter", input, src, step, tuple(shape))


def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether both are the same view of the same storage."""
    return is_same_view(self, tensor)


def _base(self: Tensor) -> Tensor | None:
    """The tensor that this one is a view of, or None; in inference mode nobody keeps account of that."""
    alias = self.alias
    return None if alias is None or alias.storage.inference else alias.base


METHODS: dict[str, Callable] = {
    f.__name__: f
    for f in (as_strided, as_strided_scatter, is_set_to, select_scatter, slice_scatter, storage_offset)
} | {"as_strided_": in_place(as_strided)}  # fmt: skip
PROPERTIES = {"_base": property(_base)}
