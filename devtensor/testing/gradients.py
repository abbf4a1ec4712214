"""Derivatives of ops against finite differences: one random direction per input, to third order.

A function of many numbers is reduced to one of one number: its results are summed with random weights, and
its inputs move along a random line. A wrong derivative anywhere shows there with probability one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from devtensor.autograd.engine import grad
from devtensor.core.device import resolve
from devtensor.core.errors import AutogradError
from devtensor.core.op import Op
from devtensor.core.tensor import Tensor
from devtensor.ops.create import full_of
from devtensor.testing.cases import Sample, samples_of, to_numpy, to_tensor

# For results of so many bits: how far inputs move, and what error, relative to what was summed, that allows.
# Rounding costs the dtype's eps over the step, curvature the step squared.
STEPS = {64: (3e-6, 1e-5), 32: (1e-2, 1e-3), 16: (0.5, 5e-2)}
ATOL = 1e-6


def check_gradients(op: Op, device: Any = "cpu") -> None:
    """Raise AssertionError unless the formulas give three orders of derivatives at every double example.

    An op declared as not differentiable must leave no history.
    """
    exact = "float64" in resolve(device).backend.dtypes
    for drawn in samples_of(op, device, ("float64", "complex128")) if exact else ():
        check_sample(drawn)


def check_sample(drawn: Sample) -> None:
    """The same for one drawn example."""
    refuse_silence(drawn)
    places = [p for p, value in enumerate(drawn.inputs) if is_differentiable(drawn, p, value)]
    if not places:
        return
    leaves = list(drawn.inputs)
    for place in places:
        leaves[place].requires_grad = True
    outs = drawn.run(*leaves)
    floats = [k for k, out in enumerate(outs) if out.dtype.differentiable]
    history = [k for k, out in enumerate(outs) if out.requires_grad]
    if drawn.op.differentiable is False or not floats:
        assert not history, f"{drawn}: not differentiable, but leaves history"
        return
    assert history == floats, f"{drawn}: results {floats} are differentiable, but {history} have a history"
    check = Check(drawn, places, floats, [outs[k] for k in floats])
    check.first_order()
    check.each_alone()
    check.second_order()
    if drawn.device.type == "cpu":
        check.third_order()


def is_differentiable(drawn: Sample, place: int, value: Any) -> bool:
    """Whether this input takes part in promotion, is of floating point, and has a formula if any has."""
    candidate = isinstance(value, Tensor) and value.dtype.differentiable and drawn.op.takes_part(place)
    return candidate and not lacks_formula(drawn.op, place)


def lacks_formula(op: Op, place: int) -> bool:
    """Whether the op refuses derivatives, or has formulas and none for this input."""
    return (op.refuses or bool(op.rules)) and op.joint is None and op.input_name(place) not in op.rules


def refuse_silence(drawn: Sample) -> None:
    """An input without a formula that requires grad is an error: its gradient must not vanish unsaid."""
    for place, value in enumerate(drawn.inputs):
        named = isinstance(value, Tensor) and value.dtype.differentiable and drawn.op.takes_part(place)
        if not (named and lacks_formula(drawn.op, place)):
            continue
        inputs = list(drawn.inputs)
        inputs[place] = value.detach().requires_grad_()
        outs = [out for out in drawn.run(*inputs) if out.dtype.differentiable]
        try:
            grad(outs, inputs[place], [full_of(out.array.shape, 1, out.kind) for out in outs])
        except AutogradError as error:
            name = drawn.op.input_name(place)
            assert name in str(error), f"{drawn}: the error does not name {name}: {error}"
        else:
            raise AssertionError(
                f"{drawn}: {drawn.op.input_name(place)} requires grad, has no formula, and nobody says so"
            )


def widened(array: np.ndarray) -> np.ndarray:
    """The numbers in double precision."""
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def normals(rng: np.random.Generator, shape: tuple[int, ...], complex: bool) -> np.ndarray:
    """Random numbers, with imaginary parts if asked."""
    numbers = rng.normal(size=shape)
    return numbers + 1j * rng.normal(size=shape) if complex else numbers


def along(direction: np.ndarray, tensor: Tensor) -> float:
    """How far the tensor points along a direction: of complex numbers, both parts count alike."""
    return float(np.vdot(direction, widened(to_numpy(tensor))).real)


class Check:
    """One sample with its weights and directions."""

    def __init__(self, drawn: Sample, places: list[int], floats: list[int], outs: list[Tensor]) -> None:
        self.drawn = drawn
        self.places = places
        self.floats = floats
        rng = np.random.default_rng(len(drawn.case.inputs))
        self.points = [widened(drawn.arrays[p]) for p in places]
        self.directions = [normals(rng, point.shape, point.dtype.kind == "c") for point in self.points]
        self.seconds = [normals(rng, point.shape, point.dtype.kind == "c") for point in self.points]
        self.weights = [normals(rng, tuple(out.shape), out.dtype.is_complex) for out in outs]
        self.weight_directions = [normals(rng, tuple(out.shape), out.dtype.is_complex) for out in outs]
        self.step, self.tolerance = STEPS[min(out.dtype.to_real().bits for out in outs)]

    def tensor(self, array: np.ndarray, wanted: bool = False) -> Tensor:
        made = to_tensor(array, self.drawn.device)
        made.requires_grad = wanted
        return made

    def outputs(
        self, points: Sequence[np.ndarray], wanted: Sequence[int]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Leaves at `points`, of which those in `wanted` require grad, and the floating-point results."""
        inputs, leaves = list(self.drawn.inputs), []
        for place, point in zip(self.places, points, strict=True):
            k = self.places.index(place)
            same = point is self.points[k] and point.dtype == self.drawn.arrays[place].dtype
            inputs[place] = self.drawn.inputs[place].detach() if same else self.tensor(point)
            inputs[place].requires_grad = place in wanted
            leaves.append(inputs[place])
        results = self.drawn.run(*inputs)
        return leaves, [results[k] for k in self.floats]

    def total(self, points: Sequence[np.ndarray]) -> float:
        """The weighted sum of the results."""
        if not any(point.size for point in points):
            return 0.0
        _, outs = self.outputs(points, ())
        return sum(along(w, o) for o, w in zip(outs, self.weights, strict=True))

    def gradients(self, points: Any, weights: Any, wanted: Any = None, create_graph: bool = False) -> tuple:
        """Leaves, weights as tensors, and the gradient for each leaf."""
        wanted = self.places if wanted is None else wanted
        leaves, outs = self.outputs(points, wanted)
        tensors = [self.tensor(w, create_graph) for w in weights]
        chosen = [leaf for leaf in leaves if leaf.requires_grad]
        # Of a body that autograd sees inside, a result may have nothing to do with the inputs wanted.
        reached = [k for k, out in enumerate(outs) if out.requires_grad]
        if not reached:
            return chosen, tensors, (None,) * len(chosen)
        roots, seeds = [outs[k] for k in reached], [tensors[k] for k in reached]
        return chosen, tensors, grad(roots, chosen, seeds, create_graph=create_graph, allow_unused=True)

    def first_order(self) -> None:
        leaves, _, found = self.gradients(self.points, self.weights)
        self.found = found
        for place, leaf, g, direction in zip(self.places, leaves, found, self.directions, strict=True):
            name = self.drawn.op.input_name(place)
            if g is not None:
                assert g.shape == leaf.shape, f"{self.drawn}: gradient of {name} is {tuple(g.shape)}"
                assert g.dtype is leaf.dtype, f"{self.drawn}: gradient of {name} is {g.dtype}"
            analytic = 0.0 if g is None else along(direction, g)
            ahead, behind = (
                self.total(self.moved(self.places.index(place), sign * self.step)) for sign in (1, -1)
            )
            self.compare(analytic, (ahead - behind) / (2 * self.step), f"derivative for {name}")

    def moved(self, index: int, step: float) -> list[np.ndarray]:
        points = list(self.points)
        points[index] = points[index] + step * self.directions[index]
        return points

    def each_alone(self) -> None:
        """An input's gradient does not depend on which others require one."""
        for index, place in enumerate(self.places if len(self.places) > 1 else ()):
            _, _, (alone,) = self.gradients(self.points, self.weights, wanted=(place,))
            together = self.found[index]
            equal = alone is None if together is None else np.array_equal(to_numpy(alone), to_numpy(together))
            assert equal, (
                f"{self.drawn}: gradient of {self.drawn.op.input_name(place)} differs when it is alone"
            )

    def second_order(self) -> None:
        analytic = self.weighted(self.curvature(self.points, self.weights)[0])
        ahead, behind = (self.slope(sign * self.step) for sign in (1, -1))
        self.compare(analytic, (ahead - behind) / (2 * self.step), "second derivative")

    def third_order(self) -> None:
        found, sources = self.curvature(self.points, self.weights, create_graph=True)
        kept = [(s, v) for s, v in zip(found, self.lines, strict=True) if s is not None and s.requires_grad]
        if not kept:
            return
        roots, seeds = [s for s, _ in kept], [self.tensor(v) for _, v in kept]
        analytic = self.weighted(grad(roots, sources, seeds, allow_unused=True))
        ahead, behind = (
            self.weighted(self.curvature(*self.further(sign * self.step))[0]) for sign in (1, -1)
        )
        self.compare(analytic, (ahead - behind) / (2 * self.step), "third derivative")

    def curvature(self, points: Any, weights: Any, create_graph: bool = False) -> tuple[Sequence, list]:
        """The derivatives of the weighted first ones, by leaves and weights, and these."""
        leaves, tensors, found = self.gradients(points, weights, create_graph=True)
        sources = [*leaves, *tensors]
        kept = [(g, u) for g, u in zip(found, self.seconds, strict=True) if g is not None and g.requires_grad]
        if not kept:
            return [None] * len(sources), sources
        roots, seeds = [g for g, _ in kept], [self.tensor(u) for _, u in kept]
        return grad(roots, sources, seeds, create_graph=create_graph, allow_unused=True), sources

    @property
    def lines(self) -> list[np.ndarray]:
        return [*self.directions, *self.weight_directions]

    def weighted(self, found: Sequence[Tensor | None]) -> float:
        """How much the derivatives change along all lines at once."""
        return sum(along(v, s) for s, v in zip(found, self.lines, strict=True) if s is not None)

    def further(self, step: float) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Points and weights further along all lines at once."""
        points = [p + step * v for p, v in zip(self.points, self.directions, strict=True)]
        return points, [w + step * v for w, v in zip(self.weights, self.weight_directions, strict=True)]

    def slope(self, step: float) -> float:
        """The first derivatives, weighted, at a point further along all lines at once."""
        points, weights = self.further(step)
        _, _, found = self.gradients(points, weights)
        return sum(along(u, g) for g, u in zip(found, self.seconds, strict=True) if g is not None)

    def compare(self, analytic: float, numeric: float, what: str) -> None:
        close = abs(analytic - numeric) <= ATOL + self.tolerance * max(abs(numeric), self.size)
        assert close, f"{self.drawn}: {what} is {analytic:.9g}; finite differences give {numeric:.9g}"

    @property
    def size(self) -> float:
        """How much is summed: rounding grows with it."""
        return max([1.0, *(float(np.abs(w).sum()) for w in self.weights)])
