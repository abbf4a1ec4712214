"""An optimizer's step as an op over lists: its rule parameter by parameter, or one kernel for all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from itertools import product
from typing import Any

from devtensor.amp.masked_writes import masked_writes
from devtensor.core.lists import ListOp
from devtensor.core.state import no_grad
from devtensor.optim.hyperparameters import Hyperparameters
from devtensor.optim.update_rule import Slots, UpdateRule

# What a kernel stands for: a class that has others of its own is stepped by those.
MATHEMATICS = ("update", "factors", "slots_of", "advance")
SHAPES: tuple[tuple[int, ...], ...] = ((3, 4), (), (0,), (5,))
# What a state's numbers are in the examples that do not say.
NUMBERS = {"step": 3.0, "mu_product": 0.4, "eta": 0.04, "mu": 0.5}


class StepOp(ListOp):
    """The step of a rule over lists: parameters, gradients, the state's tensors in `slots`, and its numbers.

    `counts` names these: 0-d tensors, the step's first. `lr` is a number or a 0-d tensor; nothing is written
    where `found` is not 0; `scale`, if there is one, divides the gradients first, which keep what comes of
    it. The hyperparameters are the rule's.
    """

    def __init__(
        self, rule: type[UpdateRule], slots: str, hyperparameters: str, counts: str = "step"
    ) -> None:
        held = f"{slots} {counts}"
        self.rule, self.slots, self.told = rule, tuple(held.split()), tuple(hyperparameters.split())
        lists = f"parameters gradients {held}"
        super().__init__(
            f"{rule.__name__.lower()}_step",
            self.one_by_one,
            [*lists.split(), "lr", "found", "scale", *self.told],
            lists,
            numbers="lr found scale",
            counts=counts,
            writes=f"parameters {held}",
            writes_with=("scale", "gradients"),
            skip="found",
        )

    def serves(self, optimizer: UpdateRule) -> bool:
        """Whether the optimizer's mathematics is the rule's own."""
        kind = type(optimizer)
        return all(getattr(kind, name) is getattr(self.rule, name) for name in MATHEMATICS)

    def stepped(
        self,
        parameters: Sequence[Any],
        gradients: Sequence[Any],
        states: Sequence[dict],
        used: Slots,
        h: Any,
        scale: Any,
    ) -> bool:
        """Step by a kernel if one fits; whether it did. What states hold beside the `used` slots is left."""
        slots = [[s[name] for s in states] if name in used else [] for name in self.slots]
        told = [getattr(h, name) for name in self.told]
        made = self.by_kernel(parameters, gradients, *slots, h.lr, None, scale, *told)
        return made is not NotImplemented

    def one_by_one(self, parameters: Sequence[Any], gradients: Sequence[Any], *values: Any) -> None:
        """The rule's step, parameter by parameter."""
        states, (lr, found, scale, *told) = values[: len(self.slots)], values[len(self.slots) :]
        rule = object.__new__(self.rule)
        h = Hyperparameters({"lr": lr} | dict(zip(self.told, told, strict=True)), rule.factors)
        with no_grad(), nullcontext() if found is None else masked_writes(found):
            for place, p in enumerate(parameters):
                held = {name: slot[place] for name, slot in zip(self.slots, states, strict=True) if len(slot)}
                rule.advance(p, gradients[place], held, h, scale)

    def tried_with(self, *settings: dict[str, Any]) -> StepOp:
        """Examples: each of these hyperparameters, skipped or not, with a scale or without."""

        def examples(tensor: Callable[..., Any], number: Callable[[float], Any]) -> Iterable[tuple]:
            for told, found, scale in product(settings, (None, 0.0, 1.0), (None, 4.0)):
                yield from self.example(tensor, number, told, found, scale)

        self.examples(examples)
        return self

    def example(
        self, tensor: Any, number: Any, told: dict[str, Any], found: float | None, scale: float | None
    ) -> Iterator[tuple]:
        """Arguments for these hyperparameters and numbers of the state; all others are as ever."""
        known = {**NUMBERS, **self.rule.defaults, **self.rule.settings, **told}
        slots = object.__new__(self.rule).slots_of(known)
        lists = [[tensor(*shape) for shape in SHAPES] for _ in range(2)]
        for name in self.slots:
            lists.append([self.first(tensor, number, name, known, s) for s in SHAPES if name in slots])
        numbers = [None if value is None else number(value) for value in (found, scale)]
        yield (*lists, 0.05, *numbers, *[known[name] for name in self.told])

    def first(self, tensor: Any, number: Any, name: str, known: dict[str, Any], shape: Any) -> Any:
        """What a slot holds in an example: a number of the state, or numbers above 0."""
        return number(known[name]) if name in self.counts else tensor(*shape, positive=True)
