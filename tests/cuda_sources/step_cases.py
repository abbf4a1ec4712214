"""Cases of the optimizers' kernels, and of those that move their counts on, against `rules.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cuda_sources import rules
from cuda_sources.rules import Array, Numbers, mu_of
from cuda_sources.running import Case, Table
from cuda_sources.tensor_cases import CHUNK, DTYPES, SIZES, TOLERANCE, table_case, tensors
from devtensor_cupy.compile.steps import AMSGRAD, CENTERED, DECOUPLED, MAXIMIZE, NESTEROV, OWN

Pair = tuple[Array, Array]

DEFAULTS: Numbers = dict(
    lr=0.05, lr_at=None, found=None, scale=None, decay=0.0, flags=0, momentum=0.0, dampening=0.0,
    lambd=0.1, alpha=0.9, t0=2.0, low=0.5, high=1.2, smallest=0.2, largest=2.0, beta1=0.9, beta2=0.99,
    eps=1e-3, momentum_decay=0.05, lr_decay=0.0, rho=0.9, step=3.0, mu_product=0.375, eta=0.0625, mu=0.5,
)  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """A rule, what its slots hold ("any" numbers, or such "above" 0), its counts, and what is tried.

    `held` says whether a slot is there with these hyperparameters.
    """

    updated: Callable[[Array, Array, list[Array], Numbers], Array]
    slots: tuple[str, ...]
    settings: list[Numbers]
    counts: tuple[str, ...] = ("step",)
    held: Callable[[int, Numbers], Any] = lambda slot, h: True


SKIPPED, TAKEN = dict(found=1.0, scale=4.0), dict(found=0.0, scale=4.0, lr=7.0, lr_at=0.05)
CLIMBS = dict(decay=0.1, flags=MAXIMIZE, **TAKEN)
SHRINKS = dict(decay=0.1, flags=DECOUPLED)
RULES = {
    "sgd": Rule(
        rules.sgd,
        ("any",),
        [
            dict(),
            CLIMBS,
            dict(momentum=0.9, decay=0.01),
            dict(momentum=0.9, flags=NESTEROV),
            dict(momentum=0.9, dampening=0.5, step=1.0),
            dict(momentum=0.9, dampening=0.5, step=2.0),
            dict(momentum=0.9, dampening=0.5, **SKIPPED),
        ],
        held=lambda slot, h: h["momentum"],
    ),
    "asgd": Rule(
        rules.asgd,
        ("any",),
        [dict(), CLIMBS, dict(mu=1.0, **TAKEN), dict(step=0.0, eta=0.0, mu=1.0), SKIPPED],
        counts=("step", "eta", "mu"),
    ),
    "rprop": Rule(
        rules.rprop,
        ("any", "above"),
        [dict(), dict(flags=MAXIMIZE, **TAKEN), dict(step=1.0, **TAKEN), SKIPPED],
    ),
    "adam": Rule(
        rules.adam,
        ("any", "above", "above"),
        [
            dict(step=1.0),
            CLIMBS,
            SHRINKS | TAKEN,
            dict(flags=AMSGRAD),
            dict(decay=0.1, flags=DECOUPLED | AMSGRAD, **SKIPPED),
        ],
        held=lambda slot, h: slot < 2 or h["flags"] & AMSGRAD,
    ),
    "adamax": Rule(rules.adamax, ("any", "above"), [dict(), CLIMBS, dict(eps=1.5, beta1=0.0), SKIPPED]),
    "nadam": Rule(
        rules.nadam,
        ("any", "above"),
        [dict(), CLIMBS, SHRINKS | TAKEN, dict(beta2=0.0, momentum_decay=5.0), SKIPPED],
        counts=("step", "mu_product"),
    ),
    "radam": Rule(
        rules.radam,
        ("any", "above"),
        [dict(), dict(step=20.0, **CLIMBS), SHRINKS | dict(step=20.0), dict(step=20.0, beta2=0.6), SKIPPED],
    ),
    "adagrad": Rule(
        rules.adagrad, ("above",), [dict(step=1.0), dict(lr_decay=0.1, **CLIMBS), dict(lr_decay=0.1), SKIPPED]
    ),
    "rmsprop": Rule(
        rules.rmsprop,
        ("large", "any", "small"),
        [
            dict(),
            dict(momentum=0.9, **CLIMBS),
            dict(flags=CENTERED, eps=0.5),
            dict(momentum=0.9, flags=CENTERED, eps=0.5, **TAKEN),
            dict(momentum=0.9, flags=CENTERED, **SKIPPED),
        ],
        held=lambda slot, h: (True, h["momentum"], h["flags"] & CENTERED)[slot],
    ),
    "adadelta": Rule(rules.adadelta, ("above", "above"), [dict(), CLIMBS, dict(rho=0.5, eps=0.1), SKIPPED]),
}


def slot(dtype: str, kind: str, seed: int) -> list[Array]:
    """A slot's tensors; a mean is no larger than the root of the mean square: these are small and large."""
    drawn, of = tensors(dtype, seed, positive=kind != "any"), DTYPES[dtype]
    if kind == "small":
        return [each / of(8) for each in drawn]
    return [each + of(0.5) for each in drawn] if kind == "large" else drawn


def step_case(name: str, rule: Rule, dtype: str, told: Numbers) -> Case:
    """A step; one that is skipped changes no bit. A scale divides the gradients for good."""
    h = DEFAULTS | told
    h["rate"] = h["lr"] if h["lr_at"] is None else h["lr_at"]
    p, g = tensors(dtype, 1), tensors(dtype, 2)
    held = [place for place in range(len(rule.slots)) if rule.held(place, h)]
    slots = {place: slot(dtype, rule.slots[place], 3 + place) for place in held}
    counts = [one_each([h[count]] * len(SIZES)) for count in rule.counts]
    lists = [p, g, *(slots.get(place, []) for place in range(len(rule.slots))), *counts]
    expected = []
    for k in range(len(SIZES)):
        expected += after(rule, h, p[k], g[k], {place: slots[place][k] for place in held})
    own = [h[each] for each in OWN[name]]
    entry, table = f"multi_{name}_{dtype}", Table(lists, CHUNK)
    if h["found"]:
        return table_case(f"{told}", entry, table, given(h, own), [(a, a.copy()) for a, _ in expected])
    return table_case(f"{told}", entry, table, given(h, own), expected, tolerance=TOLERANCE[dtype])


def given(h: Numbers, own: list[float]) -> list[Any]:
    """A step's arguments behind the table."""
    found, scale = (None if h[k] is None else np.array([h[k]], np.float32) for k in ("found", "scale"))
    place = None if h["lr_at"] is None else np.array([h["lr_at"]])
    return [place, h["lr"], found, scale, *own, h["decay"], h["flags"]]


def after(
    rule: Rule, h: Numbers, p: Array, g: Array, slots: dict[int, Array]
) -> Iterator[tuple[Array, Array]]:
    """What a parameter, its gradient and its slots become."""
    value, divided = p.astype(np.float64), g.astype(np.float64) / (h["scale"] or 1.0)
    gradient = -divided if h["flags"] & MAXIMIZE else divided
    if h["flags"] & DECOUPLED:
        value = value * (1 - h["rate"] * h["decay"])
    else:
        gradient = gradient + h["decay"] * value
    wide = [slots[k].astype(np.float64) if k in slots else np.zeros(0) for k in range(len(rule.slots))]
    yield p, rule.updated(value, gradient, wide, h)
    yield from ((slots[place], wide[place]) for place in slots)
    if h["scale"]:
        yield g, divided


def moved_step(step: float) -> list[float]:
    return [step]


def moved_nadam(step: float) -> list[float]:
    return [step, DEFAULTS["mu_product"] * mu_of(step, DEFAULTS)]


def moved_asgd(step: float) -> list[float]:
    h = DEFAULTS
    return [step, h["lr"] / (1 + h["lambd"] * h["lr"] * step) ** h["alpha"], 1 / max(1.0, step - h["t0"])]


ADVANCES: dict[str, tuple[Any, list[str], list[str]]] = {
    "steps_advance": (moved_step, [], []),
    "nadam_advance": (moved_nadam, ["mu_product"], ["beta1", "momentum_decay"]),
    "asgd_advance": (moved_asgd, ["eta", "mu"], ["lambd", "alpha", "t0"]),
}
"""What moves counts on, which stand behind the step's, and what it is told."""


def advance_cases() -> Iterator[Case]:
    for entry in ADVANCES:
        for found, lr, lr_at in ((None, 0.05, None), (0.0, 7.0, 0.05), (1.0, 0.05, None)):
            yield advance_case(entry, found, lr, lr_at)


def advance_case(entry: str, found: float | None, lr: float, lr_at: float | None) -> Case:
    """What the numbers of 300 tensors become, after so many steps each, behind another list of the table."""
    moved, more, own = ADVANCES[entry]
    first = [float(k) for k in range(300)]
    lists = [one_each(values) for values in (first, first, *([DEFAULTS[name]] * 300 for name in more))]
    expected = []
    for k, before in enumerate(zip(*lists[1:], strict=True)):
        wanted = [each.copy() for each in before] if found else one_each(moved(k + 1.0))
        expected += zip(before, wanted, strict=True)
    place = None if lr_at is None else np.array([lr_at])
    flag = None if found is None else np.array([found], np.float32)
    values = [Table(lists, CHUNK), 1, place, lr, flag, *(DEFAULTS[name] for name in own)]
    return Case(f"{entry} {found} {lr_at}", entry, values, 300, expected, None if found else 1e-6)


def one_each(values: list[float]) -> list[Array]:
    """An array of one element for each number."""
    return [np.array([value], np.float32) for value in values]


def rounding_case(dtype: str, spare: float) -> Case:
    """A gradient of more digits than the dtype has, all but the last of which the velocity takes away.

    All numbers are exact in float32, so that the very bits are known: a gradient or a velocity that is
    rounded before the end leaves nothing.
    """
    p, g, v = ([np.full(size, value).astype(DTYPES[dtype]) for size in SIZES] for value in (1.0, 1.0, -2.0))
    wanted = [(each, np.full(each.size, 1.0 - 64 * spare)) for each in p]
    wanted += [(each, np.full(each.size, spare)) for each in v]
    h = DEFAULTS | dict(momentum=0.5, decay=spare, lr=64.0)
    table = Table([p, g, v], CHUNK)
    return table_case("rounded once", f"multi_sgd_{dtype}", table, given(h, [0.5, 0.0]), wanted)


def cases() -> Iterator[Case]:
    """All of them."""
    yield from advance_cases()
    for dtype in DTYPES:
        for name, rule in RULES.items():
            yield from (step_case(name, rule, dtype, told) for told in rule.settings)
    yield rounding_case("float16", 2.0**-13)
    yield rounding_case("bfloat16", 2.0**-10)
