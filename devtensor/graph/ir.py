"""The graph: values, nodes, and what flows in and out. Pure data: printable, comparable, without Tensors."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from devtensor.core.tensor import Tensor


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

    `writes` counts the writes by the flag under which they only put back what was there, as in a skipped
    optimizer step; None for those that always count.
    """

    value: Value
    name: str
    written: Value | None = None
    writes: tuple[tuple[Value | None, int], ...] = ()

    @property
    def unless(self) -> Value | None:
        """The one flag that all writes have, if they have one."""
        return self.writes[0][0] if len(self.writes) == 1 else None

    def key(self) -> tuple:
        """The slot by value."""
        return _type(self.value), self.name, _id(self.written), tuple((_id(f), n) for f, n in self.writes)

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


def _id(value: Value | None) -> int | None:
    return None if value is None else value.id


def _type(value: Value) -> tuple:
    return value.id, value.shape, value.dtype.name, str(value.device)


def _node_key(node: GraphNode) -> tuple:
    """The node by value: ids for Values; numbers with their class, since 1 == 1.0 == True, and -0.0 ==
    0.0."""
    inputs = tuple(("v", i.id) if isinstance(i, Value) else (type(i).__name__, repr(i)) for i in node.inputs)
    return node.op, inputs, comparable(node.params), tuple(_type(o) for o in node.outputs)


class Same:
    """An object by identity, without keeping it alive."""

    __slots__ = ("find", "number")

    def __init__(self, value: Any) -> None:
        self.number = id(value)
        self.find: Callable[[], Any]
        try:
            self.find = weakref.ref(value)
        except TypeError:
            self.find = lambda: value

    def __eq__(self, other: object) -> bool:
        mine = self.find()
        return isinstance(other, Same) and mine is not None and mine is other.find()

    def __hash__(self) -> int:
        return self.number


def comparable(value: Any) -> Any:
    """A Python value as something that hashes and compares: numbers with their class, collections by what
    they hold now, and what has no value of its own by identity."""
    if isinstance(value, (tuple, list)):
        return tuple(comparable(v) for v in value)
    if isinstance(value, dict):
        return "dict", tuple((key, comparable(v)) for key, v in value.items())
    if isinstance(value, slice):
        return "slice", value.start, value.stop, value.step
    if isinstance(value, float):
        return "float", repr(value)
    hashing = type(value).__hash__
    if value is None:
        return None
    if hashing is None or hashing is object.__hash__ or isinstance(value, Tensor):
        return Same(value)
    return type(value).__name__, value
