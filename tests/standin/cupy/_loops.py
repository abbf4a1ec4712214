"""CuPy's elementwise functions: which dtypes each has a loop for (told by CuPy itself), NumPy inside."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

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


def call(
    name: str, inputs: tuple[Any, ...], out: Any = None, group: str = "cupy", function: Any = None
) -> Any:
    """An elementwise function of arrays and numbers."""
    from cupy._arrays import launched, ndarray, unwrapped, wrapped

    for value in inputs:
        if not isinstance(value, (ndarray, np.generic, bool, int, float, complex)):
            raise TypeError(f"Unsupported type {type(value)}")
    launched(*inputs, out)
    taken, given = find_loop(group, name, tuple(getattr(x, "dtype", type(x)) for x in inputs))
    with np.errstate(all="ignore"):
        cast = [np.asarray(unwrapped(x)).astype(dtype_of(c)) for x, c in zip(inputs, taken, strict=True)]
        found = (function or getattr(np, name))(*cast)
        results = found if isinstance(found, tuple) else (found,)
        results = [np.asarray(r).astype(dtype_of(c), copy=False) for r, c in zip(results, given, strict=True)]
    if out is not None:
        return put(name, results[0], out)
    made = tuple(wrapped(result, ()) for result in results)
    return made if isinstance(found, tuple) else made[0]


def put(name: str, result: np.ndarray, out: Any) -> Any:
    """Write the result where the caller wants it."""
    if not np.can_cast(result.dtype, out.dtype, "same_kind"):
        raise TypeError(f"output (typecode {out.dtype.char}) could not be coerced from cupy_{name}")
    if np.broadcast_shapes(result.shape, out.shape) != out.shape:
        raise ValueError("Out shape is mismatched")
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

    def __call__(self, *inputs: Any, out: Any = None) -> Any:
        """CuPy takes the result's array as the argument behind the inputs as well."""
        count = len(self.types[0].split("->")[0])
        if len(inputs) == count + 1 and out is None:
            *inputs, out = inputs
        return call(self.name, tuple(inputs), out, self.group, self.function)

    def at(self, target: Any, index: Any, value: Any) -> None:
        """Combine at indices, as often as they occur, in the dtypes that have an atomic operation."""
        from cupy._arrays import bounded, launched, unwrapped

        if self.name != "add" or target.dtype.name not in ATOMIC:
            raise TypeError(f"cupy.{self.name}.at only supports {', '.join(ATOMIC)}, as data type")
        launched(target, index, value)
        np.add.at(target.held, bounded(target, index), unwrapped(value))


ATOMIC = ("int32", "float16", "float32", "float64", "uint32", "uint64")
