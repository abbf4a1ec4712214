"""Large arrays worked on in blocks that stay in the processor's cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy import ndarray

from devtensor.backend.protocol import Kernel

BLOCK = 1 << 16
"""Elements in a block: large enough to hide the cost of calls, small enough for the cache."""


def spans(count: int, size: int = BLOCK) -> Iterator[slice]:
    """Slices of at most `size` that cover range(count)."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def in_blocks(kernel: Kernel, dtype: Any = None) -> Kernel:
    """An elementwise kernel of one input that makes several passes, run block by block on large arrays."""

    def blocked(x: ndarray) -> ndarray:
        if x.size < 2 * BLOCK or not x.flags.c_contiguous:
            return kernel(x)
        result = np.empty(x.shape, dtype or x.dtype)
        source, target = x.reshape(-1), result.reshape(-1)
        for span in spans(x.size):
            target[span] = kernel(source[span])
        return result

    return blocked
