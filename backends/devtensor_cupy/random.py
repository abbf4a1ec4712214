"""Philox words and uniform numbers by CUDA kernels: the very bits of the generic ones, in a single launch."""

from __future__ import annotations

from typing import Any

import cupy

from devtensor.backend.arraylib import Library
from devtensor.backend.arraylib.random import UNIFORM_BITS
from devtensor.backend.arraylib.random import philox_words as generic_words
from devtensor.backend.protocol import Kernel
from devtensor_cupy.launching import launcher

LANES = 4
"""Words of one block of the cipher."""


def draw(entry: str, state: Any, made: Any) -> Any:
    """Fill an array from the seed and offset in `state`."""
    if made.size:
        # The offset may begin inside a block.
        blocks = -(-made.size // LANES) + 1
        launcher.launch(entry, blocks, [state.data.ptr, made.data.ptr, made.size])
    return made


def philox_words(state: Any, count: int) -> Any:
    """`count` words from the seed and offset in `state`."""
    if launcher.kernels("philox_words") is None:
        return generic_words(Library(cupy, host=False), state, count)
    return draw("philox_words", state, cupy.empty(count, cupy.uint64))


def uniform_or(generic: Kernel, dtypes: dict[str, Any]) -> Kernel:
    """Numbers in [0, 1), where the source compiles; else by the generic kernel."""
    entries = {dtype: (f"philox_uniform_{dtype}", dtypes[dtype]) for dtype in UNIFORM_BITS}

    def random_uniform(state: Any, shape: tuple[int, ...], dtype: str) -> Any:
        entry, made = entries[dtype]
        if launcher.kernels(entry) is None:
            return generic(state, shape, dtype)
        return draw(entry, state, cupy.empty(shape, made))

    return random_uniform
