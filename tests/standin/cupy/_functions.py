"""CuPy's functions on whole arrays: signatures and refusals as CuPy has them, NumPy inside."""

from __future__ import annotations

from typing import Any

import numpy as np

from cupy._arrays import device_told, launched, ndarray, no_bfloat16, queue_now, unwrapped, wrapped
from cupy._machine import current, postponed, synchronised
from cupy._memory import alloc


def run(function: Any, inputs: Any, *arguments: Any, **named: Any) -> Any:
    """NumPy's function on arrays that CuPy would take."""
    for value in inputs if isinstance(inputs, (tuple, list)) else [inputs]:
        if not isinstance(value, ndarray):
            raise TypeError(f"Unsupported type {type(value)}: a cupy.ndarray is needed")
    launched(inputs, arguments)
    held, others = unwrapped(inputs), unwrapped(arguments)
    with np.errstate(all="ignore"):
        result = function(held, *others, **named)
    made = wrapped(result, inputs)
    if (
        isinstance(made, ndarray)
        and isinstance(held, np.ndarray)
        and not np.may_share_memory(made.held, held)
    ):
        postponed(queue_now(), [made.held], lambda: [function(held, *others, **named)])
    return made


def reduction(name: str) -> Any:
    """A reduction over dimensions; none of CuPy's has a loop for bfloat16."""

    def reduce(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        no_bfloat16(name, (a,))
        asked = {} if dtype is None else {"dtype": dtype}
        return run(PLACES.get(name) or getattr(np, name), a, axis=axis, keepdims=keepdims, **asked)

    def reduce_plainly(a: Any, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        return reduce(a, axis, None, out, keepdims)

    return reduce if name in ("sum", "prod", "argmax", "argmin") else reduce_plainly


def any_missing(function: Any) -> Any:
    """The place of an extreme; of several NaN it is nobody's promise which (_routines_statistics.pyx)."""

    def placed(a: np.ndarray, axis: Any = None, keepdims: bool = False) -> np.ndarray:
        found = function(a, axis=axis, keepdims=keepdims)
        if a.dtype.kind != "f" or axis is None:
            return found
        missing = np.isnan(a)
        last = a.shape[axis] - 1 - np.argmax(np.flip(missing, axis), axis=axis, keepdims=keepdims)
        return np.where(missing.any(axis=axis, keepdims=keepdims), last, found)

    return placed


PLACES = {"argmax": any_missing(np.argmax), "argmin": any_missing(np.argmin)}


def scan(name: str) -> Any:
    def scanned(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        no_bfloat16(name, (a,))
        if dtype is not None and np.dtype(dtype).kind == "b":
            raise TypeError(f"cupy.{name} has no loop for bool")
        return run(getattr(np, name), a, axis=axis, dtype=dtype)

    return scanned


REDUCTIONS = {
    name: reduction(name) for name in ["sum", "prod", "amax", "amin", "all", "any", "argmax", "argmin"]
}
REDUCTIONS |= {"max": REDUCTIONS["amax"], "min": REDUCTIONS["amin"]}
cumsum, cumprod = scan("cumsum"), scan("cumprod")


def array(obj: Any, dtype: Any = None, copy: bool = True, order: str = "K") -> ndarray:
    """An array from another, or from what the host has, which is copied to the device."""
    if isinstance(obj, ndarray):
        same = dtype is None or np.dtype(dtype) == obj.dtype
        laid = order in (None, "K", "A") or (
            obj.flags.c_contiguous if order == "C" else obj.flags.f_contiguous
        )
        if same and laid and not copy:
            return obj
        return run(lambda a: np.array(a, dtype=dtype, order=order or "K"), obj)
    launched()
    return wrapped(np.array(obj, dtype=dtype, order=order or "K"), ())


def asarray(a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, blocking: bool = False) -> Any:
    return array(a, dtype, bool(copy), order or "K")


def ascontiguousarray(a: Any, dtype: Any = None) -> ndarray:
    made = array(a, dtype, False, "C")
    return made if made.ndim else made.reshape(1)


def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    """Fresh memory with numbers that nobody may rely on."""
    launched()
    held = np.empty(shape, dtype, order)
    held.reshape(-1, order="A").view(np.uint8)[...] = 0xDD
    return wrapped(held, ())


def empty_like(prototype: Any, dtype: Any = None, order: str = "K") -> ndarray:
    return run(lambda a: np.empty_like(a, dtype=dtype, order=order), prototype)


def zeros(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    launched()
    return wrapped(np.zeros(shape, dtype, order), ())


def full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C") -> ndarray:
    made = empty(shape, np.asarray(unwrapped(fill_value)).dtype if dtype is None else dtype, order)
    made.fill(fill_value)
    return made


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> ndarray:
    launched()
    if isinstance(start, ndarray):
        raise TypeError("arange takes Python's numbers")
    return wrapped(
        np.arange(0, start, step, dtype) if stop is None else np.arange(start, stop, step, dtype), ()
    )


def eye(N: int, M: Any = None, k: int = 0, dtype: Any = float, order: str = "C") -> ndarray:
    launched()
    return wrapped(np.eye(N, M, k, dtype, order), ())


def broadcast_to(array: Any, shape: Any) -> ndarray:
    return run(np.broadcast_to, array, shape)


def concatenate(
    tup: Any, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Any:
    return run(np.concatenate, list(tup), axis=axis)


def stack(tup: Any, axis: int = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    return run(np.stack, list(tup), axis=axis)


def flip(m: Any, axis: Any = None) -> ndarray:
    return run(np.flip, m, axis=axis)


def roll(a: Any, shift: Any, axis: Any = None) -> ndarray:
    return run(np.roll, a, shift, axis=axis)


def take(a: Any, indices: Any, axis: Any = None, out: Any = None) -> ndarray:
    """CuPy takes no `mode`: places out of range go round."""
    launched(indices)
    held = unwrapped(indices)
    if a.size == 0 and np.size(held):
        raise IndexError("cannot do a non-empty take from an empty axes.")
    return run(lambda x: np.take(x, held, axis=axis, mode="wrap"), a)


def tril(m: Any, k: int = 0) -> ndarray:
    no_bfloat16("tril", (m,))
    return run(np.tril, m, k)


def triu(m: Any, k: int = 0) -> ndarray:
    no_bfloat16("triu", (m,))
    return run(np.triu, m, k)


def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """CuPy takes arrays and numbers; it has no loop for bfloat16."""
    if x is None or y is None:
        return condition.nonzero()
    no_bfloat16("where", (x, y))
    launched(condition, x, y)
    with np.errstate(all="ignore"):
        chosen = np.where(unwrapped(condition).astype(bool), unwrapped(x), unwrapped(y))
    return wrapped(np.array(chosen, order="C"), ())


def nonzero(a: ndarray) -> tuple[ndarray, ...]:
    return a.nonzero()


def argsort(a: Any, axis: Any = -1, kind: Any = None) -> ndarray:
    """Stable always."""
    if kind not in (None, "stable"):
        raise ValueError("kind can only be None or 'stable'")
    no_bfloat16("argsort", (a,))
    if a.ndim == 0:
        raise np.exceptions.AxisError("Sorting arrays with the rank of zero is not supported")
    return run(ordered, a, axis=axis)


def ordered(a: np.ndarray, axis: int) -> np.ndarray:
    """NaN comes last, but in one dimension float32 and float64 go by their bits (cupy_thrust.cu): there a NaN
    with a sign comes first."""
    order = np.argsort(a, axis=axis, kind="stable")
    if a.ndim > 1 or a.dtype.name not in ("float32", "float64"):
        return order
    first = np.isnan(a) & np.signbit(a)
    return np.concatenate([np.flatnonzero(first), order[~first[order]]])


def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> ndarray:
    if not isinstance(a, ndarray):
        raise NotImplementedError("Only int or ndarray are supported for a")
    if a.ndim != 1:
        raise ValueError("object too deep for desired array")
    no_bfloat16("searchsorted", (a, v))
    launched(a, v)
    return wrapped(np.asarray(np.searchsorted(a.held, unwrapped(v), side=side)), ())


def unique(
    ar: Any, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False,
    axis: Any = None, *, equal_nan: bool = True,
) -> Any:  # fmt: skip
    no_bfloat16("unique", (ar,))
    if axis is not None or return_index or equal_nan or not (return_inverse and return_counts):
        raise NotImplementedError("the stand-in's unique gives inverse and counts, every NaN for itself")
    synchronised()
    return run(values_inverse_counts, ar)


def values_inverse_counts(a: np.ndarray) -> tuple[np.ndarray, ...]:
    """By the order that sorting gives (_manipulation/add_remove.py)."""
    flat = a.reshape(-1)
    order = ordered(flat, 0)
    line = flat[order]
    new = np.ones(line.shape, bool)
    new[1:] = line[1:] != line[:-1]
    inverse = np.empty(flat.shape, np.int64)
    inverse[order] = np.cumsum(new) - 1
    return line[new], inverse.reshape(a.shape), np.diff(np.append(np.flatnonzero(new), line.size))


def matmul(a: Any, b: Any, out: Any = None) -> ndarray:
    """More than two dimensions: no bfloat16, and float16 through float32. A row times a column is none of
    cuBLAS's: numbers are multiplied in their own dtype, and then summed (_routines_linalg.pyx).
    """
    if max(a.ndim, b.ndim) > 2:
        no_bfloat16("matmul", (a, b))
    wide = np.float32 if a.dtype.itemsize == 2 and a.dtype.kind not in "iu" else a.dtype
    launched(a, b)
    if wide != a.dtype and a.ndim == b.ndim == 2 and a.shape[0] == b.shape[1] == 1 and out is None:
        with np.errstate(all="ignore"):
            terms = (a.held.reshape(-1) * b.held.reshape(-1)).astype(wide)
        return wrapped(terms.sum().reshape(1, 1).astype(a.dtype), ())
    with np.errstate(all="ignore"):
        product = np.matmul(a.held.astype(wide), b.held.astype(wide)).astype(a.dtype)
    if out is None:
        made, left, right = wrapped(np.asarray(product), ()), a.held, b.held
        postponed(
            queue_now(),
            [made.held],
            lambda: [np.matmul(left.astype(wide), right.astype(wide)).astype(left.dtype)],
        )
        return made
    out[...] = wrapped(product, ())
    return out


def may_share_memory(a: Any, b: Any, max_work: Any = None) -> bool:
    return np.may_share_memory(a.held, b.held)


def as_strided(x: Any, shape: Any = None, strides: Any = None) -> ndarray:
    launched(x)
    if np.dtype(x.dtype).kind not in "biufc" and x.dtype.name != "bfloat16":
        raise TypeError("no array of that dtype can be made")
    moved = np.lib.stride_tricks.as_strided(x.held.view(np.ndarray), shape, strides)
    return object.__new__(ndarray).adopt(moved, x)


def from_dlpack(array: Any, *, device: Any = None, copy: Any = None) -> ndarray:
    """Another library's array, whose producer is told the current stream, as the protocol asks."""
    from cupy.cuda import get_current_stream

    kind, index = array.__dlpack_device__()
    if kind != 2:
        raise TypeError("CPU arrays cannot be directly imported to CuPy.")
    before, current.device = current.device, index
    try:
        pointer = get_current_stream().ptr
        capsule = array.__dlpack__(stream=pointer or 1, max_version=(1, 0))
        held = np.from_dlpack(Capsule(device_told(capsule, 1, 0)))
        alloc(0)
        return object.__new__(ndarray).adopt(held)
    finally:
        current.device = before


class Capsule:
    """What NumPy wants of a producer, around a capsule."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **asked: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)
