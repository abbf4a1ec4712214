"""Optimizers and schedules against PyTorch itself, on its own list of configurations (--oracle torch)."""

from __future__ import annotations

import io
import random
import warnings
from collections import Counter
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest

import devtensor
from devtensor import optim
from devtensor.core.errors import DevtensorError

STEPS = 24
EPOCHS = 60
COUNTS: Counter = Counter()
# Names in optim_db; SparseAdam takes sparse gradients only.
OPTIMIZERS = ["Adadelta", "Adafactor", "Adagrad", "Adam", "Adamax", "AdamW", "ASGD", "LBFGS", "Muon", "NAdam"]
OPTIMIZERS += ["RAdam", "RMSprop", "Rprop", "SGD"]
# Muon rounds to bfloat16; L-BFGS decides by differences of rounded numbers, so it is compared in float64.
# Its steps are of 20 iterations, and after some 80 rounding decides about nearly parallel directions.
TOLERANCES = {"Muon": 1e-2}
DTYPES = {"LBFGS": ("float64", "complex128")}


@pytest.fixture(scope="module")
def optim_db(torch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optim_db = import_module("torch.testing._internal.common_optimizers").optim_db
    yield {info.optim_cls.__name__: info for info in optim_db}
    print("\nconfigurations of optim_db and schedules that agree:", dict(COUNTS))


def configurations(info):
    """PyTorch's configurations, and each again with the implementations that can be asked for."""
    for found in info.optim_inputs_func(device="cpu"):
        yield found.kwargs
    for name in info.supported_impls:
        yield {name: True}


def converted(value):
    """A hyperparameter of PyTorch as ours."""
    if isinstance(value, tuple):
        return tuple(converted(v) for v in value)
    return devtensor.tensor(value.numpy()) if hasattr(value, "numpy") else value


def numbers(name, dtype, seed):
    draw = np.random.default_rng(seed)
    shapes = [(4, 3), (3, 5)] if name == "Muon" else [(4, 3), (5,), (2, 3, 2), ()]
    made = [draw.normal(size=shape) for shape in shapes]
    return [m + 1j * draw.normal(size=m.shape) for m in made] if "complex" in dtype else made


class Run:
    """Parameters that an optimizer moves towards goals."""

    def __init__(self, library, name, dtype, values):
        kind = getattr(library, dtype)
        make = library.from_numpy
        self.goals = [make(np.asarray(n)).to(kind) for n in numbers(name, dtype, 1)]
        self.params = [make(np.asarray(n)).to(kind).requires_grad_() for n in numbers(name, dtype, 0)]
        self.differentiable = values.get("differentiable")
        self.optimizer = getattr(library.optim, name)(self.params, **values)

    def closure(self):
        self.optimizer.zero_grad()
        loss = 0.0
        for p, goal in zip(self.params, self.goals, strict=True):
            gap = (p - goal).abs()
            loss = loss + (gap**2).mean() + (gap**4).mean() * 0.1
        loss.backward()
        return loss

    def step(self, name):
        if name == "LBFGS":
            self.optimizer.step(self.closure)
            return
        self.closure()
        if self.differentiable:
            # PyTorch refuses to write to a leaf while autograd listens.
            self.optimizer.defaults["differentiable"] = False
        self.optimizer.step()

    def arrays(self):
        return [p.detach().numpy() for p in self.params]


def same_state(ours, theirs):
    """Whether two state dicts have the same keys in the same order, and tensors of the same dtypes."""
    assert list(ours) == list(theirs)
    assert [list(g) for g in ours["param_groups"]] == [list(g) for g in theirs["param_groups"]]
    assert [g["params"] for g in ours["param_groups"]] == [g["params"] for g in theirs["param_groups"]]
    assert {k: list(s) for k, s in ours["state"].items()} == {k: list(s) for k, s in theirs["state"].items()}
    for key, state in theirs["state"].items():
        for name, value in state.items():
            if hasattr(value, "dtype"):
                mine = ours["state"][key][name]
                assert (str(mine.dtype), tuple(mine.shape)) == (
                    str(value.dtype).replace("torch", "devtensor"),
                    tuple(value.shape),
                ), name


def close(ours, theirs, name):
    tolerance = TOLERANCES.get(name, 3e-6)
    for mine, wanted in zip(ours.arrays(), theirs.arrays(), strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_configurations_of_optim_db(name, torch, optim_db):
    info = optim_db[name]
    dtypes = DTYPES.get(name, ("float32", "float64", "complex64"))
    for dtype in dtypes[: None if info.supports_complex else -1]:
        for values in configurations(info):
            if "fused" in values and "complex" in dtype:
                continue
            theirs = Run(torch, name, dtype, values)
            ours = Run(devtensor, name, dtype, {k: converted(v) for k, v in values.items()})
            for _ in range(3 if name == "LBFGS" else STEPS):
                theirs.step(name)
                ours.step(name)
            close(ours, theirs, name)
            same_state(ours.optimizer.state_dict(), theirs.optimizer.state_dict())
            COUNTS["optimizers"] += 1


def carried(library, state, other):
    """A state dict as the other library's, through a file."""
    buffer = io.BytesIO()
    library.save(state, buffer)
    buffer.seek(0)
    return other.load(buffer, weights_only=True)


@pytest.mark.parametrize("back", [False, True], ids=["from torch", "to torch"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_goes_over_midway(name, back, torch, optim_db):
    libraries = (devtensor, torch) if back else (torch, devtensor)
    dtype = "float64" if name == "LBFGS" else "float32"
    for values in configurations(optim_db[name]):
        if "differentiable" in values:
            continue
        ours = {k: converted(v) for k, v in values.items()}
        first, second = (Run(lib, name, dtype, ours if lib is devtensor else values) for lib in libraries)
        for _ in range(STEPS // 2):
            first.step(name)
        with torch.no_grad(), devtensor.no_grad():
            for p, array in zip(second.params, first.arrays(), strict=True):
                p.copy_(libraries[1].from_numpy(np.array(array)))
        second.optimizer.load_state_dict(carried(libraries[0], first.optimizer.state_dict(), libraries[1]))
        for _ in range(STEPS // 2):
            first.step(name)
            second.step(name)
        close(first, second, name)
        COUNTS["states"] += 1


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_pytorch_refuses(name, torch, optim_db):
    for case in optim_db[name].optim_error_inputs_func(device="cpu", dtype=torch.float32):
        given = case.optimizer_error_input
        if given.params is None:
            params = [devtensor.zeros(2, 3).requires_grad_()]
        else:
            params = parameters(torch, given.params)
        values = {k: converted(v) for k, v in given.kwargs.items()}
        caught = (
            pytest.warns(case.error_type, match=case.error_regex)
            if issubclass(case.error_type, Warning)
            else pytest.raises(case.error_type, match=case.error_regex)
        )
        with caught as found:
            getattr(optim, name)(params, **values).step(lambda: devtensor.zeros(()))
        if not issubclass(case.error_type, Warning):
            assert isinstance(found.value, DevtensorError)
        COUNTS["refusals"] += 1


def parameters(torch, given, known=None):
    """Parameters, groups and names of PyTorch as ours; a parameter met twice is one."""
    known = {} if known is None else known
    if isinstance(given, torch.Tensor):
        if id(given) not in known:
            known[id(given)] = devtensor.tensor(given.detach().numpy(), requires_grad=True)
            if given.grad is not None:
                known[id(given)].grad = devtensor.tensor(given.grad.numpy())
        return known[id(given)]
    if isinstance(given, (list, tuple)):
        return type(given)(parameters(torch, g, known) for g in given)
    if isinstance(given, dict):
        return {key: parameters(torch, value, known) for key, value in given.items()}
    return given


SCHEDULES = {
    "LambdaLR": lambda s, o: s.LambdaLR(o, [lambda e: 0.95**e, lambda e: 1 / (1 + e)]),
    "MultiplicativeLR": lambda s, o: s.MultiplicativeLR(o, lambda e: 0.9 + 0.001 * e),
    "StepLR": lambda s, o: s.StepLR(o, 7, 0.3),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [3, 3, 10, 33], 0.5),
    "ConstantLR": lambda s, o: s.ConstantLR(o, 0.3, 9),
    "LinearLR": lambda s, o: s.LinearLR(o, 0.2, 0.7, 20),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.93),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o, 100, 1.7),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 13, 0.001),
    "restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 5, 2, 0.001),
    "equal restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 7),
}
WHOLE = {
    "triangular": lambda s, o: s.CyclicLR(o, 0.01, 0.3, 6),
    "triangular2": lambda s, o: s.CyclicLR(o, [0.01, 0.02], [0.3, 0.4], 5, 9, mode="triangular2"),
    "exp_range": lambda s, o: s.CyclicLR(o, 0.01, 0.3, 6, mode="exp_range", gamma=0.97, base_momentum=0.7),
    "scale_fn": lambda s, o: s.CyclicLR(
        o, 0.01, 0.3, 6, scale_fn=lambda x: 1 / (x + 1), scale_mode="iterations"
    ),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, [0.3, 0.5], total_steps=70),
    "three phases": lambda s, o: s.OneCycleLR(
        o, 0.3, epochs=7, steps_per_epoch=10, three_phase=True, anneal_strategy="linear", pct_start=0.4
    ),
    "plateau": lambda s, o: s.ReduceLROnPlateau(o, patience=3, cooldown=2, factor=0.5, min_lr=[1e-3, 1e-4]),
    "SWALR": lambda s, o: s.SWALR(o, [0.02, 0.03], anneal_epochs=12),
    "SWALR at once": lambda s, o: s.SWALR(o, 0.02, anneal_epochs=0, anneal_strategy="linear"),
}


def composed(seed):
    """A sequence of schedules, or a chain and one after it, drawn by chance."""
    draw = random.Random(seed)
    names = [draw.choice(list(SCHEDULES)) for _ in range(3)]
    milestones = sorted(draw.sample(range(3, 50), 2))
    chained = draw.random() < 0.4

    def build(s, o):
        made = [SCHEDULES[name](s, o) for name in names]
        if chained:
            return s.SequentialLR(o, [s.ChainedScheduler(made[:2]), made[2]], milestones[:1])
        return s.SequentialLR(o, made, milestones)

    return build


EVERY = SCHEDULES | WHOLE | {f"composed {seed}": composed(seed) for seed in range(30)}


class Scheduled:
    """An optimizer with two groups and a schedule."""

    def __init__(self, library, kind, tensors, build):
        def rate(value):
            return library.tensor(value, dtype=library.float64) if tensors else value

        leaves = [library.zeros(1).requires_grad_() for _ in range(2)]
        groups = [{"params": [leaves[0]]}, {"params": [leaves[1]], "lr": rate(0.03)}]
        values = {"momentum": 0.9} if kind == "SGD" else {}
        self.optimizer = getattr(library.optim, kind)(groups, lr=rate(0.1), **values)
        swa = import_module(f"{library.__name__}.optim.swa_utils")
        found = {**vars(library.optim.lr_scheduler), "SWALR": swa.SWALR}
        self.schedule = build(SimpleNamespace(**found), self.optimizer)
        self.measured = hasattr(self.schedule, "patience")

    def step(self, epoch):
        self.optimizer.step()
        self.schedule.step(*([abs(np.sin(epoch)) + 1] if self.measured else []))

    def rates(self):
        groups = self.optimizer.param_groups
        momenta = [g["betas"][0] if "betas" in g else g["momentum"] for g in groups]
        return [float(x) for x in (*(g["lr"] for g in groups), *momenta, *self.schedule.get_last_lr())]


@pytest.mark.parametrize("tensors", [False, True], ids=["numbers", "tensors"])
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("name", EVERY)
def test_schedules(name, kind, tensors, torch, optim_db):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, ours = (Scheduled(lib, kind, tensors, EVERY[name]) for lib in (torch, devtensor))
        for epoch in range(EPOCHS):
            np.testing.assert_allclose(ours.rates(), theirs.rates(), rtol=1e-12, atol=0)
            theirs.step(epoch)
            ours.step(epoch)
        if not tensors:
            assert set(ours.schedule.state_dict()) == set(theirs.schedule.state_dict())
    COUNTS["schedules"] += 1
