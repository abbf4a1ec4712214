"""A tensor object made to see other memory, or more of it: `resize_`, `set_` and their kin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.core.device import Kind
from devtensor.core.errors import AutogradError, DTypeError, ShapeError
from devtensor.core.history import check_leaf
from devtensor.core.inplace import writable
from devtensor.core.overlap import offset_of
from devtensor.core.spec import contiguous_strides
from devtensor.core.state import current
from devtensor.core.tensor import Storage, Tensor, View, describe, share, storage_of, strides_of
from devtensor.functions.shaping import sizes
from devtensor.functions.striding import anchor, as_strided, storage_size
from devtensor.ops.strided import reach

__all__: list[str] = []


def _kernel(kind: Kind, name: str) -> Callable:
    found = kind.device.kernel(name, kind.dtype)
    assert found is not None, name
    return found


def resize_(self: Tensor, *size: Any, memory_format: Any = None) -> Tensor:
    """Give the tensor another shape in place, row-major; its storage grows if need be and keeps its data.

    Errors: AutogradError for a tensor that requires grad.
    """
    shape = sizes(size)
    if self.requires_grad:
        raise AutogradError("[resize_] cannot resize variables that require grad; use clone() or reshape()")
    if tuple(self.array.shape) != shape:
        see(self, shape, contiguous_strides(shape))
        writable(self).version += 1
    return self


def see(self: Tensor, shape: tuple, strides: tuple) -> None:
    """Make the tensor see its storage, from its first element on, in another way; the storage grows to it."""
    needed = offset_of(self) + reach(shape, strides)
    if needed > storage_size(self):
        grow(self, needed)
    alias, offset = self.alias, offset_of(self)
    source = anchor(self)
    step = ("as_strided", (shape, strides, offset - offset_of(source), strides_of(source)))
    self.array = _kernel(self.kind, "as_strided")(source.array, *step[1])
    self.alias = View(alias.storage, (*source.alias.chain, step), None, alias.counter)


def grow(self: Tensor, count: int) -> None:
    """Give the tensor's storage room for `count` elements; all that see it go on seeing their part."""
    storage = storage_of(self)
    kind, old = self.kind, storage.root
    if any(step[0] == "bits_as" for step in self.alias.chain):
        raise ShapeError(
            f"[resize_] {describe(self)} reads memory of another dtype, which cannot grow; clone() it"
        )
    layout = kind.device.backend.strides_of(old)
    have = reach(tuple(old.shape), layout)
    new = _kernel(kind, "full")((count,), 0, kind.dtype.name)
    strided, write = _kernel(kind, "as_strided"), _kernel(kind, "write")
    if have:
        write(strided(new, (have,), (1,), 0, (1,)), strided(old, (have,), (1,), 0, layout))
    others = [view for ref in storage.views if (view := ref()) is not None]
    if any(view.kind is not kind for view in others):
        raise ShapeError(
            f"[resize_] {describe(self)} has views that read it as another dtype, which cannot follow it to "
            "larger memory; clone() it"
        )
    others += [view.alias.base for view in others if view.alias.base is not None]
    seen = {id(t): (t, tuple(t.array.shape), strides_of(t), offset_of(t)) for t in (self, *others)}
    # What is not known to see it, as by `.data`, stays with the old memory.
    larger = Storage(new)
    larger.version, larger.marked = storage.version, storage.marked
    larger.views = [ref for ref in storage.views if ref() is not None]
    for tensor, shape, strides, offset in seen.values():
        step = (shape, strides, offset, (1,))
        tensor.array = strided(new, *step)
        alias = tensor.alias
        counter = larger if alias.counter is storage else alias.counter
        tensor.alias = View(larger, (("as_strided", step),), alias.base, counter, alias.origin)


def resize_as_(self: Tensor, the_template: Tensor, *, memory_format: Any = None) -> Tensor:
    """Give the tensor another's shape in place."""
    return resize_(self, tuple(the_template.array.shape))


def set_(
    self: Tensor, source: Any = None, storage_offset: int = 0, size: Any = None, stride: Any = None
) -> Tensor:
    """Make this object see another tensor's memory, or a storage's; without a source, none.

    Errors: AutogradError for a leaf that requires grad, DTypeError for another dtype.
    """
    if source is None:
        source = _empty(self.kind)
    elif not isinstance(source, Tensor):
        source = share(source.held)
    if source.kind is not self.kind:
        raise DTypeError(
            f"[set_] source is {describe(source)} for {describe(self)}; dtype and device must be equal"
        )
    if current().grad:
        check_leaf("set_", self, (source,))
    counter = writable(self)
    seen = share(source)
    if size is not None:
        shape = sizes((size,))
        seen = as_strided(
            seen, shape, contiguous_strides(shape) if stride is None else stride, storage_offset
        )
    self.array = seen.array
    self.alias = View(seen.alias.storage, seen.alias.chain, None, counter)
    counter.version += 1
    return self


def _empty(kind: Kind) -> Tensor:
    made = Tensor.__new__(Tensor)
    made.array, made.kind, made.node = _kernel(kind, "full")((0,), 0, kind.dtype.name), kind, None
    made._requires_grad, made.alias = False, None
    made.alias = Storage(made.array)
    return made


METHODS: dict[str, Callable] = {f.__name__: f for f in (resize_, resize_as_, set_)}
