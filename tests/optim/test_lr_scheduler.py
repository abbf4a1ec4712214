"""Schedules against their closed forms, and the protocol that strangers' schedules use."""

from __future__ import annotations

import json
import math

import pytest

import devtensor as dt
from devtensor import optim
from devtensor.optim import lr_scheduler as schedules

EPOCHS = 25
BASES = (0.1, 0.03)


def optimizer(kind="SGD", **values):
    values = {"lr": BASES[0]} | ({"momentum": 0.9} if kind == "SGD" else {}) | values
    groups = [
        {"params": [dt.zeros(1).requires_grad_()]},
        {"params": [dt.zeros(1).requires_grad_()], "lr": BASES[1]},
    ]
    return getattr(optim, kind)(groups, **values)


def rates(optimizer):
    return [group["lr"] for group in optimizer.param_groups]


def follow(optimizer, schedule, epochs=EPOCHS):
    """The learning rates in force at each epoch."""
    found = [rates(optimizer)]
    for _ in range(epochs - 1):
        optimizer.step()
        schedule.step()
        found.append(rates(optimizer))
        assert schedule.get_last_lr() == found[-1]
    return found


def linear(epoch):
    return 0.2 + (0.9 - 0.2) * min(epoch, 6) / 6


def restarted(epoch):
    """How far an epoch is into its run, of runs of 3, 6, 12, ... epochs."""
    length = 3
    while epoch >= length:
        epoch, length = epoch - length, 2 * length
    return epoch / length


CLOSED = {
    "LambdaLR": (lambda o: schedules.LambdaLR(o, lambda epoch: 0.95**epoch), lambda e, base: base * 0.95**e),
    "StepLR": (lambda o: schedules.StepLR(o, 3, 0.5), lambda e, base: base * 0.5 ** (e // 3)),
    "MultiStepLR": (
        lambda o: schedules.MultiStepLR(o, [2, 5, 5, 9], 0.3),
        lambda e, base: base * 0.3 ** sum(e >= m for m in (2, 5, 5, 9)),
    ),
    "ExponentialLR": (lambda o: schedules.ExponentialLR(o, 0.9), lambda e, base: base * 0.9**e),
    "CosineAnnealingLR": (
        lambda o: schedules.CosineAnnealingLR(o, 6, 0.001),
        lambda e, base: 0.001 + (base - 0.001) * (1 + math.cos(math.pi * e / 6)) / 2,
    ),
    "ConstantLR": (lambda o: schedules.ConstantLR(o, 0.3, 4), lambda e, base: base * (0.3 if e < 4 else 1.0)),
    "LinearLR": (lambda o: schedules.LinearLR(o, 0.2, 0.9, 6), lambda e, base: base * linear(e)),
    "MultiplicativeLR": (
        lambda o: schedules.MultiplicativeLR(o, lambda epoch: 1 - 1 / (epoch + 9)),
        lambda e, base: base * math.prod(1 - 1 / (k + 9) for k in range(1, e + 1)),
    ),
    "PolynomialLR": (
        lambda o: schedules.PolynomialLR(o, 30, 1.5),
        lambda e, base: base * (1 - min(e, 30) / 30) ** 1.5,
    ),
    "CosineAnnealingWarmRestarts": (
        lambda o: schedules.CosineAnnealingWarmRestarts(o, 3, 2, 0.001),
        lambda e, base: 0.001 + (base - 0.001) * (1 + math.cos(math.pi * restarted(e))) / 2,
    ),
    "ChainedScheduler": (
        lambda o: schedules.ChainedScheduler([schedules.ConstantLR(o, 0.1, 4), schedules.StepLR(o, 3, 0.5)]),
        lambda e, base: base * (0.1 if e < 4 else 1.0) * 0.5 ** (e // 3),
    ),
    "SequentialLR": (
        lambda o: schedules.SequentialLR(
            o,
            [schedules.ConstantLR(o, 0.1, 100), schedules.ExponentialLR(o, 0.9), schedules.StepLR(o, 2)],
            [4, 9],
        ),
        lambda e, base: base * (0.1 if e < 4 else 0.9 ** (e - 4) if e < 9 else 0.1 ** ((e - 9) // 2)),
    ),
}


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("name", CLOSED)
def test_follows_its_formula(name, kind):
    build, formula = CLOSED[name]
    target = optimizer(kind)
    for epoch, found in enumerate(follow(target, build(target))):
        assert found == pytest.approx([formula(epoch, base) for base in BASES], rel=1e-9), epoch


# Those that have no closed form, or whose `step` takes no epoch or is meant to take one.
OPEN = ("LambdaLR", "MultiplicativeLR", "SequentialLR", "ChainedScheduler", "CosineAnnealingWarmRestarts")


@pytest.mark.parametrize("name", [name for name in CLOSED if name not in OPEN])
def test_step_to_an_epoch_uses_the_closed_form(name):
    build, formula = CLOSED[name]
    target = optimizer()
    schedule = build(target)
    target.step()
    with pytest.warns(UserWarning, match="epoch parameter in `scheduler.step"):
        schedule.step(7)
    assert rates(target) == pytest.approx([formula(7, base) for base in BASES], rel=1e-12)


def one_cycle(step, top, total, part, three_phase, strategy):
    """Learning rate of a cycle, from its description."""
    first, last = top / 25, top / 25 / 1e4
    ends = (
        [part * total - 1, 2 * part * total - 2, total - 1] if three_phase else [part * total - 1, total - 1]
    )
    values = [first, top, first, last] if three_phase else [first, top, last]
    start = 0.0
    for place, end in enumerate(ends):
        if step <= end or place == len(ends) - 1:
            done = (step - start) / (end - start)
            weight = (1 - math.cos(math.pi * done)) / 2 if strategy == "cos" else done
            return values[place] + (values[place + 1] - values[place]) * weight
        start = end
    raise AssertionError(step)


@pytest.mark.parametrize("three_phase", [False, True])
@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_one_cycle(kind, strategy, three_phase):
    target = optimizer(kind)
    schedule = schedules.OneCycleLR(
        target, [0.5, 0.8], total_steps=EPOCHS, anneal_strategy=strategy, three_phase=three_phase
    )
    momentum = [momentum_of(target)]
    found = [rates(target)]
    for _ in range(EPOCHS - 1):
        target.step()
        schedule.step()
        found.append(rates(target))
        momentum.append(momentum_of(target))
    for step, pair in enumerate(found):
        wanted = [one_cycle(step, top, EPOCHS, 0.3, three_phase, strategy) for top in (0.5, 0.8)]
        assert pair == pytest.approx(wanted, rel=1e-9), step
    assert momentum[0] == pytest.approx(0.95)
    assert min(momentum) == pytest.approx(0.85, abs=1e-2)
    assert momentum[-1] == pytest.approx(0.95)
    schedule.step()
    with pytest.raises(ValueError, match=f"total steps is {EPOCHS}"):
        schedule.step()


HEIGHTS = {
    "triangular": lambda cycle, step: 1.0,
    "triangular2": lambda cycle, step: 0.5**cycle,
    "exp_range": lambda cycle, step: 0.9**step,
    "own": lambda cycle, step: 1 / (2 + cycle),
}


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("mode", HEIGHTS)
def test_cyclic(mode, kind):
    target = optimizer(kind)
    own = {"scale_fn": lambda cycle: 1 / (1 + cycle)} if mode == "own" else {"mode": mode, "gamma": 0.9}
    schedule = schedules.CyclicLR(target, [0.01, 0.02], 0.3, 4, 6, **own)
    for step in range(EPOCHS):
        cycle, place = divmod(step, 10)
        height = HEIGHTS[mode](cycle, step) * (place / 4 if place <= 4 else (10 - place) / 6)
        assert rates(target) == pytest.approx([low + (0.3 - low) * height for low in (0.01, 0.02)], rel=1e-9)
        assert momentum_of(target) == pytest.approx(0.9 - 0.1 * height, rel=1e-9)
        target.step()
        schedule.step()


def test_warm_restarts_go_to_fractions_of_epochs():
    target = optimizer()
    schedule = schedules.CosineAnnealingWarmRestarts(target, 3, 2)
    for epoch in (0.5, 2.75, 3, 8.999, 9.0, 20.25, 1):
        target.step()
        schedule.step(epoch)
        part = restarted(epoch)
        assert rates(target)[0] == pytest.approx(BASES[0] * (1 + math.cos(math.pi * part)) / 2, rel=1e-9)
        assert schedule.last_epoch == math.floor(epoch)


def momentum_of(optimizer):
    group = optimizer.param_groups[0]
    return group["betas"][0] if "betas" in group else group["momentum"]


def test_plateau_reduces_when_nothing_improves():
    target = optimizer()
    schedule = schedules.ReduceLROnPlateau(target, factor=0.5, patience=2, cooldown=1, min_lr=0.02)
    found = []
    for value in [1.0, 0.5] + [0.5] * 12:
        schedule.step(dt.tensor(value))
        found.append(rates(target)[0])
    # Three bad epochs reduce; the next one is not counted.
    assert found == pytest.approx([0.1] * 4 + [0.05] * 4 + [0.025] * 4 + [0.02] * 2)
    assert schedule.get_last_lr() == rates(target)


@pytest.mark.parametrize(
    ("mode", "threshold_mode", "values", "bad"),
    [
        ("min", "rel", [1.0, 0.95, 0.8], 0),
        ("min", "rel", [1.0, 0.95, 0.93], 2),
        ("min", "abs", [1.0, 0.85, 0.8], 1),
        ("max", "rel", [1.0, 1.05, 1.2], 0),
        ("max", "abs", [1.0, 1.15, 1.2], 1),
    ],
)
def test_plateau_counts_what_is_no_better(mode, threshold_mode, values, bad):
    schedule = schedules.ReduceLROnPlateau(optimizer(), mode, threshold=0.1, threshold_mode=threshold_mode)
    for value in values:
        schedule.step(value)
    assert schedule.num_bad_epochs == bad


BUILD = {name: build for name, (build, _) in CLOSED.items()} | {
    "OneCycleLR": lambda o: schedules.OneCycleLR(o, 0.5, total_steps=EPOCHS + 5),
    "CyclicLR": lambda o: schedules.CyclicLR(o, 0.01, 0.3, 4, mode="exp_range", gamma=0.9),
}


@pytest.mark.parametrize("name", BUILD)
def test_state_dict_resumes(name):
    whole = optimizer()
    expected = follow(whole, BUILD[name](whole), 12)
    target = optimizer()
    schedule = BUILD[name](target)
    follow(target, schedule, 5)
    saved, groups = schedule.state_dict(), target.state_dict()
    if name != "MultiStepLR":
        saved = json.loads(json.dumps(saved))
    other = optimizer()
    again = BUILD[name](other)
    other.load_state_dict(groups)
    again.load_state_dict(saved)
    assert follow(other, again, 8) == expected[4:]


def test_lambda_state_holds_objects_and_no_functions():
    class Falling:
        def __init__(self, by):
            self.by = by

        def __call__(self, epoch):
            return self.by**epoch

    def build(by):
        return schedules.LambdaLR(optimizer(), [Falling(by), lambda epoch: 1.0])

    saved = build(0.5).state_dict()
    assert saved["lr_lambdas"] == [{"by": 0.5}, None]
    other = build(0.25)
    other.load_state_dict(saved)
    assert other.lr_lambdas[0].by == 0.5


def test_learning_rate_tensor_is_written_in_place():
    rate = dt.tensor(0.5, dtype=dt.float64)
    target = optim.SGD([dt.zeros(1).requires_grad_()], lr=rate)
    schedule = schedules.ExponentialLR(target, 0.5)
    target.step()
    schedule.step()
    assert target.param_groups[0]["lr"] is rate
    assert rate.item() == 0.25
    assert schedule.base_lrs[0].item() == 0.5


class Halving(schedules.LRScheduler):
    """A schedule as people write them for PyTorch."""

    def __init__(self, optimizer, every, last_epoch=-1):
        self.every = every
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        return [base / 2 ** (self.last_epoch // self.every) for base in self.base_lrs]


def test_strangers_schedule_runs_unchanged():
    target = optimizer()
    found = follow(target, Halving(target, 2), 5)
    assert [first for first, _ in found] == [0.1, 0.1, 0.05, 0.05, 0.025]
    assert target.param_groups[0]["initial_lr"] == 0.1


def test_resuming_needs_the_first_learning_rate():
    target = optimizer()
    with pytest.raises(KeyError, match="initial_lr"):
        schedules.StepLR(target, 2, last_epoch=3)
    for group in target.param_groups:
        group["initial_lr"] = 0.5
    schedules.MultiStepLR(target, [4], 0.5, last_epoch=3)
    assert rates(target) == [0.05, 0.015]


def test_order_of_steps_is_told():
    target = optimizer()
    schedule = schedules.StepLR(target, 2)
    with pytest.warns(UserWarning, match=r"lr_scheduler.step\(\)` before `optimizer.step"):
        schedule.step()
    with pytest.warns(UserWarning, match="get_last_lr"):
        schedule.get_lr()


BAD = [
    (lambda: schedules.StepLR(object(), 1), TypeError, "object is not an Optimizer"),
    (lambda: schedules.LambdaLR(optimizer(), [abs]), ValueError, "expected 2 values for lr_lambda"),
    (lambda: schedules.ConstantLR(optimizer(), 1.5), ValueError, "factor is 1.5"),
    (lambda: schedules.LinearLR(optimizer(), 0.0), ValueError, "start_factor is 0.0"),
    (lambda: schedules.LinearLR(optimizer(), 0.5, 2.0), ValueError, "end_factor is 2.0"),
    (lambda: schedules.OneCycleLR(optimizer(), 0.1), ValueError, "must define either total_steps OR"),
    (
        lambda: schedules.OneCycleLR(optimizer(), 0.1, total_steps=0),
        ValueError,
        "Expected positive integer total_steps",
    ),
    (lambda: schedules.OneCycleLR(optimizer(), 0.1, 9, pct_start=2.0), ValueError, "pct_start is 2.0"),
    (
        lambda: schedules.OneCycleLR(optimizer(), 0.1, 9, anneal_strategy="x"),
        ValueError,
        "anneal_strategy is 'x'",
    ),
    (lambda: schedules.ReduceLROnPlateau(optimizer(), "up"), ValueError, "mode up is unknown"),
    (lambda: schedules.ReduceLROnPlateau(optimizer(), factor=1.0), ValueError, "factor is 1.0"),
    (lambda: schedules.ReduceLROnPlateau(optimizer(), threshold_mode="x"), ValueError, "threshold mode x"),
    (lambda: schedules.SequentialLR(optimizer(), [], []), ValueError, "at least one scheduler"),
    (lambda: schedules.ChainedScheduler([]), ValueError, "at least one scheduler"),
    (lambda: schedules.ChainedScheduler([object()]), TypeError, "should have `optimizer`"),
    (
        lambda: schedules.ChainedScheduler([schedules.ReduceLROnPlateau(optimizer())]),
        ValueError,
        "not support `ReduceLROnPlateau`",
    ),
    (lambda: schedules.CyclicLR(optimizer(), 0.1, 0.2, mode="x"), ValueError, "mode is invalid"),
    (lambda: schedules.CosineAnnealingWarmRestarts(optimizer(), 0), ValueError, "positive integer T_0"),
    (lambda: schedules.CosineAnnealingWarmRestarts(optimizer(), 2, 0), ValueError, "integer T_mult >= 1"),
    (lambda: schedules.MultiplicativeLR(optimizer(), 0.5), TypeError, "lr_lambda should be a function"),
    (
        lambda: schedules.SequentialLR(optimizer(), [Halving(optimizer(), 1)], []),
        ValueError,
        "same optimizer",
    ),
]


@pytest.mark.parametrize(("build", "error", "text"), BAD, ids=[text[:30] for *_, text in BAD])
def test_bad_arguments(build, error, text):
    with pytest.raises(error, match=text):
        build()


def test_one_cycle_needs_a_momentum_to_cycle():
    class Plain(optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {"lr": 0.1})

    with pytest.raises(ValueError, match="must support momentum or beta1"):
        schedules.OneCycleLR(Plain([dt.zeros(1).requires_grad_()]), 0.1, total_steps=9)
