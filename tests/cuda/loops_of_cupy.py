"""Run by a Python that has CuPy, or the stand-in: the loop that each elementwise function takes for arrays of
every dtype and Python numbers, as JSON.

No device is needed: CuPy's arrays stand on an address that nobody reads.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cupy
import ml_dtypes
import numpy as np

NAMES = json.loads((Path(__file__).parent.parent / "standin" / "loops.json").read_text())["cupy"]
DTYPES = """
bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 bfloat16 float32 float64 complex64 complex128
"""
NUMBERS = {"a bool": True, "an int": 1, "a float": 1.0, "a complex": 1j}


def dtype_of(name: str) -> np.dtype:
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def combinations(count: int) -> Iterator[tuple[str, ...]]:
    """Inputs of a function, one of which is an array at least."""
    for names in itertools.product([*DTYPES.split(), *NUMBERS], repeat=count):
        if not NUMBERS.keys() >= set(names):
            yield names


def by_cupy() -> Callable[[str, tuple[str, ...]], Any]:
    """CuPy's own choice."""
    from cupy._core._scalar import CScalar

    memory = cupy.cuda.MemoryPointer(cupy.cuda.UnownedMemory(1 << 20, 64, None, 0), 0)
    values: dict[str, Any] = {name: cupy.ndarray((1,), dtype_of(name), memory) for name in DTYPES.split()}

    def choose(name: str, inputs: tuple[str, ...]) -> Any:
        function = getattr(cupy, name)
        given = [values[each] if each in values else CScalar(NUMBERS[each]) for each in inputs]
        loop = function._ops.guess_routine(function.name, {}, given, None, function._out_ops)
        return [[np.dtype(t).name for t in types] for types in (loop.in_types, loop.out_types)]

    return choose


def by_stand_in() -> Callable[[str, tuple[str, ...]], Any]:
    """The stand-in's choice."""
    from cupy import _loops

    def choose(name: str, inputs: tuple[str, ...]) -> Any:
        given = tuple(
            _loops.told(NUMBERS[each]) if each in NUMBERS else (dtype_of(each), None) for each in inputs
        )
        loop = _loops.find_loop("cupy", name, given)
        return [[_loops.dtype_of(character).name for character in types] for types in loop]

    return choose


def chosen() -> dict[str, Any]:
    """Every choice; None where the function refuses."""
    choose = by_stand_in() if hasattr(cupy, "_machine") else by_cupy()
    found: dict[str, Any] = {}
    for name, loops in NAMES.items():
        for inputs in combinations(len(loops.split()[0].split("->")[0])):
            try:
                found[f"{name}: {', '.join(inputs)}"] = choose(name, inputs)
            except TypeError:
                found[f"{name}: {', '.join(inputs)}"] = None
    return found


print(json.dumps(chosen()))
