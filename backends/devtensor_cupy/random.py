"""Philox words by a CUDA kernel: the very bits of the generic one, in a single launch."""

from __future__ import annotations

from typing import Any

import cupy

from devtensor.backend.arraylib import Library
from devtensor.backend.arraylib.random import philox_words as generic_words
from devtensor_cupy.launching import launcher

LANES = 4
"""Words of one block of the cipher."""


def philox_words(state: Any, count: int) -> Any:
    """`count` words from the seed and offset in `state`."""
    if launcher.kernels("philox_words") is None:
        return generic_words(Library(cupy, host=False), state, count)
    words = cupy.empty(count, cupy.uint64)
    if count:
        blocks = -(-count // LANES) + 1
        launcher.launch("philox_words", blocks, [state.data.ptr, words.data.ptr, count])
    return words
