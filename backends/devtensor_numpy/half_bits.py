"""What the bits of half types tell at once: signs, zeros, infinities and NaN; and how bits are moved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from devtensor.backend.protocol import Kernel
from devtensor_numpy.blocks import BLOCK, spans
from devtensor_numpy.halves import HALVES, SMALL

INFINITY = {name: int(np.array(np.inf, half).view(np.uint16)) for name, half in HALVES.items()}
SIGN = np.uint16(0x8000)


def bits(x: ndarray) -> ndarray:
    return x.view(np.uint16)


def size(x: ndarray) -> Any:
    """The bits without the sign."""
    return bits(x) & ~SIGN


def truth(x: ndarray) -> Any:
    return size(x) != 0


def ranked(x: ndarray) -> Any:
    """How many halves lie between a number and 0, negative for those below."""
    below = x.view(np.int16) >> 15
    return (size(x).view(np.int16) ^ below) - below


def following(x: ndarray, y: ndarray, infinity: Any) -> ndarray:
    """The neighbour of x towards y: y itself if they are equal, NaN if either is."""
    x, y = np.broadcast_arrays(x, y)
    result = np.empty(x.shape, np.uint16)
    given, wanted, found = bits(np.ravel(x)), bits(np.ravel(y)), result.reshape(-1)
    for span in spans(found.size, BLOCK // 8):
        found[span] = stepped(given[span], wanted[span], infinity)
    return result.view(x.dtype)


def stepped(x: ndarray, y: ndarray, infinity: Any) -> Any:
    """The bits of `following`, from the bits."""
    start, end = ranked(x), ranked(y)
    found = start + (end > start).astype(np.int16) - (end < start)
    below = found >> 15
    near = bits((found ^ below) - below) | (bits(below) & SIGN)
    # What becomes 0 keeps the sign that it had, and there is no step from NaN or to it.
    odd = np.flatnonzero((found == 0) | (size(x) > infinity) | (size(y) > infinity))
    if odd.size:
        a, b = x[odd], y[odd]
        near[odd] &= ~SIGN
        near[odd] |= np.where(size(a) == 0, b, a) & SIGN
        near[odd] = np.where(size(b) > infinity, b, near[odd])
        near[odd] = np.where(size(a) > infinity, a, near[odd])
    return near


# Name -> function of the inputs and of what infinity is.
BY_BITS: dict[str, Callable[..., Any]] = {
    "abs": lambda x, infinity: size(x).view(x.dtype),
    "neg": lambda x, infinity: (bits(x) ^ SIGN).view(x.dtype),
    "isnan": lambda x, infinity: size(x) > infinity,
    "isinf": lambda x, infinity: size(x) == infinity,
    "isfinite": lambda x, infinity: size(x) < infinity,
    "logical_not": lambda x, infinity: size(x) == 0,
    "logical_and": lambda x, y, infinity: truth(x) & truth(y),
    "logical_or": lambda x, y, infinity: truth(x) | truth(y),
    "logical_xor": lambda x, y, infinity: truth(x) ^ truth(y),
    "nextafter": following,
}
OF_TWO = frozenset({"logical_and", "logical_or", "logical_xor", "nextafter"})
TRUTHS = frozenset({"all", "any", "nonzero"})


def by_bits(name: str, kernel: Kernel, dtype: str) -> Kernel:
    """The kernel of that name, which moves or asks and computes nothing, by the bits of large arrays."""
    if name in TRUTHS:
        return lambda x, *rest: kernel(x if x.size <= SMALL else truth(x), *rest)
    function, infinity = BY_BITS[name], np.uint16(INFINITY[dtype])

    def unary(x: ndarray, out: ndarray | None = None) -> ndarray:
        return kernel(x, out) if x.size <= SMALL else into(function(x, infinity), out)

    def binary(x: ndarray, y: ndarray, out: ndarray | None = None) -> ndarray:
        if max(x.size, y.size) <= SMALL:
            return kernel(x, y, out)
        return into(function(x, y, infinity), out)

    return binary if name in OF_TWO else unary


def write(kernel: Kernel, half: Any) -> Kernel:
    """Copying into an array; NumPy asks about each element of a type that it does not know."""

    def written(target: ndarray, source: ndarray) -> ndarray:
        kernel(bits(target), bits(source))
        return target

    return written


def pad(kernel: Kernel, half: Any) -> Kernel:
    """Padding with the bits of a number."""

    def padded(x: ndarray, widths: Any, value: float) -> ndarray:
        return kernel(bits(x), widths, bits(np.array(value, np.float32).astype(half))[()]).view(half)

    return padded


AS_INTEGERS: dict[str, Callable[[Kernel, Any], Kernel]] = {"write": write, "pad": pad}
"""Kernels that move halves as integers of their size."""


def into(result: ndarray, out: ndarray | None) -> ndarray:
    """The result, in `out` if there is one."""
    if out is None or result is out:
        return result
    out[...] = result
    return out
