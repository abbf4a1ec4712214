"""What a new view is told: the memory it shares, its base, and whether autograd may follow its writes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from weakref import ref

from devtensor.core.device import Kind
from devtensor.core.errors import AutogradError
from devtensor.core.node import Node
from devtensor.core.spec import Spec, contiguous_strides
from devtensor.core.state import Mode
from devtensor.core.tensor import Storage, Tensor, View

# Where a view is from that autograd cannot follow a write through, as the error tells it.
NO_GRAD = "A view was created in no_grad mode and {} with grad mode enabled; take it outside no_grad()"
SEVERAL = (
    "This view is the output of a function that returns multiple views, and {}; such functions do not allow "
    "the output views to be modified inplace, write out of place instead"
)


def _node_without_edges() -> Node:
    node = Node()
    node.plan = SimpleNamespace(op=None, formulas=(), joint=None, conjugates=False, empty=True)  # type: ignore[assignment]
    node.seq, node.edges, node.params, node.saved, node.versions = 0, (), (), (), ()
    node.extra = node.shapes = None
    return node


new = View.__new__
NOWHERE = _node_without_edges()
"""The history of a view made under no_grad: it requires a gradient as its base does, and passes none on."""


class Spoiled:
    """The history of a view that was lost when its base was written to; asking for it is an error."""

    __slots__ = ("origin",)

    def __init__(self, origin: str) -> None:
        self.origin = origin

    @property
    def node(self) -> Any:
        said = self.origin.format("its base or another view of its base has been modified inplace")
        raise AutogradError(f"[grad_fn] {said}")

    place = seq = node


RETYPING = frozenset({"bits_as", "imag", "real", "view_as_complex", "view_as_real"})
"""The views that see memory as another dtype."""


def exactly(op: Any, kind: Kind, source: Any, params: tuple, found: Any) -> Any:
    """A view's array with the strides that the op's rule says, where libraries choose: for sizes of 1."""
    if op.name in RETYPING:
        return found
    strides_of = kind.device.backend.strides_of
    strides = strides_of(source)
    if 0 in source.shape and not any(strides):
        strides = contiguous_strides(source.shape)
    spec = Spec(tuple(source.shape), kind.dtype, kind.device, strides)
    shape, wanted = op.shape_rule(op.name, [spec], params)
    have = strides_of(found)
    if wanted == have:
        return found
    kernel: Any = kind.device.kernel("as_strided", kind.dtype)
    return kernel(found, shape, wanted, 0, have)


def _steps_by_one(array: Any) -> bool:
    """Whether an array lies in rows, also by the stride of a last size of 1."""
    return array.flags.c_contiguous and (not array.ndim or array.strides[-1] == array.itemsize)


def attach_view(op: Any, source: Tensor, params: tuple, out: Tensor, mode: Mode, exact: bool = False) -> None:
    """Note that `out` sees the memory of `source` through one more view op.

    `exact` promises that the kernel gave it the strides of the op's rule, if the source is in rows.
    """
    shape = out.array.shape
    if (1 in shape or 0 in shape) and not (exact and 0 not in shape and _steps_by_one(source.array)):
        out.array = exactly(op, source.kind, source.array, params, out.array)
    alias = source.alias
    if alias is None:
        alias = source.alias = Storage(source.array)
    seen = new(View)
    if alias.__class__ is View:
        storage, origin = alias.storage, alias.origin
        base = source if alias.base is None else alias.base
        seen.counter, seen.chain = alias.counter, (*alias.chain, (op.name, params))
    else:
        storage, base, origin = alias, source, None
        seen.counter, seen.chain = alias, ((op.name, params),)
    if mode.grad:
        if origin is not None and source.node.__class__ is Spoiled:
            source.node.node  # noqa: B018 - raises
    else:
        if origin is None:
            origin = NO_GRAD
        if base._requires_grad and not storage.inference:
            out.node, out._requires_grad = NOWHERE, True
            storage.marked = True
    seen.storage, seen.base, seen.origin = storage, base, origin
    out.alias = seen
    views = storage.views
    views.append(ref(out))
    if len(views) > storage.limit:
        storage.forget_dead()


def spoil(storage: Storage, counter: Any) -> None:
    """Take the history from views of a storage that is written to, where autograd cannot follow the write.

    What `.data` gives counts its own writes, which nobody else notices.
    """
    storage.marked = counter is not storage
    for held in storage.views:
        view = held()
        alias = None if view is None else view.alias
        if alias is None or alias.origin is None or alias.counter is not counter:
            continue
        if alias.base is not None and alias.base.requires_grad:
            view.node, view._requires_grad = Spoiled(alias.origin), True  # type: ignore[union-attr, assignment]


def mark_several(views: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Note that these views were made at once: autograd does not follow a write through one of them."""
    for view in views:
        alias = view.alias
        if alias.origin is None:
            alias.origin = SEVERAL
            alias.storage.marked = True
    return views
