"""What the bits of half types tell at once: signs, zeros, infinities and NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from devtensor.backend.protocol import Kernel
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
}
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

    return binary if name in ("logical_and", "logical_or", "logical_xor") else unary


def into(result: ndarray, out: ndarray | None) -> ndarray:
    """The result, in `out` if there is one."""
    if out is None:
        return result
    out[...] = result
    return out
