"""Reading what stands between the brackets of `x[...]`."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

from devtensor.core.device import Device
from devtensor.core.dtype import BOOL, DType, bool_, int32, int64, uint8
from devtensor.core.errors import ArgumentError, ArgumentTypeError, DeviceError, IndexingError
from devtensor.core.tensor import Tensor, describe
from devtensor.interop import tensor
from devtensor.ops.create import cast, full, to_device
from devtensor.ops.index import nonzero
from devtensor.ops.shape import as_shape, getitem

EVERYTHING = slice(None)
MASKS = (bool_, uint8)
# A longer list is numbers for one dim, whatever it holds.
LONGEST_TUPLE = 32
VALID = "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices"
OLD_SEQUENCE = "Using a non-tuple sequence for multidimensional indexing is deprecated; use x[tuple(seq)]"
OLD_MASK = "indexing with dtype uint8 is now deprecated, please use a dtype bool instead"


class Reading(NamedTuple):
    """What an index asks for: first the view `basic`, then of its dims those that `indices` choose from.

    `places` says of each dim of the view which tensor of `indices` stands there, or None. `mask` is the dtype
    of the mask if one mask is all that chooses.
    """

    basic: tuple
    places: tuple[int | None, ...]
    indices: list[Tensor]
    mask: DType | None


def entries_of(index: Any) -> tuple:
    """The entries of an index: those of a tuple, or of a list that stands for one, else the index alone."""
    if isinstance(index, tuple):
        return tuple(index)
    if _stands_for_tuple(index):
        warnings.warn(OLD_SEQUENCE, UserWarning, stacklevel=4)
        return tuple(index)
    return (index,)


def _is_sequence(value: Any) -> bool:
    """Whether a value is a sequence for an index; NumPy's scalars, which have no length, are none."""
    kind = type(value)
    return hasattr(kind, "__getitem__") and hasattr(kind, "__len__") and not isinstance(value, dict)


def _stands_for_tuple(index: Any) -> bool:
    """Whether a sequence holds what only a tuple of entries can hold: slices, None, Ellipsis, sequences."""
    if isinstance(index, (Tensor, range, str, bytes)) or _is_array(index) or not _is_sequence(index):
        return False
    return len(index) < LONGEST_TUPLE and any(
        part is None or part is Ellipsis or isinstance(part, slice) or _is_sequence(part) for part in index
    )


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array_interface__") and not isinstance(value, Tensor)


def read(self: Tensor, entries: tuple) -> Reading:
    """Read the entries of an index of this tensor.

    Errors: IndexingError for too many entries, a mask of the wrong shape, or what cannot index; ArgumentError
    for a slice that goes backward.
    """
    shape = tuple(self.array.shape)
    used = _dims_used(entries, shape)
    basic: list[Any] = []
    places: list[int | None] = []
    indices: list[Tensor] = []
    masks: list[DType | None] = []
    dim = 0
    for given in entries:
        entry = _entry(self, given)
        if entry is Ellipsis:
            rest = len(shape) - used
            basic += [EVERYTHING] * rest
            places += [None] * rest
            dim += rest
        elif isinstance(entry, (bool, Tensor)):
            added = isinstance(entry, bool) or not (entry.array.ndim or entry.kind.dtype.category != BOOL)
            found = [_of_truth(self, entry)] if added else _indices_of(entry, shape, dim)
            basic += [None] if added else [EVERYTHING] * len(found)
            places += range(len(indices), len(indices) + len(found))
            indices += found
            masks.append(_mask_dtype(entry))
            dim += 0 if added else len(found)
        else:
            basic.append(entry)
            if isinstance(entry, int):
                _check_bounds(entry, shape, dim)
            else:
                places.append(None)
            dim += entry is not None
    _check_dtypes(indices)
    mask = masks[0] if len(masks) == 1 else None
    return Reading(_without_end(basic, EVERYTHING), _without_end(places, None), indices, mask)


def _dims_used(entries: tuple, shape: tuple[int, ...]) -> int:
    used = sum([_counted(entry) for entry in entries])
    if used > len(shape):
        raise IndexingError(
            f"[getitem] too many indices for tensor of dimension {len(shape)}: {used} given for {shape}"
        )
    return used


def _mask_dtype(entry: Any) -> DType | None:
    is_mask = isinstance(entry, Tensor) and entry.array.ndim and entry.kind.dtype in MASKS
    return entry.kind.dtype if is_mask else None


def _without_end(parts: list, idle: Any) -> tuple:
    """The parts without those at the end that ask for nothing."""
    while parts and parts[-1] == idle:
        parts.pop()
    return tuple(parts)


def _counted(entry: Any) -> int:
    """How many dims an entry is counted for: lists and arrays as one, even where they are masks."""
    if entry is None or entry is Ellipsis or entry is True or entry is False:
        return 0
    return entry.array.ndim if isinstance(entry, Tensor) and entry.kind.dtype in MASKS else 1


def _entry(self: Tensor, entry: Any) -> Any:
    """An entry as int, slice, None, Ellipsis, bool, or a tensor of masks or indices on this tensor's
    device."""
    if entry is None or entry is Ellipsis or isinstance(entry, bool):
        return entry
    if isinstance(entry, slice):
        return as_slice(entry)
    if isinstance(entry, Tensor):
        return _checked(self, entry)
    if _is_sequence(entry):
        return _checked(self, _as_indices(entry))
    try:
        return entry.__index__()
    except (AttributeError, TypeError):
        raise IndexingError(f"[getitem] {VALID} (got {type(entry).__name__})") from None


def _as_indices(entry: Any) -> Tensor:
    """A sequence as truths where it holds such, else as whole numbers."""
    if isinstance(entry, (str, bytes)):
        raise ArgumentTypeError(f"[getitem] {VALID}; got the text {entry!r}")
    made = tensor(list(entry) if isinstance(entry, range) else entry, device="cpu")
    return made if made.kind.dtype in MASKS or made.kind.dtype is int64 else cast(made, int64)


def _checked(self: Tensor, entry: Tensor) -> Any:
    """A tensor that may index, on this tensor's device; one whole number is an int, or a truth if uint8."""
    dtype: DType = entry.kind.dtype
    if not entry.array.ndim and dtype.category <= int64.category:
        if dtype is uint8:
            return entry != 0
        if dtype is not bool_ and not entry.kind.device.under:
            return int(entry)
    return index_on(self.kind.device, entry)


def index_on(device: Device, entry: Tensor) -> Tensor:
    """An index or a mask on the device of what it indexes.

    Errors: DeviceError if it lies on another device that is not the CPU.
    """
    here = entry.kind.device
    if here is device:
        return entry
    if here.type != "cpu" and not here.under and not device.under and "(" not in here.type:
        raise DeviceError(
            "[getitem] indices should be either on cpu or on the same device as the indexed tensor "
            f"({device}); got one on {here}"
        )
    return to_device(entry, device)


def _check_bounds(entry: int, shape: tuple[int, ...], dim: int) -> None:
    size = shape[dim] if dim < len(shape) else 0
    if not -size <= entry < size:
        raise IndexingError(f"[getitem] index {entry} is out of bounds for dimension {dim} with size {size}")


def _check_dtypes(indices: list[Tensor]) -> None:
    for index in indices:
        if index.kind.dtype not in (int64, int32):
            raise IndexingError(
                "[getitem] tensors used as indices must be long, int, byte or bool tensors; "
                f"got {describe(index)}; convert with .long()"
            )


def as_slice(entry: slice) -> slice:
    """A slice of plain ints that goes forward.

    Errors: ArgumentTypeError for parts that are no ints, ArgumentError for a step that is not positive.
    """
    try:
        start, stop, step = (
            None if part is None else part.__index__() for part in (entry.start, entry.stop, entry.step)
        )
    except (AttributeError, TypeError):
        raise ArgumentTypeError(
            f"[getitem] {entry}: slice indices must be integers or None or have an __index__ method"
        ) from None
    if step is not None and step <= 0:
        raise ArgumentError(
            f"[getitem] step must be greater than zero, got {step}; use flip() to go backward"
        )
    return slice(start, stop, step)


def check_mask(mask: Tensor, shape: tuple[int, ...], dim: int) -> None:
    """Refuse a mask that does not have the sizes of the dims it stands for, from `dim` on."""
    sizes = tuple(mask.array.shape)
    part = shape[dim : dim + len(sizes)]
    for place, (have, want) in enumerate(zip(sizes, part, strict=False)):
        if want != have:
            raise IndexingError(
                f"[getitem] The shape of the mask {list(sizes)} at index {place} does not match the shape of "
                f"the indexed tensor {list(shape)} at index {dim + place}"
            )
    if len(part) < len(sizes):
        raise IndexingError(f"[getitem] too many indices: mask {list(sizes)} for tensor {list(shape)}")


def _indices_of(entry: Any, shape: tuple[int, ...], dim: int) -> list[Tensor]:
    """Index tensors that an entry stands for: one, or for a mask one per dim of it."""
    if entry.kind.dtype not in MASKS:
        if dim >= len(shape):
            raise IndexingError(f"[getitem] too many indices for tensor of dimension {len(shape)}")
        return [entry]
    check_mask(entry, shape, dim)
    if entry.kind.dtype is uint8:
        warnings.warn(OLD_MASK, UserWarning, stacklevel=5)
    found = nonzero(entry)
    return [getitem(found, (EVERYTHING, place)) for place in range(entry.array.ndim)]


def _of_truth(self: Tensor, truth: Any) -> Tensor:
    """What indexes a new dim of size 1 by one truth: its only place, or none."""
    if isinstance(truth, bool):
        return full((int(truth),), 0, int64, self.kind.device)
    return getitem(nonzero(as_shape(truth, (1,))), (EVERYTHING, 0))
