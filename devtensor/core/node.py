"""The nodes of the tape: one for each recorded op, as backward and users see them."""

from __future__ import annotations

import sys
import weakref
from itertools import count
from typing import Any

from devtensor.core.derivatives import Plan
from devtensor.core.errors import AutogradError
from devtensor.core.hooks import Hooks, RemovableHandle, add_hook
from devtensor.core.node_names import node_name
from devtensor.core.op import Op
from devtensor.core.tensor import Tensor

# The next node's place in the order of recording.
next_seq = count(1).__next__


class Extra:
    """What few nodes keep: outputs, the kinds of several outputs, Specs of the inputs, hooks, notes.

    `packed` tells that saved-tensor hooks hold what was saved.
    """

    __slots__ = ("blanks", "hooks", "metadata", "outs", "packed", "specs", "versions")

    def __init__(self) -> None:
        self.outs: tuple[Tensor, ...] = ()
        self.versions: tuple[int, ...] = ()
        self.blanks: list | None = None
        self.specs: Any = None
        self.hooks: Hooks | None = None
        self.metadata: dict | None = None
        self.packed = False


class Node:
    """One recorded op: edges to what made its inputs, and the values its formulas need.

    `edges` hold, per input, None, the leaf Tensor, or the Node or Output that made it. `seq` orders nodes.
    `saved` becomes None when backward has freed it.
    """

    __slots__ = ("__weakref__", "edges", "extra", "params", "plan", "saved", "seq", "shapes", "versions")
    plan: Plan
    edges: tuple
    params: tuple
    saved: tuple | None
    versions: tuple
    extra: Extra | None
    shapes: tuple | None
    seq: int

    # A node is itself the edge to its one output; several outputs have an Output each.
    place = 0

    @property
    def node(self) -> Node:
        return self

    @property
    def op(self) -> Op:
        return self.plan.op

    # A node whose derivative is no formula of an op has a method for it: gradients of its outputs in,
    # (input place, gradient) pairs out.
    own: Any = None

    def name(self) -> str:
        """The node's name as PyTorch prints it: `MulBackward0`."""
        return node_name(self.op.name, self.params)

    def named(self) -> Node:
        """The node as users see it: of a class with the node's name."""
        if type(self) is Node:
            self.__class__ = _named_class(self.name())
        return self

    @property
    def next_functions(self) -> tuple:
        """The nodes that made the inputs, with the place of the output; None where nothing is recorded."""
        return tuple([_followed(edge) for edge in self.edges])

    @property
    def metadata(self) -> dict:
        """Notes of users' own."""
        extra = self.with_extra()
        if extra.metadata is None:
            extra.metadata = {}
        return extra.metadata

    def register_hook(self, fn: Any) -> RemovableHandle:
        """Call `fn(grad_inputs, grad_outputs)` after the node ran; a tuple that it returns replaces
        grad_inputs."""
        return add_hook(self.hooks().after, fn)

    def register_prehook(self, fn: Any) -> RemovableHandle:
        """Call `fn(grad_outputs)` before the node runs; a tuple that it returns replaces them."""
        return add_hook(self.hooks().before, fn)

    def hooks(self) -> Hooks:
        """The node's hooks, made now if it has none."""
        extra = self.with_extra()
        if extra.hooks is None:
            extra.hooks = Hooks()
        return extra.hooks

    def with_extra(self) -> Extra:
        """The node's Extra, made now if it has none."""
        if self.extra is None:
            self.extra = Extra()
        return self.extra

    def check_alive(self) -> None:
        """Refuse to use what backward has freed."""
        if self.saved is None:
            raise AutogradError(
                f"[{self.name()}] Trying to backward through the graph a second time (or directly access "
                "saved tensors after they have already been freed); pass retain_graph=True to the first "
                "backward() or grad()"
            )

    def _sequence_nr(self) -> int:
        return self.seq

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_saved_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self._saved(name.removeprefix("_saved_"))

    def _saved(self, name: str) -> Any:
        """What the node keeps under this name; PyTorch calls the first input `self`, the output `result`."""
        self.check_alive()
        op, name = self.op, "input" if name == "self" else name
        if name in op.parameters:
            return self.params[op.parameters.index(name)]
        kept: dict[str, Any] = {
            op.input_name(place): value for place, value in zip(self.plan.save, self.saved or (), strict=True)
        }
        if self.plan.save_out:
            kept["result"] = self.with_extra().outs[0]
        if name not in kept and name not in op.inputs:
            raise AttributeError(f"{self.name()} keeps no {name!r}; it keeps {sorted(kept)}")
        value: Any = kept.get(name)
        return value.shown() if hasattr(value, "packed") else value

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"


_classes: dict[str, type[Node]] = {}


def _named_class(name: str) -> type[Node]:
    if name not in _classes:
        _classes[name] = type(name, (Node,), {"__slots__": (), "__module__": __name__})
    return _classes[name]


def _followed(edge: Any) -> tuple:
    if edge is None:
        return None, 0
    return (accumulator(edge), 0) if isinstance(edge, Tensor) else (edge.node.named(), edge.place)


class AccumulateGrad(Node):
    """What stands for a leaf where a graph is walked; hooks on it are kept by the leaf."""

    __slots__ = ("variable",)

    def __init__(self, variable: Tensor) -> None:
        self.variable = variable
        self.edges, self.params, self.saved, self.versions = (), (), (), ()
        self.extra, self.shapes, self.seq = None, None, sys.maxsize

    def name(self) -> str:
        """The name as PyTorch prints it."""
        return "torch::autograd::AccumulateGrad"

    def hooks(self) -> Hooks:
        """The leaf's hooks of this kind, made now if it has none."""
        hooked_leaves[id(self.variable)] = self.variable
        return self.variable.__dict__.setdefault("_accumulator_hooks", Hooks())

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {id(self):#x}>"


# The leaves that ever had a hook, by id: backward counts how often each is used, to know when it is done.
hooked_leaves: weakref.WeakValueDictionary[int, Tensor] = weakref.WeakValueDictionary()


def accumulator(leaf: Tensor) -> AccumulateGrad:
    """The node that stands for a leaf: the same one for as long as somebody holds it."""
    ref = leaf.__dict__.get("_accumulator")
    node = None if ref is None else ref()
    if node is None:
        node = AccumulateGrad(leaf)
        leaf.__dict__["_accumulator"] = weakref.ref(node)
    return node


class Output:
    """The edge to one of several outputs of a node."""

    __slots__ = ("node", "place")

    def __init__(self, node: Node, place: int) -> None:
        self.node = node
        self.place = place

    @property
    def seq(self) -> int:
        return self.node.seq


def edge_of(value: Any) -> Any:
    """What the tape points at for this input."""
    if not isinstance(value, Tensor) or not value.requires_grad:
        return None
    return value if value.node is None else value.node
