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
DEFAULTS = {bool: np.bool_, int: np.int64, float: np.float64, complex: np.complex128}
Told = tuple[np.dtype, Any]
COMPARISONS = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}
BY_VALUE = COMPARISONS | {"logical_and", "logical_or"}
NO_TRUTHS = {"negative", "positive", "subtract", "gcd", "lcm"}
"""Functions whose loop for truths is an error."""


@cache
def dtype_of(character: str) -> Any:
    """The dtype that a loop's character stands for; CuPy writes bfloat16 as E."""
    return np.dtype(ml_dtypes.bfloat16 if character == "E" else character)


def told(value: Any) -> Told:
    """A value's dtype, and the class of a Python number, whose width may not count (_scalar.pyx)."""
    kind = type(value)
    if kind not in DEFAULTS:
        return value.dtype, None
    large = kind is int and value >= 1 << 63
    return np.dtype(np.uint64 if large else DEFAULTS[kind]), None if kind is bool else kind


def rank(kind: Any) -> int:
    """How Python numbers and dtypes compare; bfloat16 is of none of NumPy's kinds (_kernel.pyx)."""
    classes = (np.bool_, (np.integer, int), (np.inexact, float, complex))
    return next((k for k, each in enumerate(classes) if issubclass(kind, each)), 3)


def are_weak(values: tuple[Told, ...]) -> bool:
    """Whether the width of Python numbers does not count: beside arrays of their kind or a higher one."""
    numbers = [rank(weak) for _, weak in values if weak is not None]
    arrays = [rank(dtype.type) for dtype, weak in values if weak is None]
    return bool(numbers and arrays) and max(arrays) >= max(numbers)


def fits(value: Told, weak: bool, character: str) -> bool:
    """Whether a loop takes an argument: by safe casts, or as a number that NumPy promotes no further.

    NumPy makes float64 of a float beside bfloat16, so that CuPy computes both in float32.
    """
    loop = dtype_of(character)
    if np.can_cast(value[0], loop, "safe"):
        return True
    try:
        return weak and value[1] is not None and np.result_type(value[1](0), loop) == loop
    except TypeError:
        return False


@cache
def find_loop(group: str, name: str, values: tuple[Told, ...]) -> tuple[str, str]:
    """The first loop that takes inputs of these dtypes.

    Errors: TypeError if there is none, as CuPy raises it.
    """
    if name in BY_VALUE and all(dtype.kind in "iu" for dtype, _ in values):
        # An int that another integer dtype may not hold is compared all the same (_routines_logic.pyx).
        values = tuple((dtype, None) for dtype, _ in values)
    weak = are_weak(values)
    for loop in LOOPS[group][name].split():
        taken, given = loop.split("->")
        if len(taken) == len(values) and all(fits(v, weak, c) for v, c in zip(values, taken, strict=True)):
            if name in NO_TRUTHS and "?" in taken:
                break
            return taken, given
    raise TypeError(f"Wrong type ({', '.join(str(v[0]) for v in values)}) of arguments for cupy_{name}")


def loop_giving(group: str, name: str, dtype: Any) -> tuple[str, str]:
    """The loop whose results have the dtype that the caller names; inputs are converted to what it takes."""
    for loop in LOOPS[group][name].split():
        taken, given = loop.split("->")
        if all(dtype_of(character) == np.dtype(dtype) for character in given):
            return taken, given
    raise TypeError(f"No loop matching the specified signature and casting was found for ufunc cupy_{name}")


def flushed(x: np.ndarray) -> np.ndarray:
    """Subnormal numbers are zero to what CuPy compiles as it stands (cuda/compiler.py: -ftz=true)."""
    from cupy.cuda import compiler

    if x.dtype.name not in ("float32", "bfloat16") or "-ftz=true" not in compiler.options_of("loop"):
        return x
    normal = np.finfo(np.float32).tiny
    return np.where((np.abs(x) < normal) & (x != 0), x * 0, x)


BITS = frozenset({"nextafter"})
"""Functions that make their results of bits, which no arithmetic flushes."""


def floored_quotient(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Quotients rounded down, of floating-point numbers as carray.cuh has it: the last digit decides."""
    if x.dtype.kind in "iu":
        return np.floor_divide(x, y)
    wide = np.float64 if x.dtype == np.float64 else np.float32
    return np.floor(x.astype(wide) / y.astype(wide))


def floored_rest(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What that quotient leaves (_routines_math.pyx): NaN beside infinities, and not exact."""
    if x.dtype.kind in "iu":
        return np.remainder(x, y)
    return x - floored_quotient(x, y) * y


def truncated_rest(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Integers go through float64 (_math/arithmetic.py), which does not hold all of 64 bits."""
    if x.dtype.kind not in "iu":
        return np.fmod(x, y)
    rest = np.fmod(x.astype(np.float64), y.astype(np.float64))
    return np.where(y == 0, 0, rest).astype(x.dtype)


FORMULAS = {
    "floor_divide": floored_quotient,
    "remainder": floored_rest,
    "mod": floored_rest,
    "fmod": truncated_rest,
}
"""What CuPy computes otherwise than NumPy."""


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
        taken, given = find_loop(group, name, tuple(map(told, inputs)))
    else:
        taken, given = loop_giving(group, name, dtype)
    held = [np.asarray(unwrapped(x)) for x in inputs]

    def compute() -> list[np.ndarray]:
        cast = [flushed(x.astype(dtype_of(c))) for x, c in zip(held, taken, strict=True)]
        found = (function or FORMULAS.get(name) or getattr(np, name))(*cast)
        results = found if isinstance(found, tuple) else (found,)
        # Fresh results lie in rows, whatever the inputs do (_kernel.pyx).
        made = [np.asarray(r).astype(dtype_of(c), "C") for r, c in zip(results, given, strict=True)]
        return made if name in BITS else list(map(flushed, made))

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
