"""`x[...]` and `x[...] = v` in all their forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dispatch import call
from devtensor.core.dtype import BOOL, FLOAT, bool_, int64
from devtensor.core.errors import ArgumentError, ArgumentTypeError, IndexingError
from devtensor.core.inplace import apply_inplace, copy_into, refuse_overlap, write
from devtensor.core.tensor import Tensor, describe
from devtensor.interop import tensor
from devtensor.ops.compare import where
from devtensor.ops.create import cast, full, to_device
from devtensor.ops.index import index_get, index_put, nonzero
from devtensor.ops.shape import as_shape, getitem

GETITEM = getitem.op
EVERYTHING = slice(None)
NONE = type(None)


def get(self: Tensor, index: Any) -> Any:
    """`self[index]`: a view for ints, slices, None and Ellipsis, else a copy of the elements chosen."""
    entries = index if index.__class__ is tuple else (index,)
    for entry in entries:
        kind = entry.__class__
        if kind is not int and kind is not NONE and not (kind is slice and _simple(entry)):
            break
    else:
        return call(GETITEM, (self,), (entries,))
    if (
        len(entries) == 1
        and isinstance(entry, Tensor)
        and entry.kind is self.kind.device.kind(int64)
        and entry.array.ndim
    ):
        return index_get(self, entry, places=(0,))
    basic, places, indices = resolve(self, entries)
    part = _view(self, basic)
    return index_get(part, *indices, places=places) if indices else part


def set(self: Tensor, index: Any, value: Any) -> None:
    """`self[index] = value`: the value, broadcast and converted, written into the elements chosen."""
    entries = index if index.__class__ is tuple else (index,)
    mask = _lone_mask(self, entries)
    if mask is not None and not (isinstance(value, Tensor) and value.array.ndim):
        value = _as_value(self, value)
        copy_into(self, where(_stretched(mask, self), value, self))
        return
    basic, places, indices = resolve(self, entries)
    target = _view(self, basic)
    value = _as_value(target, value)
    if not indices:
        _put(target, _without_ones(value, target.array.ndim))
        return
    target = target if basic != (EVERYTHING,) * len(basic) else self
    apply_inplace(index_put.op, target, (value, *indices), (places, False))


def _put(target: Tensor, value: Tensor) -> None:
    """Write into a view; a lone number that nobody differentiates goes straight into memory."""
    base = target.alias.base if target.alias is not None else None
    traced = value.requires_grad or target.requires_grad or (base is not None and base.requires_grad)
    if traced or value.array.ndim:
        copy_into(target, value)
    else:
        refuse_overlap("setitem", target)
        write(target, value)


def _simple(entry: slice) -> bool:
    """Whether a slice is of plain ints and goes forward."""
    start, stop, step = entry.start, entry.stop, entry.step
    return (
        (start is None or start.__class__ is int)
        and (stop is None or stop.__class__ is int)
        and (step is None or (step.__class__ is int and step > 0))
    )


def _view(source: Tensor, basic: tuple) -> Tensor:
    return call(GETITEM, (source,), (basic,))


def _without_ones(value: Tensor, ndim: int) -> Tensor:
    """Leading dims of size 1 beyond the target's are dropped, as PyTorch does when it assigns."""
    shape = tuple(value.array.shape)
    while len(shape) > ndim and shape[0] == 1:
        shape = shape[1:]
    return value if shape == tuple(value.array.shape) else as_shape(value, shape)


def _lone_mask(self: Tensor, entries: tuple) -> Tensor | None:
    """The mask, if a mask of this tensor's leading dims is all that the index holds."""
    if (
        len(entries) != 1
        or not isinstance(entries[0], Tensor)
        or entries[0].dtype is not bool_
        or not entries[0].ndim
    ):
        return None
    _check_mask(entries[0], tuple(self.array.shape), 0)
    return entries[0] if entries[0].device is self.device else to_device(entries[0], self.device)


def _stretched(mask: Tensor, target: Tensor) -> Tensor:
    extra = target.array.ndim - mask.array.ndim
    return as_shape(mask, (*mask.array.shape, *(1,) * extra)) if extra else mask


def _as_value(target: Tensor, value: Any) -> Tensor:
    """The value as a tensor of the target's dtype and device."""
    if isinstance(value, Tensor):
        if value.device is not target.device and value.array.ndim == 0:
            value = to_device(value, target.device)
        return value if value.dtype is target.dtype else cast(value, target.dtype)
    if hasattr(value, "__float__") and getattr(value, "ndim", 0) == 0:
        number = value.item() if hasattr(value, "item") else value
        return full((), number, target.dtype, target.device)
    if hasattr(value, "__array_interface__"):
        return _as_value(target, to_device(_tensor(value, None), target.device))
    raise ArgumentTypeError(
        f"[setitem] can't assign a {type(value).__name__} to {describe(target)}; give a Tensor or a number"
    )


def resolve(self: Tensor, entries: tuple) -> tuple[tuple, tuple, list[Tensor]]:
    """Read an index: the part that is a view, then for each dim of that view which index tensor stands there.

    Errors: IndexingError for too many entries, a mask of the wrong shape, or what cannot index; ArgumentError
    for a slice that goes backward.
    """
    entries = tuple([_entry(self, entry) for entry in entries])
    shape = tuple(self.array.shape)
    used = sum(_consumed(entry) for entry in entries)
    if used > len(shape):
        raise IndexingError(
            f"[getitem] too many indices for tensor of dimension {len(shape)}: {used} given for {shape}"
        )
    if sum(1 for entry in entries if entry is Ellipsis) > 1:
        raise IndexingError("[getitem] an index can only have a single ellipsis ('...')")
    basic: list[Any] = []
    places: list[int | None] = []
    indices: list[Tensor] = []
    dim = 0
    for entry in entries:
        if entry is Ellipsis:
            count = len(shape) - used
            basic += [EVERYTHING] * count
            places += [None] * count
            dim += count
        elif isinstance(entry, Tensor):
            found = _indices_of(entry, shape, dim)
            basic += [EVERYTHING if entry.array.ndim or entry.dtype is not bool_ else None] * len(found)
            places += range(len(indices), len(indices) + len(found))
            indices += found
            dim += _consumed(entry)
        else:
            basic.append(entry)
            if not isinstance(entry, int):
                places.append(None)
            dim += _consumed(entry)
    while places and places[-1] is None:
        places.pop()
    return tuple(basic), tuple(places), indices


def _consumed(entry: Any) -> int:
    """How many dims an entry speaks of."""
    if entry is None or entry is Ellipsis:
        return 0
    return entry.array.ndim if isinstance(entry, Tensor) and entry.dtype is bool_ else 1


def _entry(self: Tensor, entry: Any) -> Any:
    """An entry as int, slice, None, Ellipsis, or a tensor of masks or indices on this tensor's device."""
    if entry is None or entry is Ellipsis:
        return entry
    if isinstance(entry, slice):
        return _slice(entry)
    if isinstance(entry, (list, tuple, range)) or (
        hasattr(entry, "__array_interface__") and getattr(entry, "ndim", 0)
    ):
        entry = _tensor(list(entry) if isinstance(entry, range) else entry, int64)
    elif isinstance(entry, bool) or type(entry).__name__ == "bool":
        entry = full((), bool(entry), bool_, self.device)
    if isinstance(entry, Tensor):
        return _index_tensor(self, entry)
    try:
        return entry.__index__()
    except (AttributeError, TypeError):
        raise IndexingError(
            "[getitem] only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are "
            f"valid indices (got {type(entry).__name__})"
        ) from None


def _tensor(data: Any, empty: Any) -> Tensor:
    """A CPU tensor from lists or a NumPy array; an empty list is of dtype `empty`."""
    made = tensor(data)
    return (
        cast(made, empty)
        if empty is not None and not made.shape.numel() and made.dtype.category == FLOAT
        else made
    )


def _index_tensor(self: Tensor, entry: Tensor) -> Any:
    if entry.dtype.category == FLOAT:
        raise IndexingError(
            "[getitem] tensors used as indices must be long, int, byte or bool tensors; "
            f"got {describe(entry)}; convert with .long()"
        )
    if entry.array.ndim == 0 and entry.dtype.category != BOOL:
        return int(entry)
    return entry if entry.device is self.device else to_device(entry, self.device)


def _slice(entry: slice) -> slice:
    start, stop, step = (
        None if part is None else part.__index__() for part in (entry.start, entry.stop, entry.step)
    )
    if step is not None and step <= 0:
        raise ArgumentError(
            f"[getitem] step must be greater than zero, got {step}; use flip() to go backward"
        )
    return slice(start, stop, step)


def _check_mask(mask: Tensor, shape: tuple[int, ...], dim: int) -> None:
    part = shape[dim : dim + mask.array.ndim]
    for place, (want, have) in enumerate(zip(part, mask.array.shape, strict=False)):
        if want != have:
            raise IndexingError(
                f"[getitem] The shape of the mask {list(mask.array.shape)} at index {place} does not match "
                f"the shape of the indexed tensor {list(shape)} at index {dim + place}"
            )
    if len(part) < mask.array.ndim:
        raise IndexingError(
            f"[getitem] too many indices: mask {list(mask.array.shape)} for tensor {list(shape)}"
        )


def _indices_of(entry: Tensor, shape: tuple[int, ...], dim: int) -> list[Tensor]:
    """Index tensors that an entry stands for: one, or for a mask one per dim of it."""
    if entry.dtype is not bool_:
        return [entry]
    _check_mask(entry, shape, dim)
    if not entry.array.ndim:
        return [getitem(nonzero(as_shape(entry, (1,))), (EVERYTHING, 0))]
    found = nonzero(entry)
    return [getitem(found, (EVERYTHING, place)) for place in range(entry.array.ndim)]


METHODS: dict[str, Callable] = {"__getitem__": get, "__setitem__": set}
__all__: list[str] = []
