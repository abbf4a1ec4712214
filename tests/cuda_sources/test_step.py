"""A whole mixed-precision step by multi-tensor kernels gives what the runtime's own optimizers give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import devtensor as dt
from cuda_sources.running import Held, Table, argument
from cuda_sources.tensor_cases import pieces
from cudashim.build import compiler_missing, need
from cudashim.hostsim import HostSim
from devtensor_cupy.compile import SOURCES
from devtensor_cupy.compile.steps import AMSGRAD, DECOUPLED, MAXIMIZE, NESTEROV

SIZES, STEPS, CHUNK, SCALE, LARGEST, LR = (7, 300, 520), 4, 256, 1024.0, 2.0, 0.05
SKIPPED_STEP = 2

SETTINGS: list[tuple[str, Any, dict[str, Any], list[float], int]] = [
    ("sgd", dt.optim.SGD, dict(), [0, 0, 0], 0),
    ("sgd", dt.optim.SGD, dict(momentum=0.9, weight_decay=0.1), [0.9, 0, 0.1], 0),
    ("sgd", dt.optim.SGD, dict(momentum=0.9, nesterov=True, maximize=True), [0.9, 0, 0], NESTEROV | MAXIMIZE),
    ("sgd", dt.optim.SGD, dict(momentum=0.9, dampening=0.5), [0.9, 0.5, 0], 0),
    ("adam", dt.optim.Adam, dict(weight_decay=0.1), [0.9, 0.999, 1e-8, 0.1], 0),
    ("adam", dt.optim.Adam, dict(amsgrad=True), [0.9, 0.999, 1e-8, 0], AMSGRAD),
    ("adam", dt.optim.AdamW, dict(weight_decay=0.1), [0.9, 0.999, 1e-8, 0.1], DECOUPLED),
]


@pytest.fixture(autouse=True, scope="module")
def compiler() -> Iterator[None]:
    need("g++", compiler_missing())
    yield


def gradients(step: int) -> list[np.ndarray]:
    """Scaled gradients of a step; one step's are not finite."""
    rng = np.random.default_rng(step)
    drawn = [(rng.standard_normal(size) * SCALE).astype(np.float32) for size in SIZES]
    if step == SKIPPED_STEP:
        drawn[1][299] = np.inf
    return drawn


def beginning() -> list[np.ndarray]:
    return [np.random.default_rng([9, size]).standard_normal(size).astype(np.float32) for size in SIZES]


def by_the_runtime(optimizer: Any, options: dict[str, Any]) -> list[list[np.ndarray]]:
    """Parameters after each step of the runtime's own scaler, clipping and optimizer."""
    parameters: list[Any] = [dt.nn.Parameter(dt.tensor(value)) for value in beginning()]
    rule = optimizer(parameters, lr=LR, **options)
    history = []
    for step in range(STEPS):
        scaler: Any = dt.amp.GradScaler("cpu", init_scale=SCALE)
        scaler.scale(dt.tensor(1.0))
        for parameter, gradient in zip(parameters, gradients(step), strict=True):
            parameter.grad = dt.tensor(gradient)
        scaler.unscale_(rule)
        dt.nn.utils.clip_grad_norm_(parameters, LARGEST)
        scaler.step(rule)
        history.append([parameter.detach().numpy().copy() for parameter in parameters])
    return history


class KernelStep:
    """The same by kernels alone: no number is read by the host until the end of a step."""

    def __init__(self, runtime: HostSim, rule: str, settings: list[float], flags: int) -> None:
        self.runtime, self.rule, self.stream = runtime, rule, runtime.stream()
        self.held = Held(runtime, self.stream, 0)
        self.arguments: list[Any] = [*settings, flags]
        self.values, self.g = beginning(), [np.zeros(size, np.float32) for size in SIZES]
        self.slots = [[np.zeros(size, np.float32) for size in SIZES] for _ in range(3)]
        self.steps = [np.zeros(1, np.float32) for _ in SIZES]
        self.kernels = {name: runtime.load(SOURCES.of(name)) for name in self.names()}

    def names(self) -> list[str]:
        per_dtype = ["multi_unscale", "multi_norm_parts", "multi_clip", f"multi_{self.rule}"]
        return [f"{name}_float32" for name in per_dtype] + ["norm_of_parts", "steps_advance"]

    def launch(self, name: str, blocks: int, *values: Any) -> None:
        entry = name if name in self.kernels else f"{name}_float32"
        given = [argument(self.held, value) for value in values]
        self.runtime.launch(self.kernels[entry], entry, blocks, given, self.stream)

    def step(self, gradients: list[np.ndarray]) -> list[np.ndarray]:
        """One step; gives the parameters."""
        for place, gradient in zip(self.g, gradients, strict=True):
            self.runtime.upload(self.held.address(place), gradient.data.cast("B"), self.stream)
        table = Table([self.g], CHUNK)
        blocks = len(pieces(table))
        found, inverse = np.zeros(1, np.float32), np.array([1 / SCALE], np.float32)
        sums, norm = np.zeros(blocks), np.zeros(1, np.float32)
        peaks = self.slots[2] if self.arguments[-1] & AMSGRAD else []
        slots = {"sgd": [self.slots[0]], "adam": [*self.slots[:2], peaks]}[self.rule]
        everything = Table([self.values, self.g, *slots, self.steps], CHUNK)
        counts = len(everything.lists) - 1
        self.launch("multi_unscale", blocks, table, inverse, found)
        self.launch("multi_norm_parts", blocks, table, 2.0, sums)
        self.launch("norm_of_parts", 1, table, sums, 2.0, norm, None)
        self.launch("multi_clip", blocks, table, norm, None, LARGEST)
        self.launch("steps_advance", 1, everything, counts, None, LR, found)
        self.launch(f"multi_{self.rule}", blocks, everything, None, LR, found, None, *self.arguments)
        self.runtime.synchronize(self.stream)
        return [self.held.back(value) for value in self.values]


@pytest.mark.parametrize("threads", ["forward", "shuffled"])
@pytest.mark.parametrize(("rule", "optimizer", "options", "settings", "flags"), SETTINGS)
def test_a_step_of_kernels_is_a_step_of_the_runtime(rule, optimizer, options, settings, flags, threads):
    wanted = by_the_runtime(optimizer, options)
    kernels = KernelStep(HostSim(threads=threads), rule, settings, flags)
    got = [kernels.step(gradients(step)) for step in range(STEPS)]
    for step in range(STEPS):
        for ours, theirs in zip(got[step], wanted[step], strict=True):
            np.testing.assert_allclose(ours, theirs, 2e-5, 2e-6, err_msg=f"step {step}")
    skipped, before = got[SKIPPED_STEP], got[SKIPPED_STEP - 1]
    assert [value.tobytes() for value in skipped] == [value.tobytes() for value in before]
