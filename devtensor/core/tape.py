"""The tape: what an op leaves behind so that backward can run."""

from __future__ import annotations

from typing import Any

from devtensor.core.derivatives import plan_of
from devtensor.core.errors import AutogradError
from devtensor.core.node import Node, Output, edge_of, next_seq
from devtensor.core.op import Op
from devtensor.core.spec import Like
from devtensor.core.tensor import Storage, Tensor, describe, share

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
    node.seq = next_seq()
    node.extra = None
    node.edges = (
        (a if a.node is None else a.node) if need_a else None,
        (b if b.node is None else b.node) if need_b else None,
    )
    save = plan.save
    if save:
        node.saved = saved = (a, b) if len(save) == 2 else (b if save[0] else a,)
        unwritten = a.alias is None and (not both or b.alias is None)
        node.versions = plan.unwritten if unwritten else versions_of(saved)
    else:
        node.saved = node.versions = ()
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
        alias = value.alias if isinstance(value, Tensor) else None
        if alias.__class__ is Storage:
            versions.append(alias.version)  # type: ignore[union-attr]
            continue
        if alias is not None and alias.storage.inference:
            raise AutogradError(
                f"[backward] Inference tensors cannot be saved for backward: {describe(value)}; clone() it "
                "outside inference_mode first"
            )
        versions.append(0 if alias is None else alias.counter.version)
    return tuple(versions)


def record(op: Op, inputs: tuple, params: tuple, out: Tensor) -> None:
    """Give `out` its history, if it is of floating point or complex."""
    if not out.kind.dtype.differentiable:
        return
    node = _node(op, inputs, params)
    if node is None:
        return
    if node.plan.save_out:
        keep_outs(node, (share(out),))
    out.node = node
    out._requires_grad = True


def record_many(op: Op, inputs: tuple, params: tuple, outs: tuple[Tensor, ...]) -> None:
    """Give several outputs, those of floating point or complex, their history."""
    node = _node(op, inputs, params)
    if node is None:
        return
    if node.plan.save_out:
        skipped = node.plan.skipped_outs
        keep_outs(node, (*((None,) * skipped), *[share(out) for out in outs[skipped:]]))
    node.with_extra().blanks = [(tuple(out.array.shape), out.kind) for out in outs]
    for place, out in enumerate(outs):
        if out.kind.dtype.differentiable:
            out.node = Output(node, place)
            out._requires_grad = True


def keep_outs(node: Node, outs: tuple) -> None:
    """Keep handles on a node's outputs for the formulas that ask for them."""
    extra = node.with_extra()
    extra.outs = outs
    extra.versions = versions_of(outs)


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
    node.seq = next_seq()
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
