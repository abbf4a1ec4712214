"""`x[...]` and `x[...] = v` in all their forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.dispatch import call_view
from devtensor.core.dtype import DType, bool_, int64, uint8
from devtensor.core.errors import ArgumentTypeError, DTypeError
from devtensor.core.explain import explain
from devtensor.core.holding import held_or_infinite
from devtensor.core.inplace import apply_inplace, copy_into, fill, writable
from devtensor.core.overlap import refuse_overlap, refuse_shared
from devtensor.core.state import current, no_grad
from devtensor.core.tensor import Tensor, describe, in_rows, spec_of
from devtensor.functions.expanded import begin, end, fill_where, once_in, repeated_dims
from devtensor.functions.indices import EVERYTHING, MASKS, check_mask, entries_of, index_on, read
from devtensor.ops import reduce
from devtensor.ops.create import cast, full, to_device
from devtensor.ops.index import index_get, index_put, indexed_shape, nonzero
from devtensor.ops.shape import as_shape, expand, getitem

GETITEM = getitem.op
NONE = type(None)
NUMBERS = (bool, int, float, complex)


def get(self: Tensor, index: Any) -> Any:
    """`self[index]`: a view for ints, slices, None and Ellipsis, else a copy of the elements chosen."""
    entries = index if index.__class__ is tuple else (index,)
    basic = _basic(entries, self.array.ndim)
    if basic is not None:
        return call_view(GETITEM, self, (basic,))
    if len(entries) == 1 and isinstance(index, Tensor) and index.array.ndim:
        chosen = _chosen(self, index)
        if chosen is not None:
            return chosen
    basic, places, indices, _ = read(self, entries_of(index))
    part = self if indices and not basic else _view(self, basic)
    return index_get(part, *indices, places=places) if indices else part


def _basic(entries: tuple, ndim: int) -> tuple | None:
    """The entries, if all are plain ints, None, slices of such that go forward, or one Ellipsis, which is
    spelt out."""
    dots = None
    for entry in entries:
        kind = entry.__class__
        if kind is not int and kind is not NONE and not (kind is slice and _simple(entry)):
            if entry is not Ellipsis or dots is not None:
                return None
            dots = entry
    return entries if dots is None else _spelt_out(entries, ndim)


def _spelt_out(entries: tuple, ndim: int) -> tuple | None:
    """The entries with the dims that the Ellipsis stands for; None if there are too many."""
    place = entries.index(Ellipsis)
    count = ndim - sum([entry is not None for entry in entries]) + 1
    if count < 0:
        return None
    return (*entries[:place], *(EVERYTHING,) * count, *entries[place + 1 :])


def _chosen(self: Tensor, index: Tensor) -> Tensor | None:
    """The elements that one index tensor or one mask of the leading dims chooses; None if it is neither.

    A mask is read as a line of places among the leading dims seen as one, where that takes no copy.
    """
    if index.kind is self.kind.device.kind(int64) and self.array.ndim:
        return index_get(self, index, places=(0,))
    if index.kind is not self.kind.device.kind(bool_):
        return None
    count, shape = index.array.ndim, tuple(self.array.shape)
    check_mask(index, shape, 0)
    if count > 1:
        if not in_rows(self):
            return None
        size = index.shape.numel()
        self, index = as_shape(self, (size, *shape[count:])), as_shape(index, (size,))
    found = nonzero(index)
    return index_get(self, as_shape(found, (found.array.shape[0],)), places=(0,))


def set(self: Tensor, index: Any, value: Any) -> None:
    """`self[index] = value`: the value, broadcast, written into the elements chosen.

    Errors: ArgumentTypeError for a value that is no tensor or number, DTypeError for a tensor of another
    dtype where index tensors choose, ShapeError if the value does not broadcast.
    """
    value = _as_value(self, value)
    if index is False:
        return
    if index.__class__ is int or index.__class__ is slice:
        entries: tuple = (index,)
    else:
        entries = (None,) if index is True else entries_of(index)
    plain = _basic(entries, self.array.ndim)
    if plain is not None:
        target = _view(self, plain)
        _put(target, value if value.array.shape == target.array.shape else _without_ones(value))
        return
    if len(entries) == 1 and _fills_a_mask(self, entries[0], value):
        return
    basic, places, indices, mask = read(self, entries)
    target = self if indices and not basic else _view(self, basic)
    if not indices:
        _put(target, value if value.array.shape == target.array.shape else _without_ones(value))
        return
    value = _without_ones(value)
    if mask is not None and value.shape.numel() == 1:
        value = _filling(target, mask, value)
    if value.kind.dtype is not target.kind.dtype:
        _refuse_dtype(target, value, places, indices)
    write_at(target, value, places, indices, False)


def write_at(target: Tensor, value: Tensor, places: tuple, indices: list[Tensor], accumulate: bool) -> None:
    """Write, or add, a value at places of a tensor: into its memory at once where nobody listens."""
    refuse_shared("index_put_", target, value, *indices)
    repeated = repeated_dims(target)
    if repeated:
        _write_once(target, value, places, indices, accumulate, repeated)
        return
    mode = current()
    base = target.alias.base if target.alias is not None else None
    traced = mode.grad and any(t is not None and t.requires_grad for t in (target, value, base))
    kind = target.kind
    whole = all(index.kind.dtype is int64 and index.kind.device is kind.device for index in indices)
    direct = "index_put" in getattr(kind.device.backend, "out_kernels", ()) and kind.dtype.itemsize != 2
    if mode.layers or traced or not direct or not whole or value.kind is not kind:
        apply_inplace(index_put.op, target, (value, *indices), (places, accumulate))
        return
    refuse_overlap("index_put_", target)
    counter, arrays = writable(target), (target.array, value.array, *(index.array for index in indices))
    kernel: Any = kind.device.kernel("index_put", kind.dtype)
    try:
        kernel(*arrays, places, accumulate, out=target.array)
    except Exception as error:
        raise explain(error, index_put.op, (target, value, *indices), (places, accumulate)) from None
    counter.version += 1


def _write_once(
    target: Tensor, value: Tensor, places: tuple, indices: list[Tensor], accumulate: bool, dims: tuple
) -> None:
    """Write into an expanded tensor: the last, or the sum, of what meets in an element of its memory."""
    begin("index_put_", target, value)
    with no_grad():
        shape = tuple(index_get(target, *indices, places=places).array.shape)
        named = {places[d] for d in dims if d < len(places)} - {None}
        value = _meeting(expand(value, shape), target, places, dims, accumulate)
        indices = [index * 0 if k in named else index for k, index in enumerate(indices)]
        write_at(once_in(target, dims), value, places, indices, accumulate)
    end("index_put_", target, value)


def _meeting(value: Tensor, target: Tensor, places: tuple, dims: tuple[int, ...], accumulate: bool) -> Tensor:
    """Of a value for an expanded tensor what stays along the repeated dims that no index names."""
    named = [d for d, place in enumerate(places) if place is not None]
    rest = [d for d in range(target.array.ndim) if d not in named]
    inner = value.array.ndim - len(rest)
    at = named[0] if named == list(range(named[0], named[0] + len(named))) else 0
    met = tuple(k if k < at else k + inner for k, d in enumerate(rest) if d in dims)
    if accumulate or not met:
        return reduce.sum(value, met, True) if met else value
    last = (slice(-1, None) if k in met else slice(None) for k in range(value.array.ndim))
    return getitem(value, tuple(last))


def _refuse_dtype(target: Tensor, value: Tensor, places: tuple, indices: list[Tensor]) -> None:
    """Raise what is wrong with the index if anything is, else what is wrong with the value's dtype."""
    indexed_shape("setitem", tuple(target.array.shape), [spec_of(index) for index in indices], places)
    raise DTypeError(
        "[setitem] Index put requires the source and destination dtypes match, got "
        f"{target.kind.dtype.name} for the destination and {value.kind.dtype.name} for the source; "
        "convert the value with .to(dtype)"
    )


def delete(self: Tensor, index: Any) -> None:
    """`del self[index]`: never possible."""
    raise ArgumentTypeError("[delitem] Tensor does not support deleting items")


def _put(target: Tensor, value: Tensor) -> None:
    """Write into a view."""
    if value.array.ndim and value.array.shape != target.array.shape:
        value = expand(value, tuple(target.array.shape))
    if value.array.ndim:
        copy_into(target, value)
    else:
        refuse_overlap("setitem", target)
        fill(target, value)


def _simple(entry: slice) -> bool:
    """Whether a slice is of plain ints and goes forward."""
    start, stop, step = entry.start, entry.stop, entry.step
    return (
        (start is None or start.__class__ is int)
        and (stop is None or stop.__class__ is int)
        and (step is None or (step.__class__ is int and step > 0))
    )


def _view(source: Tensor, basic: tuple) -> Tensor:
    return call_view(GETITEM, source, (basic,))


def _without_ones(value: Tensor) -> Tensor:
    """The value without leading dims of size 1, which an assignment overlooks."""
    shape = tuple(value.array.shape)
    while shape and shape[0] == 1:
        shape = shape[1:]
    return value if len(shape) == value.array.ndim else as_shape(value, shape)


def _fills_a_mask(self: Tensor, mask: Any, value: Tensor) -> bool:
    """Write one number where a mask of the leading dims holds, without asking where that is.

    False if the entry is no mask or the value no single number. Errors: IndexingError for a mask of other
    sizes.
    """
    if not isinstance(mask, Tensor) or not mask.array.ndim or value.shape.numel() != 1:
        return False
    if mask.kind.dtype not in MASKS:
        return False
    check_mask(mask, tuple(self.array.shape), 0)
    value = _filling(self, mask.kind.dtype, as_shape(value, ()))
    mask = index_on(self.kind.device, mask)
    extra = self.array.ndim - mask.array.ndim
    mask = as_shape(mask, (*mask.array.shape, *(1,) * extra)) if extra else mask
    fill_where("masked_fill_", self, mask, value)
    return True


def _filling(target: Tensor, mask: DType, value: Tensor) -> Tensor:
    """The one number written where a mask holds, which may have any dtype.

    Errors: DTypeError for a mask of uint8.
    """
    if mask is uint8:
        raise DTypeError(
            "[setitem] masked_fill_ only supports boolean masks, but got one of uint8; convert with .bool()"
        )
    return value if value.kind.dtype is target.kind.dtype else cast(value, target.kind.dtype)


def _as_value(target: Tensor, value: Any) -> Tensor:
    """The value as a tensor on the target's device: a tensor as it is, a number in the target's dtype."""
    if isinstance(value, Tensor):
        away = value.kind.device is not target.kind.device and value.array.ndim == 0
        return to_device(value, target.kind.device) if away else value
    if not isinstance(value, NUMBERS):
        if not _is_whole(value):
            raise ArgumentTypeError(
                f"[setitem] can't assign a {type(value).__name__} to {describe(target)}; give a Tensor or a "
                "number"
            )
        value = value.__index__()
    dtype = target.kind.dtype
    return full((), held_or_infinite("setitem", value, dtype), dtype, target.kind.device)


def _is_whole(value: Any) -> bool:
    """Whether a value is another library's whole number."""
    return hasattr(value, "__index__") and getattr(value, "shape", None) == ()


METHODS: dict[str, Callable] = {"__getitem__": get, "__setitem__": set, "__delitem__": delete}
__all__: list[str] = []
