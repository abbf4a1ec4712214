"""What backward will need of an op: the formulas to run, and what the tape must keep for them."""

from __future__ import annotations

from devtensor.core.errors import DerivativeMissing
from devtensor.core.op import (
    GRADIENT,
    GRADIENTS,
    HOLOMORPHIC,
    LIKE,
    OUT,
    OUTS,
    PARAMETER,
    REST,
    SAVED,
    SECOND,
    Formula,
    Op,
    Rule,
)


class Plan:
    """For one op and one set of inputs that need gradients: the rules to run and what they need kept."""

    __slots__ = (
        "broadcasts", "conjugates", "formulas", "joint", "keep_extra", "op", "save", "save_out", "save_specs",
        "skipped_outs", "unwritten",
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
        self.save_out = bool(needs & {"out", "second", "outs"})
        self.skipped_outs = 0 if needs & {"out", "outs"} else 1
        self.save_specs = "like" in needs
        self.keep_extra = self.save_out or self.save_specs
        self.conjugates = op.complex == HOLOMORPHIC
        self.broadcasts = op.shape_rule.__name__ == "broadcast"

    @property
    def empty(self) -> bool:
        """Whether nothing of the op is differentiable."""
        return not self.formulas and self.joint is None


def _rule_for(op: Op, place: int) -> Rule | None:
    """The formula of the input at this place; None where it is declared to have none.

    Where the declaration is silent, backward is an error: a gradient must not vanish unsaid.
    """
    name = op.input_name(place)
    return _missing(op, name) if op.differentiable and name not in op.rules else op.rules.get(name)


def _missing(op: Op, name: str) -> Rule:
    def refuse(function: str = op.name) -> None:
        raise DerivativeMissing(
            f"[{function}] the derivative for '{name}' is not implemented; detach() it first"
        )

    # An op that stands in for functions is told by that function's name.
    return Rule(refuse, ("function",) if "function" in op.parameters else ())


def plan_of(op: Op, mask: tuple[bool, ...]) -> Plan:
    """The op's Plan for inputs of which those in `mask` need gradients."""
    plan = op.tapes.get(mask)
    if plan is None:
        plan = op.tapes[mask] = Plan(op, mask)
    return plan


def _sources(op: Op, rule: Rule, save: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    codes = {"g": GRADIENT, "gs": GRADIENTS, "out": OUT, "second": SECOND, "outs": OUTS, "like": LIKE}
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
