"""What runs when backward comes to a node: its formulas, on gradients and on what the tape kept."""

from __future__ import annotations

from typing import Any

from devtensor.autograd.saved import Packed, forget_unpacked
from devtensor.core.errors import VersionError
from devtensor.core.node import Node, Output
from devtensor.core.op import GRADIENT, GRADIENTS, LIKE, OUT, PARAMETER, REST, SAVED, SECOND, Formula
from devtensor.core.tensor import Tensor, describe, share
from devtensor.ops.create import full_of
from devtensor.ops.parts import conjugate


def apply(node: Node, gs: list[Tensor | None]) -> list[tuple[int, Tensor]]:
    """Run a node's formulas on the gradients of its outputs; gives (input place, gradient) pairs."""
    if node.extra is not None and node.extra.packed:
        try:
            return derive(node, gs)
        finally:
            forget_unpacked(node)
    return derive(node, gs)


def derive(node: Node, gs: list[Tensor | None]) -> list[tuple[int, Tensor]]:
    """The same, where what was unpacked is let go of by the caller."""
    if node.own is not None:
        return node.own(gs)
    plan = node.plan
    if plan.conjugates and any(g is not None and g.kind.dtype.is_complex for g in gs):
        conjugated = [g if g is None else conjugate(g) for g in gs]
        return [(place, conjugate(g)) for place, g in run_formulas(node, conjugated)]
    return run_formulas(node, gs)


def run_formulas(node: Node, gs: list[Tensor | None]) -> list[tuple[int, Tensor]]:
    """The formulas as they are written."""
    plan = node.plan
    if plan.joint is not None:
        results = plan.joint.function(*_arguments(node, plan.joint, gs))
        return [
            (place, g) for place, g in enumerate(results) if g is not None and node.edges[place] is not None
        ]
    found = []
    for formula in plan.formulas:
        g = formula.function(*_arguments(node, formula, gs))
        if g is not None:
            found.append((formula.place, g))
    return found


def _arguments(node: Node, formula: Formula, gs: list) -> list:
    values: list[Any] = []
    for code, place in formula.sources:
        if code == GRADIENT:
            values.append(gs[0] if gs[0] is not None else blank(node, 0))
        elif code == SAVED:
            values.append(saved_value(node, place))
        elif code == PARAMETER:
            values.append(node.params[place])
        elif code == OUT:
            values.append(saved_out(node, 0))
        elif code == SECOND:
            values.append(saved_out(node, 1))
        elif code == LIKE:
            values.append(node.with_extra().specs)
        elif code == GRADIENTS:
            values.append([blank(node, i) if g is None else g for i, g in enumerate(gs)])
        elif code == REST:
            values.append(tuple(saved_value(node, i) for i in range(place, len(node.saved or ()))))
        else:
            values.append(tuple(saved_out(node, i) for i in range(len(node.with_extra().outs))))
    return values


def blank(node: Node, place: int) -> Tensor | None:
    """Zeros in the place of an output's gradient that never arrived; None where the output is no tensor."""
    like = node.extra.blanks[place]  # type: ignore[union-attr,index]
    if like is None:
        return None
    shape, kind = like
    return full_of(shape, 0, kind)


def saved_value(node: Node, place: int) -> Any:
    """A kept input, if nobody wrote over it since."""
    value = node.saved[place]  # type: ignore[index]
    if isinstance(value, Packed):
        return value.value()
    if isinstance(value, Tensor) and value.alias is not None:
        check_version(node, node.op.input_name(node.plan.save[place]), value, node.versions[place])
    return value


def saved_out(node: Node, place: int) -> Tensor:
    """A kept output with its history attached again, if nobody wrote over it since."""
    extra: Any = node.extra
    value = extra.outs[place]
    if isinstance(value, Packed):
        value = value.value()
    else:
        check_version(node, "out", value, extra.versions[place])
    made = share(value)
    if made.kind.dtype.differentiable:
        made.node = node if extra.blanks is None else Output(node, place)
        made._requires_grad = True
    return made


def check_version(node: Node, name: str, value: Tensor, version: int) -> None:
    """Refuse a kept value that was written over since."""
    now = value.alias.counter.version
    if now != version:
        raise VersionError(
            f"[{node.op.name}] one of the variables needed for gradient computation has been modified by an "
            f'inplace operation: "{name}" {describe(value)} is at version {now}; expected version {version}; '
            "write out of place, or clone() it before"
        )
