"""The layer that listens: ops go by beneath it and it writes down what happened, as a graph."""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Callable
from typing import Any

from devtensor.core import dispatch
from devtensor.core.device import Device, resolve
from devtensor.core.dtype import float64
from devtensor.core.errors import TraceError
from devtensor.core.op import OPS, Op
from devtensor.core.spec import contiguous_strides
from devtensor.core.state import Layer, current
from devtensor.core.tensor import Storage, Tensor, describe, storage_of
from devtensor.graph.ir import Graph, GraphNode, Slot, Value, comparable

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Entry:
    """What the capture knows of one storage: its current value, and what it was when first met.

    `prefix` is the chain of view ops that the value already has: an input that is a view enters as that view.
    """

    __slots__ = ("flags", "line", "prefix", "slot", "value", "writes")

    def __init__(self, value: Value, slot: Slot | None, prefix: tuple = (), line: str = "") -> None:
        self.value = value
        self.slot = slot
        self.prefix = prefix
        self.line = line
        self.writes = 0
        # The flags under which writes were masked; None among them is a write that always counts.
        self.flags: set[Value | None] = set()


class Outside:
    """Where a slot's memory is found at a replay: a storage, or the gradient that a leaf has then."""

    __slots__ = ("leaf", "shape", "storage", "tensors")

    def __init__(self, storage: Storage, leaf: Tensor | None = None) -> None:
        self.storage = weakref.ref(storage)
        self.leaf = None if leaf is None else weakref.ref(leaf)
        self.shape = tuple(storage.root.shape)
        self.tensors: list[tuple[weakref.ref[Tensor], bool]] = []

    def find(self) -> Storage | None:
        """The storage to read now, or None if it is gone."""
        if self.leaf is None:
            return self.storage()
        leaf = self.leaf()
        gradient = None if leaf is None else leaf.grad
        return None if gradient is None else storage_of(gradient)

    def saw(self, tensor: Tensor) -> None:
        """Remember a tensor through which the memory was reached, to ask at replay if it still is the
        same."""
        if not any(ref() is tensor for ref, _ in self.tensors):
            self.tensors.append((weakref.ref(tensor), tensor.requires_grad))


class Capture(Layer):
    """Listens to everything that runs while it is active."""

    rank = 30

    def __init__(self) -> None:
        self.graph = Graph()
        self.table: weakref.WeakKeyDictionary[Storage, Entry] = weakref.WeakKeyDictionary()
        self.outside: list[Outside] = []
        self.feeds: list[Callable] = []
        self.depends: list[tuple[Callable, Any]] = []
        self.leaves: dict[int, tuple[Tensor, str, Storage | None]] = {}
        self.views: dict[Any, Value] = {}
        self.made = 0
        # Nodes of the tape that a backward inside has used up.
        self.used: set[int] = set()
        # Views made inside, by id: memory outside is not recognised by them later.
        self.views_inside: dict[int, weakref.ref[Tensor]] = {}

    def new_value(self, shape: tuple[int, ...], kind: Any) -> Value:
        value = Value(self.made, tuple(shape), kind.dtype, self.real(kind.device))
        self.made += 1
        return value

    def real(self, device: Device) -> Device:
        """The device that the graph names; a trace puts the target in place of what stood in for it."""
        return device

    def add_input(self, tensor: Tensor, name: str, whole: bool) -> None:
        """Enter an argument: as the view that it is, or, if arguments overlap, as the whole of its memory."""
        storage = storage_of(tensor)
        if storage in self.table:
            return
        value = self.new_value(storage.root.shape if whole else tensor.array.shape, tensor.kind)
        slot = Slot(value, name)
        self.graph.inputs.append(slot)
        self.table[storage] = Entry(value, slot, () if whole else tensor.alias.chain)

    def value_of(self, tensor: Tensor) -> Value:
        """The value that the tensor has now: its storage's, seen through its chain of views."""
        storage = storage_of(tensor)
        entry = self.table.get(storage) or self.open_slot(storage, tensor)
        chain = tensor.alias.chain
        if chain[: len(entry.prefix)] != entry.prefix:
            raise TraceError(
                f"[capture] {describe(tensor)} sees memory of an input outside the view that was passed; "
                f"pass the whole tensor, or a clone of its part\n{user_line()}"
            )
        if entry.slot is not None and self.outside and entry.slot in self.graph.slots:
            born = self.views_inside.get(id(tensor))
            if born is None or born() is not tensor:
                self.outside[self.graph.slots.index(entry.slot)].saw(tensor)
        value = entry.value
        for name, params in chain[len(entry.prefix) :]:
            value = self.view(value, name, params)
        return value

    def open_slot(
        self, storage: Storage, tensor: Tensor, leaf: Tensor | None = None, name: str = ""
    ) -> Entry:
        """Memory met for the first time that nothing here made: it is read by reference."""
        value = self.new_value(storage.root.shape, tensor.kind)
        slot = Slot(value, name or f"s{len(self.graph.slots)}")
        self.graph.slots.append(slot)
        self.outside.append(Outside(storage, leaf))
        entry = self.table[storage] = Entry(value, slot)
        return entry

    def view(self, value: Value, name: str, params: tuple) -> Value:
        """The value seen through one view op, noted once."""
        key = value.id, name, comparable(params)
        if key not in self.views:
            out = Value(self.made, view_shape(name, value.shape, params), value.dtype, value.device)
            self.made += 1
            self.graph.nodes.append(GraphNode(name, (value,), params, (out,), user_line()))
            self.views[key] = out
        return self.views[key]

    def call(self, op: Op, inputs: tuple, params: tuple, below: Any) -> Any:
        """Let an op happen, then note it, unless it dissolved into ops already heard or is a view."""
        if op.data_dependent:
            raise TraceError(
                f"[{op.name}] the result's shape depends on the numbers of {describe(inputs[0])}, which a "
                "graph cannot "
                f"hold; use where() or a mask of fixed shape, or do it outside\n{user_line()}"
            )
        out = below(op, inputs, params)
        outs = out if isinstance(out, tuple) else (out,)
        storages = [storage_of(o) for o in outs]
        sources = {storage_of(i) for i in inputs if isinstance(i, Tensor)}
        if any(s in self.table or s in sources for s in storages):
            if op.view:
                self.views_inside[id(out)] = weakref.ref(outs[0])
            return out
        self.note(op.name, inputs, params, outs)
        return out

    def note(self, name: str, inputs: tuple, params: tuple, outs: tuple[Tensor, ...]) -> None:
        """Write down one op."""
        line = user_line()
        values = tuple(self.value_of(i) if isinstance(i, Tensor) else i for i in inputs)
        made = []
        for out in outs:
            value = self.new_value(out.array.shape, out.kind)
            self.table[storage_of(out)] = Entry(value, None, (), line)
            made.append(value)
        params = tuple(self.real(p) if isinstance(p, Device) else p for p in params)
        self.graph.nodes.append(GraphNode(name, values, params, tuple(made), line))

    def write(self, dst: Tensor, src: Tensor, below: Any) -> None:
        """Let a write happen; the storage has a new value from here on."""
        source, old = self.value_of(src), self.value_of(dst)
        below(dst, src)
        if source.shape != old.shape:
            source = self.view(source, "expand", (old.shape,))
        entry = self.table[storage_of(dst)]
        chain = dst.alias.chain[len(entry.prefix) :]
        entry.writes += 1
        entry.flags.add(self.flag_of(dst))
        if not chain:
            entry.value = source
            return
        value = Value(self.made, entry.value.shape, entry.value.dtype, entry.value.device)
        self.made += 1
        self.graph.nodes.append(
            GraphNode("overwrite", (entry.value, source), (chain,), (value,), user_line())
        )
        entry.value = value

    def flag_of(self, dst: Tensor) -> Value | None:
        """The flag of the layer above that masks writes, if one does."""
        for layer in current().layers:
            flag = getattr(layer, "flag_on", None)
            if flag is not None:
                return self.value_of(flag(dst.device))
        return None

    def host_read(self, tensor: Tensor, asked: str) -> None:
        raise TraceError(
            f"[{asked}] reads the numbers of {describe(tensor)} on the host while a graph is captured; "
            f"keep it a tensor, or do it outside the captured function\n{user_line()}"
        )

    def feed(self, getter: Callable) -> Any:
        """A number that is data becomes a 0-d float64 value, read anew at each replay."""
        number = getter()
        if isinstance(number, Tensor):
            return number
        tensor = dispatch.run(OPS["full"], (), ((), float(number), float64, self.feed_device()))
        value = self.new_value((), tensor.kind)
        self.graph.feeds.append(value)
        self.feeds.append(getter)
        self.table[storage_of(tensor)] = Entry(value, None)
        return tensor

    def feed_device(self) -> Device:
        return resolve("cpu")

    def depend(self, getter: Callable) -> Any:
        value = getter()
        self.depends.append((getter, value))
        return value

    def grad_read(self, leaf: Tensor) -> None:
        """The first touch of a `.grad`: what it is now is the slot "gradient at entry"."""
        if id(leaf) in self.leaves:
            return
        storage = storage_of(leaf)
        entry = self.table.get(storage)
        if entry is not None and entry.slot is None:
            return
        if entry is None:
            self.value_of(leaf)
            entry = self.table[storage]
        before = getattr(leaf, "_grad", None)
        name = f"{entry.slot.name}.grad"  # type: ignore[union-attr]
        self.leaves[id(leaf)] = leaf, name, None if before is None else storage_of(before)
        if before is not None and storage_of(before) not in self.table:
            self.open_slot(storage_of(before), before, leaf, name)

    def released(self, node: Any) -> None:
        self.used.add(node.seq)

    def refuse_history(self, outputs: list[Tensor]) -> None:
        """Refuse results through which a gradient could still flow: a replay's could not.

        Errors: TraceError naming the result.
        """
        for out in outputs:
            if out.node is not None and out.node.node.seq not in self.used:
                raise TraceError(
                    f"[capture] the result {describe(out)} of {out.node.node.op.name} has history that no "
                    "backward inside used; a replay has none. detach() it, or call the function under "
                    "no_grad()"
                )

    def finish(self, outputs: list[Tensor]) -> Graph:
        """Close the graph: outputs, gradients left behind, and what was written."""
        graph = self.graph
        self.refuse_history(outputs)
        graph.outputs = [self.value_of(out) for out in outputs]
        for leaf, name, before in self.leaves.values():
            now = getattr(leaf, "_grad", None)
            if now is None and before is not None:
                graph.binds.append((name, None))
            elif now is not None and storage_of(now) is not before:
                graph.binds.append((name, self.value_of(now)))
        for entry in list(self.table.values()):
            if entry.slot is not None and entry.writes:
                entry.slot.written, entry.slot.writes = entry.value, entry.writes
                entry.slot.unless = next(iter(entry.flags)) if len(entry.flags) == 1 else None
        return graph

    def left_alive(self, outputs: list[Tensor]) -> list[str]:
        """Lines that made storages which outlive the call, though they are no output and no gradient."""
        kept = {storage_of(out) for out in outputs}
        gradients = [getattr(leaf, "_grad", None) for leaf, _, _ in self.leaves.values()]
        kept |= {storage_of(g) for g in gradients if g is not None}
        return [
            entry.line
            for s, entry in self.table.items()
            if entry.slot is None and entry.line and s not in kept
        ]


def view_shape(name: str, shape: tuple[int, ...], params: tuple) -> tuple[int, ...]:
    """The shape that a view op gives; whether memory allows it is settled where the graph runs."""
    from devtensor.core.spec import Spec

    if name == "reshape":
        return tuple(params[0])
    spec = Spec(shape, None, None, contiguous_strides(shape))  # type: ignore[arg-type]
    return tuple(OPS[name].shape_rule(name, [spec], params)[0])


def user_line() -> str:
    """Where in the user's code we are: the innermost frame outside the package."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((PACKAGE, "<")):
            return f'  File "{file}", line {frame.f_lineno}, in {frame.f_code.co_name}'
        frame = frame.f_back
    return "  (no line of the user's found)"
