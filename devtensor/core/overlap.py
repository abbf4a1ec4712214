"""Where tensors lie in memory, and what may not be written because something else lies there too."""

from __future__ import annotations

from typing import Any

from devtensor.core.errors import ShapeError
from devtensor.core.layout import is_dense
from devtensor.core.tensor import Tensor, describe, storage_of, strides_of


def address_of(array: Any) -> int | None:
    """The address of an array's first element; None where the library tells none."""
    interface = getattr(array, "__array_interface__", None) or getattr(
        array, "__cuda_array_interface__", None
    )
    return interface["data"][0] if interface else None


def offset_of(tensor: Tensor) -> int:
    """How many elements of its storage lie before a tensor's first one; 0 for one that has none, since
    libraries put an array of nothing anywhere."""
    root = storage_of(tensor).root
    if root is tensor.array or 0 in tensor.array.shape:
        return 0
    here, start = address_of(tensor.array), address_of(root)
    return 0 if here is None or start is None else (here - start) // tensor.kind.dtype.itemsize


def is_expanded(tensor: Tensor) -> bool:
    """Whether an element of memory stands in several places: a dim that steps nowhere, or steps that meet."""
    dims = sorted(
        (stride, size)
        for stride, size in zip(strides_of(tensor), tensor.array.shape, strict=True)
        if size != 1
    )
    if any(size == 0 for _, size in dims):
        return False
    reach = 0
    for stride, size in dims:
        if stride <= reach:
            return True
        reach += stride * (size - 1)
    return False


# The views in which one element of memory can stand in several places.
REPEATING = frozenset({"expand", "unfold", "as_strided"})


def refuse_overlap(name: str, target: Tensor) -> None:
    """Refuse a target in which one element of memory stands in several places.

    Errors: ShapeError naming the target.
    """
    if target.alias is None or not target.alias.chain:
        return
    for step in target.alias.chain:
        if step[0] in REPEATING and is_expanded(target):
            raise ShapeError(
                f"[{name}] unsupported operation: target {describe(target)} holds one element of memory in "
                "several places; clone() it first"
            )


def refuse_partial(name: str, target: Tensor, other: Any) -> None:
    """Refuse to read, while the target is written, memory that the target also has but at other places.

    Errors: ShapeError naming both.
    """
    if not isinstance(other, Tensor) or other.alias is None or target.alias is None or other is target:
        return
    if other.alias.storage is target.alias.storage and _meet_elsewhere(target, other):
        _refuse_shared(name, target, other)


def refuse_shared(name: str, target: Tensor, *others: Any) -> None:
    """Refuse to read, while the target is written in an order of its own, memory that the target also has.

    Errors: ShapeError naming both.
    """
    for other in others:
        if not isinstance(other, Tensor):
            continue
        if other is target or (other.alias is not None and _is_same_stretch(target, other)):
            _refuse_shared(name, target, other)
        refuse_partial(name, target, other)


def _is_same_stretch(a: Tensor, b: Tensor) -> bool:
    """Whether both see one stretch of memory, without gaps, in the same way."""
    if a.alias is None or a.alias.storage is not b.alias.storage or not a.shape.numel():
        return False
    return is_dense(a.shape, strides_of(a)) and is_same_view(a, b)


def _refuse_shared(name: str, target: Tensor, other: Tensor) -> None:
    raise ShapeError(
        f"[{name}] unsupported operation: some elements of {describe(other)} and of the written-to "
        f"{describe(target)} are at one place in memory; clone() the input first"
    )


def is_same_view(a: Tensor, b: Tensor) -> bool:
    """Whether both see the same storage in the same way."""
    return (
        storage_of(a) is storage_of(b)
        and a.kind is b.kind
        and a.array.shape == b.array.shape
        and strides_of(a) == strides_of(b)
        and offset_of(a) == offset_of(b)
    )


def _meet_elsewhere(a: Tensor, b: Tensor) -> bool:
    """Whether two dense views of one storage share elements without being the same view."""
    count, other_count = a.shape.numel(), b.shape.numel()
    steps, other_steps = strides_of(a), strides_of(b)
    if not count or not other_count or not is_dense(a.shape, steps) or not is_dense(b.shape, other_steps):
        return False
    first, other = offset_of(a), offset_of(b)
    if first == other and count == other_count:
        return steps != other_steps
    return first < other + other_count and other < first + count
