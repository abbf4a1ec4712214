"""The graph: values, nodes, and what flows in and out. Pure data: printable, comparable, without Tensors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False, slots=True)
class Value:
    """One array in the graph, made once: by a node, or given from outside."""

    id: int
    shape: tuple[int, ...]
    dtype: Any
    device: Any

    def __repr__(self) -> str:
        return f"%{self.id}"

    def typed(self) -> str:
        """The value with its type: `%3: f32[8, 128]`."""
        return f"%{self.id}: {self.dtype.short}[{', '.join(map(str, self.shape))}]"


@dataclass(eq=False, slots=True)
class GraphNode:
    """One op applied to values and Python numbers; `line` is where the user asked for it."""

    op: str
    inputs: tuple
    params: tuple
    outputs: tuple[Value, ...]
    line: str = ""

    def __repr__(self) -> str:
        outs = ", ".join(o.typed() for o in self.outputs)
        inside = ", ".join([*map(repr, self.inputs), *map(repr, self.params)])
        return f"{outs} = {self.op}({inside})"


@dataclass(eq=False, slots=True)
class Slot:
    """Memory outside the graph that it reads, writes, or both; `name` says which to a reader.

    `unless` is a flag under which every write only puts back what was there, as in a skipped optimizer step.
    """

    value: Value
    name: str
    written: Value | None = None
    writes: int = 0
    unless: Value | None = None

    def key(self) -> tuple:
        """The slot by value."""
        return _type(self.value), self.name, _id(self.written), self.writes, _id(self.unless)

    def __str__(self) -> str:
        condition = "" if self.unless is None else f" unless {self.unless!r}"
        return f"write {self.name} <- {self.written!r}{condition}"


@dataclass(eq=False)
class Graph:
    """What a function did: inputs given at each run, feeds read anew, slots in memory, nodes, outputs.

    `binds` are the gradients left behind: (leaf's slot name, value or None).
    """

    inputs: list[Slot] = field(default_factory=list)
    feeds: list[Value] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    nodes: list[GraphNode] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    binds: list[tuple[str, Value | None]] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{slot.value.typed()} = input {slot.name}" for slot in self.inputs]
        lines += [f"{value.typed()} = feed" for value in self.feeds]
        lines += [f"{slot.value.typed()} = slot {slot.name}" for slot in self.slots]
        lines += [repr(node) for node in self.nodes]
        lines += [str(slot) for slot in self.written()]
        lines += [f"grad {name} <- {value!r}" for name, value in self.binds]
        return "\n".join([*lines, f"return {', '.join(map(repr, self.outputs))}"])

    def signature(self) -> tuple:
        """Everything that makes two captures the same graph; lines of code do not."""
        return (
            tuple(slot.key() for slot in self.inputs),
            tuple(_type(v) for v in self.feeds),
            tuple(slot.key() for slot in self.slots),
            tuple(_node_key(node) for node in self.nodes),
            tuple(map(_id, self.outputs)),
            tuple((name, _id(value)) for name, value in self.binds),
        )

    def written(self) -> list[Slot]:
        """The inputs and slots that the graph writes into."""
        return [slot for slot in (*self.inputs, *self.slots) if slot.written is not None]

    def given(self) -> Iterable[Value]:
        """The values that no node makes."""
        yield from (slot.value for slot in self.inputs)
        yield from self.feeds
        yield from (slot.value for slot in self.slots)

    def producers(self) -> dict[int, GraphNode]:
        """The node that made each value, by the value's id."""
        return {out.id: node for node in self.nodes for out in node.outputs}


def _id(value: Value | None) -> int | None:
    return None if value is None else value.id


def _type(value: Value) -> tuple:
    return value.id, value.shape, value.dtype.name, str(value.device)


def _node_key(node: GraphNode) -> tuple:
    """The node by value: ids for Values; numbers with their class, since 1 == 1.0 == True, and -0.0 ==
    0.0."""
    inputs = tuple(("v", i.id) if isinstance(i, Value) else (type(i).__name__, repr(i)) for i in node.inputs)
    return node.op, inputs, comparable(node.params), tuple(_type(o) for o in node.outputs)


def comparable(params: Any) -> Any:
    """Parameters as something that compares by value and hashes."""
    if isinstance(params, (tuple, list)):
        return tuple(comparable(p) for p in params)
    if isinstance(params, slice):
        return "slice", params.start, params.stop, params.step
    if isinstance(params, float):
        return "float", repr(params)
    return type(params).__name__, params
