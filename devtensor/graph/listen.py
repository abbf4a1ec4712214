"""The layer that listens: ops go by beneath it and it writes down what happened, as a graph."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from devtensor.core import dispatch
from devtensor.core.callers import user_line
from devtensor.core.device import Device, resolve
from devtensor.core.dtype import float64
from devtensor.core.errors import TraceError
from devtensor.core.node import next_seq
from devtensor.core.op import OPS, Op
from devtensor.core.state import Layer, current
from devtensor.core.tensor import Storage, Tensor, describe, storage_of, strides_of
from devtensor.graph.ir import Graph, GraphNode, Slot, Value, comparable
from devtensor.graph.memory import Entry, Gradient, Leaf, Outside
from devtensor.graph.views import root_kind, view_dtype, view_shape


class Capture(Layer):
    """Listens to everything that runs while it is active."""

    rank = 30

    def __init__(self) -> None:
        self.graph = Graph()
        self.table: weakref.WeakKeyDictionary[Storage, Entry] = weakref.WeakKeyDictionary()
        self.outside: list[Outside] = []
        self.feeds: list[Callable] = []
        self.depends: list[tuple[Callable, Any]] = []
        self.gradients: list[Gradient] = []
        # While the capture runs: places of arguments and leaves whose `.grad` was touched, with the storage
        # that it had, by the tensor's id.
        self.places: dict[int, int] = {}
        self.leaves: dict[int, tuple[Tensor, Gradient, Storage | None]] = {}
        self.views: dict[Any, Value] = {}
        self.made = 0
        # Nodes of the tape that a backward inside has used up, and the latest that was there before.
        self.used: set[int] = {0}
        self.born = next_seq()

    def new_value(self, shape: tuple[int, ...], kind: Any) -> Value:
        value = Value(self.made, tuple(shape), kind.dtype, self.real(kind.device))
        self.made += 1
        return value

    def real(self, device: Device) -> Device:
        """The device that the graph names; a trace puts the target in place of what stood in for it."""
        return device

    def add_input(self, tensor: Tensor, place: int, whole: bool = False) -> None:
        """Enter an argument: as the view that it is, or, if arguments overlap, as the whole of its memory."""
        self.places.setdefault(id(tensor), place)
        storage = storage_of(tensor)
        if storage in self.table:
            return
        kind = root_kind(tensor) if whole else tensor.kind
        value = self.new_value(storage.root.shape if whole else tensor.array.shape, kind)
        slot = Slot(value, f"arg{place}")
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
        if entry.outside is not None:
            entry.outside.saw(tensor)
        value = entry.value
        for name, params in chain[len(entry.prefix) :]:
            value = self.view(value, name, params)
        return value

    def open_slot(self, storage: Storage, tensor: Tensor, leaf: Leaf | None = None, name: str = "") -> Entry:
        """Memory met for the first time that nothing here made: it is read by reference."""
        value = self.new_value(storage.root.shape, root_kind(tensor))
        slot = Slot(value, name or f"s{len(self.graph.slots)}")
        self.graph.slots.append(slot)
        outside = Outside(storage, leaf)
        self.outside.append(outside)
        entry = self.table[storage] = Entry(value, slot, outside=outside)
        return entry

    def view(self, value: Value, name: str, params: tuple) -> Value:
        """The value seen through one view op, noted once."""
        key = value.id, name, comparable(params)
        if key not in self.views:
            shape, dtype = view_shape(name, value.shape, params), view_dtype(name, value.dtype, params)
            out = Value(self.made, shape, dtype, value.device)
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
        self.refuse_outer_history(inputs)
        out = below(op, inputs, params)
        outs = out if isinstance(out, tuple) else (out,)
        storages = [storage_of(o) for o in outs]
        sources = {storage_of(i) for i in inputs if isinstance(i, Tensor)}
        if any(s in self.table or s in sources for s in storages):
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
            self.table[storage_of(out)] = Entry(value, line=line)
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
        if not chain:
            source = self.laid_like(source, src, dst)
        else:
            value = Value(self.made, entry.value.shape, entry.value.dtype, entry.value.device)
            self.made += 1
            self.graph.nodes.append(
                GraphNode("overwrite", (entry.value, source), (chain,), (value,), user_line())
            )
            source = value
        entry.wrote(source, self.flag_of(dst))

    def laid_like(self, value: Value, src: Tensor, dst: Tensor) -> Value:
        """What is written, laid out as the memory that it is written to: what reads it goes in that order."""
        shape, found, wanted = dst.array.shape, strides_of(src), strides_of(dst)
        if src.array.shape == shape and all(
            f == w for f, w, size in zip(found, wanted, shape, strict=True) if size > 1
        ):
            return value
        made = Value(self.made, value.shape, value.dtype, value.device)
        self.made += 1
        self.graph.nodes.append(GraphNode("lay_out", (value,), (wanted,), (made,), user_line()))
        return made

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
            return self.depend(getter)
        tensor = dispatch.run(OPS["full"], (), ((), float(number), float64, self.feed_device()))
        value = self.new_value((), tensor.kind)
        self.graph.feeds.append(value)
        self.feeds.append(getter)
        self.table[storage_of(tensor)] = Entry(value)
        return tensor

    def feed_device(self) -> Device:
        return resolve("cpu")

    def depend(self, getter: Callable) -> Any:
        value = getter()
        self.depends.append((getter, comparable(value)))
        return value

    def grad_read(self, leaf: Tensor) -> None:
        """The first touch of a `.grad`: what it is now is the slot "gradient at entry"."""
        if id(leaf) in self.leaves:
            return
        entry = self.table.get(storage_of(leaf))
        if entry is not None and entry.slot is None:
            return
        if entry is None:
            self.value_of(leaf)
            entry = self.table[storage_of(leaf)]
        elif entry.outside is not None:
            entry.outside.saw(leaf)
        name = self.gradient_name(f"{entry.slot.name}.grad")  # type: ignore[union-attr]
        owner = Leaf(leaf, self.places.get(id(leaf)))
        before = getattr(leaf, "_grad", None)
        if before is None:
            self.leaves[id(leaf)] = leaf, Gradient(owner, name, None, ()), None
            return
        storage = storage_of(before)
        held = self.table.get(storage) or self.open_slot(storage, before, owner, name)
        self.leaves[id(leaf)] = leaf, Gradient(owner, name, held.slot, before.alias.chain), storage

    def gradient_name(self, name: str) -> str:
        """The name, with a mark if another leaf in the same memory has it."""
        taken = {gradient.name for _, gradient, _ in self.leaves.values()}
        while name in taken:
            name += "'"
        return name

    def released(self, node: Any) -> None:
        self.refuse_older(node)
        self.used.add(node.seq)

    def refuse_outer_history(self, inputs: tuple) -> None:
        """Refuse inputs through which a gradient could flow to what ran before the capture."""
        if current().grad:
            for value in inputs:
                if isinstance(value, Tensor) and value.node is not None:
                    self.refuse_older(value.node.node)

    def refuse_older(self, node: Any) -> None:
        """Refuse a node of the tape that was recorded before the capture began.

        Errors: TraceError with the user's line.
        """
        if 0 < node.seq < self.born:
            raise TraceError(
                f"[capture] a result of {node.op.name} that was made outside has history; a replay would go "
                f"back the way of the first one. detach() it, or compute it inside\n{user_line()}"
            )

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

    def finish(self, outputs: list[Tensor]) -> list[Tensor]:
        """Close the graph: outputs, gradients left behind, and what was written. Gives those gradients."""
        graph = self.graph
        self.refuse_history(outputs)
        graph.outputs = [self.value_of(out) for out in outputs]
        bound = []
        for leaf, gradient, before in self.leaves.values():
            self.gradients.append(gradient)
            now = getattr(leaf, "_grad", None)
            if now is None and before is not None:
                graph.binds.append((gradient.name, None))
            elif now is not None and storage_of(now) is not before:
                self.refuse_history([now])
                graph.binds.append((gradient.name, self.value_of(now)))
                bound.append(now)
        self.leaves.clear()
        for entry in list(self.table.values()):
            if entry.slot is not None and entry.writes:
                entry.slot.written, entry.slot.writes = entry.value, tuple(entry.writes.items())
        return bound

    def left_alive(self, results: list[Tensor]) -> list[str]:
        """Lines that made storages which outlive the call, though they are no result of it."""
        kept = {storage_of(result) for result in results}
        return [
            entry.line
            for s, entry in self.table.items()
            if entry.slot is None and entry.line and s not in kept
        ]
