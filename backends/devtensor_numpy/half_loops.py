"""Elementwise kernels on half types as one pass of machine code over arrays in rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray

from devtensor_numpy.compile.casts import casts
from devtensor_numpy.compile.loops import ARITHMETIC, COMPARING, LINE, NUMBER, loops
from devtensor_numpy.halves import NAMES, SMALL, address
from devtensor_numpy.leases import fresh

FEW = 256
"""Elements up to which NumPy's own casts cost less; up to SMALL they do where no machine code is made yet."""
LOOPED = frozenset({*ARITHMETIC, *COMPARING})


@dataclass(frozen=True)
class HalfLoop:
    """The kernel of that name for arrays of `half` in rows, all of one shape, and numbers among them."""

    name: str
    half: np.dtype

    def __call__(self, arrays: Sequence[Any], out: ndarray | None = None) -> ndarray | None:
        """The result, in `out` if that is in rows; None if there is no loop for such arrays.

        `out` may be one of them.
        """
        shape = next((a.shape for a in arrays if a.ndim), ())
        form, given, size = "", [], 0
        for a in arrays:
            if a.ndim == 0 and shape:
                form += NUMBER
                given.append(float(a))
            elif a.shape == shape and a.dtype == self.half and a.flags.c_contiguous and a.size > FEW:
                form += LINE
                given.append(address(a))
                size = a.size
            else:
                return None
        if size <= SMALL and not casts.found:
            return None
        function = loops.function(self.name, NAMES[self.half], form)
        if function is None:
            return None
        dtype = np.dtype(np.bool_) if self.name in COMPARING else self.half
        if out is None or not (out.shape == shape and out.dtype == dtype and out.flags.c_contiguous):
            out = fresh(shape, dtype)
        function(*given, address(out), size)
        return out
