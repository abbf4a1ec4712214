"""Elementwise ops by kernels of our own: one launch where CuPy's functions would take several.

Half types are computed in float32 and rounded once. What broadcasts, and what does not lie in rows, is read
where it lies. Integers, complex numbers, and devices whose sources do not compile are served by the bodies.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import cupy
import numpy as np

from devtensor.backend.protocol import Kernel
from devtensor_cupy.compile.elementwise import ARRAYS
from devtensor_cupy.compile.prelude import C_TYPES
from devtensor_cupy.compile.walks import Steps, Walk, spread_steps, steps_of, walk
from devtensor_cupy.launching import entry_for, launcher

MOST_INPUTS, MOST_NUMBERS = 4, 3


class Lying(NamedTuple):
    """How an array lies in memory, its strides in bytes."""

    shape: tuple[int, ...]
    strides: Steps
    dtype: Any

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize


class Plan(NamedTuple):
    """What a launch needs to know of arrays that lie so.

    The result lies as input `like` does, or in rows if that is None. `wide` has a bit for each input that is
    in float32 beside halves, `missing` a null pointer for each input that a kernel might have and this not.
    """

    entry: str
    shape: tuple[int, ...]
    dtype: Any
    like: int | None
    wide: int
    missing: tuple[None, ...]


def run(name: str, inputs: tuple[Any, ...], *numbers: float) -> Any:
    """Launch a formula's kernel over arrays that broadcast; of halves some may be numbers in float32."""
    lying = [(x.shape, x.strides, x.dtype) for x in inputs]
    entry, shape, dtype, like, wide, missing = planned(name, *lying)
    out = cupy.empty(shape, dtype) if like is None else cupy.empty_like(inputs[like], dtype)
    way = walk_along((shape, out.strides, dtype), *lying)
    if way is None:
        return run(
            name, tuple([cupy.ascontiguousarray(cupy.broadcast_to(x, shape)) for x in inputs]), *numbers
        )
    if out.size:
        pointers = [x.data.ptr for x in inputs]
        rest = (0.0,) * (MOST_NUMBERS - len(numbers))
        values = [out.data.ptr, *pointers, *missing, way, out.size, wide, *numbers, *rest]
        launcher.launch(entry, out.size, values)
    return out


@lru_cache(4096)
def planned(name: str, *lying: tuple) -> Plan:
    """The kernel and its result, which lies in the order of the first input that has all of its elements."""
    inputs = [Lying(*each) for each in lying]
    shape = np.broadcast_shapes(*(x.shape for x in inputs))
    dtype = next((x.dtype for x in inputs if x.dtype.itemsize == 2), inputs[0].dtype)
    like = next((k for k, x in enumerate(inputs) if x.shape == shape), None)
    if like is not None and lies_in_rows(inputs[like]):
        like = None
    wide = sum(1 << k for k, x in enumerate(inputs) if x.dtype != dtype)
    missing = (None,) * (MOST_INPUTS - len(inputs))
    return Plan(entry_for(name, dtype), shape, dtype, like, wide, missing)


def lies_in_rows(x: Lying) -> bool:
    """Whether its elements follow each other in memory as they do in its shape."""
    step = x.itemsize
    for size, stride in zip(reversed(x.shape), reversed(x.strides), strict=True):
        if size > 1 and stride != step:
            return False
        step *= size
    return True


@lru_cache(4096)
def walk_along(out: tuple, *lying: tuple) -> Walk | None:
    """How a kernel walks along the result and the inputs; None if it cannot."""
    result = Lying(*out)
    steps = [spread_steps(Lying(*each), result.shape) for each in lying]
    return walk(result.shape, (steps_of(result), *steps))


def gelu(x: Any, approximate: str) -> Any:
    return run("gelu" if form_of(approximate) == "none" else "gelu_tanh", (x,))


def gelu_gradient(g: Any, x: Any, approximate: str) -> Any:
    name = "gelu_gradient" if form_of(approximate) == "none" else "gelu_tanh_gradient"
    return run(name, (g, x))


def form_of(approximate: str) -> str:
    """The form of a GELU.

    Errors: ValueError for an unknown one.
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"approximate argument must be either none or tanh; got {approximate!r}")
    return approximate


def clamp(x: Any, lower: Any, upper: Any) -> Any:
    """A limit may be missing: then it is one function of CuPy's."""
    if lower is None or upper is None:
        return cupy.minimum(x, upper) if lower is None else cupy.maximum(x, lower)
    return run("clamp", (x, lower, upper))


def of_formula(name: str, count: int) -> Kernel:
    """The kernel of so many arrays, and of the numbers that the op takes as parameters."""
    return lambda *given: run(name, given[:count], *given[count:])


FORMS = ("gelu_tanh", "gelu_tanh_gradient")
"""Formulas that are forms of an op, not ops themselves."""
OF_THEIR_OWN: dict[str, Kernel] = {"gelu": gelu, "gelu_gradient": gelu_gradient, "clamp": clamp}
KERNELS = {name: of_formula(name, count) for name, count in ARRAYS.items() if name not in FORMS}
KERNELS |= OF_THEIR_OWN
"""Every kernel by its op's name."""
NAMES = frozenset(KERNELS)


def ready(name: str, dtype: str) -> bool:
    """Whether an op's kernel can be launched over a dtype on the current device."""
    return dtype in C_TYPES and launcher.kernels(f"{name}_{dtype}") is not None
