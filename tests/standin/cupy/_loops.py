"""CuPy's elementwise functions: which dtypes each has a loop for (told by CuPy itself), NumPy inside."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from cupy._machine import Late, postponed

LOOPS: dict[str, dict[str, str]] = json.loads((Path(__file__).parent.parent / "loops.json").read_text())
WEAK = {bool: "?biuefdFDE", int: "bBhHiIlLqQefdFDE", float: "efdFDE", complex: "FD"}


@cache
def dtype_of(character: str) -> Any:
    """The dtype that a loop's character stands for; CuPy writes bfloat16 as E."""
    return np.dtype(ml_dtypes.bfloat16 if character == "E" else character)


def fits(kind: Any, character: str) -> bool:
    """Whether a loop takes an argument: arrays by safe casts, Python's numbers by their kind."""
    weak = WEAK.get(kind) if isinstance(kind, type) else None
    return np.can_cast(kind, dtype_of(character), "safe") if weak is None else character in weak


@cache
def find_loop(group: str, name: str, kinds: tuple[Any, ...]) -> tuple[str, str]:
    """The first loop that takes inputs of these dtypes, or of these classes of Python's numbers.

    Errors: TypeError if there is none, as CuPy raises it.
    """
    if all(isinstance(kind, type) for kind in kinds):
        kinds = tuple(np.dtype(kind) for kind in kinds)
    for loop in LOOPS[group][name].split():
        taken, given = loop.split("->")
        if len(taken) == len(kinds) and all(map(fits, kinds, taken)):
            return taken, given
    raise TypeError(f"Wrong type ({', '.join(map(str, kinds))}) of arguments for cupy_{name}")


def loop_giving(group: str, name: str, dtype: Any) -> tuple[str, str]:
    """The loop whose results have the dtype that the caller names; inputs are converted to what it takes."""
    for loop in LOOPS[group][name].split():
        taken, given = loop.split("->")
        if all(dtype_of(character) == np.dtype(dtype) for character in given):
            return taken, given
    raise TypeError(f"No loop matching the specified signature and casting was found for ufunc cupy_{name}")


def call(
    name: str,
    inputs: tuple[Any, ...],
    out: Any = None,
    group: str = "cupy",
    function: Any = None,
    dtype: Any = None,
    casting: Any = "same_kind",
) -> Any:
    """An elementwise function of arrays and numbers."""
    from cupy._arrays import launched, ndarray, queue_now, unwrapped, wrapped

    for value in inputs:
        if not isinstance(value, (ndarray, np.generic, bool, int, float, complex)):
            raise TypeError(f"Unsupported type {type(value)}")
    launched(*inputs, out)
    if dtype is None:
        taken, given = find_loop(group, name, tuple(getattr(x, "dtype", type(x)) for x in inputs))
    else:
        taken, given = loop_giving(group, name, dtype)
    held = [np.asarray(unwrapped(x)) for x in inputs]

    def compute() -> list[np.ndarray]:
        cast = [x.astype(dtype_of(c)) for x, c in zip(held, taken, strict=True)]
        found = (function or getattr(np, name))(*cast)
        results = found if isinstance(found, tuple) else (found,)
        return [np.asarray(r).astype(dtype_of(c), copy=False) for r, c in zip(results, given, strict=True)]

    with np.errstate(all="ignore"):
        results = compute()
    if out is not None:
        return put(name, results[0], out, compute, casting)
    made = tuple(wrapped(result, ()) for result in results)
    postponed(queue_now(), [each.held for each in made], compute)
    return made if len(made) > 1 else made[0]


def put(name: str, result: np.ndarray, out: Any, compute: Any, casting: Any = "same_kind") -> Any:
    """Write the result where the caller wants it."""
    from cupy._arrays import queue_now

    if not np.can_cast(result.dtype, out.dtype, casting):
        raise TypeError(f"output (typecode {out.dtype.char}) could not be coerced from cupy_{name}")
    if np.broadcast_shapes(result.shape, out.shape) != out.shape:
        raise ValueError("Out shape is mismatched")
    if Late.on:
        queue_now().add(lambda held=out.held: held.__setitem__(..., compute()[0]))
        return out
    with np.errstate(all="ignore"):
        out.held[...] = result
    return out


class ufunc:
    """An elementwise function."""

    def __init__(self, name: str, group: str = "cupy", function: Any = None) -> None:
        self.name, self.group, self.function = name, group, function
        self.__name__ = name

    @property
    def types(self) -> list[str]:
        return LOOPS[self.group][self.name].split()

    def __call__(self, *inputs: Any, out: Any = None, dtype: Any = None, casting: Any = "same_kind") -> Any:
        """CuPy takes the result's array as the argument behind the inputs as well."""
        count = len(self.types[0].split("->")[0])
        if len(inputs) == count + 1 and out is None:
            *inputs, out = inputs
        return call(self.name, tuple(inputs), out, self.group, self.function, dtype, casting)

    def at(self, target: Any, index: Any, value: Any) -> None:
        """Combine at indices, as often as they occur, in the dtypes that have an atomic operation."""
        from cupy._arrays import bounded, launched, unwrapped

        if self.name != "add" or target.dtype.name not in ATOMIC:
            raise TypeError(f"cupy.{self.name}.at only supports {', '.join(ATOMIC)}, as data type")
        launched(target, index, value)
        np.add.at(target.held, bounded(target, index), unwrapped(value))


ATOMIC = ("int32", "float16", "float32", "float64", "uint32", "uint64")
