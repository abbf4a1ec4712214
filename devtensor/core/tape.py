"""The tape: what an op leaves behind so that backward can run."""

from __future__ import annotations

from itertools import count
from typing import Any, NamedTuple

from devtensor.core.errors import AutogradError
from devtensor.core.op import GRADIENT, GRADIENTS, LIKE, OUT, OUTS, PARAMETER, REST, SAVED, Formula, Op, Rule
from devtensor.core.spec import Like
from devtensor.core.tensor import Tensor, describe, share

_sequence = count(1).__next__


class Plan:
    """For one op and one set of inputs that need gradients: the rules to run and what they need kept."""

    __slots__ = (
        "broadcasts", "formulas", "joint", "keep_extra", "op", "save", "save_out", "save_specs", "unwritten"
    )  # fmt: skip

    def __init__(self, op: Op, mask: tuple[bool, ...]) -> None:
        self.op = op
        rules = {place: _rule_for(op, place) for place, need in enumerate(mask) if need and not op.joint}
        needs = {need for rule in rules.values() if rule for need in rule.needs}
        needs |= set(op.joint.needs if op.joint else ())
        self.save = tuple(place for place in range(len(mask)) if op.input_name(place) in needs)
        self.unwritten = (0,) * len(self.save)
        self.formulas = tuple(
            Formula(place, rule.function, _sources(op, rule, self.save))
            for place, rule in rules.items()
            if rule
        )
        self.joint = Formula(-1, op.joint.function, _sources(op, op.joint, self.save)) if op.joint else None
        self.save_out = bool(needs & {"out", "outs"})
        self.save_specs = "like" in needs
        self.keep_extra = self.save_out or self.save_specs
        self.broadcasts = op.shape_rule.__name__ == "broadcast"

    @property
    def empty(self) -> bool:
        """Whether nothing of the op is differentiable."""
        return not self.formulas and self.joint is None


def _rule_for(op: Op, place: int) -> Rule | None:
    """The formula of the input at this place; None where it is declared to have none.

    Errors: AutogradError if the declaration is silent: a gradient must not vanish unsaid.
    """
    name = op.input_name(place)
    if op.rules and name not in op.rules:
        raise AutogradError(f"[{op.name}] the derivative for '{name}' is not implemented; detach() it first")
    return op.rules.get(name)


def plan_of(op: Op, mask: tuple[bool, ...]) -> Plan:
    """The op's Plan for inputs of which those in `mask` need gradients."""
    plan = op.tapes.get(mask)
    if plan is None:
        plan = op.tapes[mask] = Plan(op, mask)
    return plan


def _sources(op: Op, rule: Rule, save: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    codes = {"g": GRADIENT, "gs": GRADIENTS, "out": OUT, "outs": OUTS, "like": LIKE}
    found = []
    for need in rule.needs:
        if need in codes:
            found.append((codes[need], 0))
        elif need in op.parameters:
            found.append((PARAMETER, op.parameters.index(need)))
        elif need == op.variadic:
            first = op.inputs.index(need)
            found.append((REST, sum(1 for place in save if place < first)))
        else:
            found.append((SAVED, save.index(op.inputs.index(need))))
    return tuple(found)


class Extra:
    """What few nodes keep: outputs, the kinds of several outputs, Specs of the inputs, hooks."""

    __slots__ = ("blanks", "hooks", "outs", "specs", "versions")

    def __init__(self) -> None:
        self.outs: tuple[Tensor, ...] = ()
        self.versions: tuple[int, ...] = ()
        self.blanks: list | None = None
        self.specs: Any = None
        self.hooks: list = []


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

    def name(self) -> str:
        """The node's name as PyTorch prints it: `MulBackward0`."""
        return "".join(part.capitalize() for part in self.op.name.split("_")) + "Backward0"

    @property
    def next_functions(self) -> tuple:
        """The nodes that made the inputs, with the place of the output; None where nothing is recorded."""
        return tuple(
            (AccumulateGrad(e), 0) if isinstance(e, Tensor) else (None, 0) if e is None else (e.node, e.place)
            for e in self.edges
        )

    def with_extra(self) -> Extra:
        """The node's Extra, made now if it has none."""
        if self.extra is None:
            self.extra = Extra()
        return self.extra

    def __repr__(self) -> str:
        return f"<{self.name()} at {id(self):#x}>"


class AccumulateGrad(NamedTuple):
    """What stands for a leaf where a graph is walked."""

    variable: Tensor
    next_functions: tuple = ()

    def name(self) -> str:
        """The name as PyTorch prints it."""
        return "torch::autograd::AccumulateGrad"


class Output:
    """The edge to one of several outputs of a node."""

    __slots__ = ("node", "place")

    def __init__(self, node: Node, place: int) -> None:
        self.node = node
        self.place = place


def edge_of(value: Any) -> Any:
    """What the tape points at for this input."""
    if not isinstance(value, Tensor) or not value.requires_grad:
        return None
    return value if value.node is None else value.node


# Of one input that needs a gradient: which of the inputs need one.
ALONE = (True,)


def record_pair(op: Op, a: Tensor, b: Any, out: Tensor) -> None:
    """`record` for two inputs and no parameters, unrolled: most recorded ops are such."""
    both = isinstance(b, Tensor)
    need_a, need_b = a._requires_grad, both and b._requires_grad
    plan = op.tapes.get((need_a, need_b))
    if plan is None or plan.keep_extra:
        record(op, (a, b), (), out)
        return
    node = Node()
    node.plan = plan
    node.params = ()
    node.seq = _sequence()
    node.extra = None
    node.edges = (
        (a if a.node is None else a.node) if need_a else None,
        (b if b.node is None else b.node) if need_b else None,
    )
    count = len(plan.save)
    node.saved = saved = (a, b) if count == 2 else ((a, b)[plan.save[0]],) if count else ()
    unwritten = a.alias is None and (not both or b.alias is None)
    node.versions = plan.unwritten if unwritten else versions_of(saved)
    node.shapes = None
    if plan.broadcasts:
        shape, other = a.array.shape, b.array.shape if both else ()
        if shape != other:
            node.shapes = (shape, other)
    out.node = node
    out._requires_grad = True


def versions_of(saved: tuple) -> tuple[int, ...]:
    """How often the memory of each kept value has been written so far.

    Errors: AutogradError for an inference tensor, of which nobody counts that.
    """
    if not saved:
        return ()
    versions = []
    for value in saved:
        storage = value.alias.storage if isinstance(value, Tensor) and value.alias is not None else None
        if storage is not None and storage.inference:
            raise AutogradError(
                f"[backward] Inference tensors cannot be saved for backward: {describe(value)}; clone() it "
                "outside inference_mode first"
            )
        versions.append(0 if storage is None else storage.version)
    return tuple(versions)


def record(op: Op, inputs: tuple, params: tuple, out: Tensor) -> None:
    """Give `out` its history, if it is of floating point."""
    if not out.kind.dtype.is_floating_point:
        return
    node = _node(op, inputs, params)
    if node is None:
        return
    if node.plan.save_out:
        extra = node.with_extra()
        extra.outs = (share(out),)
        extra.versions = versions_of(extra.outs)
    out.node = node
    out._requires_grad = True


def record_many(op: Op, inputs: tuple, params: tuple, outs: tuple[Tensor, ...]) -> None:
    """Give several outputs, those of floating point, their history."""
    node = _node(op, inputs, params)
    if node is None:
        return
    extra = node.with_extra()
    if node.plan.save_out:
        extra.outs = tuple(share(out) for out in outs)
        extra.versions = versions_of(extra.outs)
    extra.blanks = [(tuple(out.array.shape), out.kind) for out in outs]
    for place, out in enumerate(outs):
        if out.kind.dtype.is_floating_point:
            out.node = Output(node, place)
            out._requires_grad = True


def _node(op: Op, inputs: tuple, params: tuple) -> Node | None:
    """A node for this op, or None if nothing of it is differentiable."""
    if not op.differentiable:
        return None
    mask = ALONE if len(inputs) == 1 else tuple([isinstance(i, Tensor) and i._requires_grad for i in inputs])
    plan = op.tapes.get(mask) or plan_of(op, mask)
    if plan.empty:
        return None
    node = Node()
    node.plan = plan
    node.params = params
    node.seq = _sequence()
    node.extra = None
    if mask is ALONE:
        made_by = inputs[0].node
        node.edges = inputs if made_by is None else (made_by,)
        node.saved = inputs if plan.save else ()
    else:
        node.edges = tuple([edge_of(value) for value in inputs])
        node.saved = tuple([inputs[place] for place in plan.save])
    node.versions = versions_of(node.saved)
    node.shapes = None
    if plan.broadcasts and len(inputs) > 1:
        node.shapes = tuple([i.array.shape if isinstance(i, Tensor) else () for i in inputs])
    if plan.save_specs:
        node.with_extra().specs = Likes(op, inputs)
    return node


class Likes:
    """The Likes of an op's inputs, by name: what a formula gets that asks for `like`."""

    __slots__ = ("_inputs", "_op")

    def __init__(self, op: Op, inputs: tuple) -> None:
        self._op = op
        self._inputs = [Like(i.array.shape, i.kind) if isinstance(i, Tensor) else None for i in inputs]

    def __getattr__(self, name: str) -> Any:
        place = self._op.inputs.index(name)
        return tuple(self._inputs[place:]) if name == self._op.variadic else self._inputs[place]
