"""Philox words from NumPy's own generator, which is written in C."""

from __future__ import annotations

import math
import sys
import threading

import numpy as np
from numpy import ndarray

from devtensor.backend import arraylib
from devtensor.backend.arraylib.random import UNIFORM_BITS, WORD
from devtensor.backend.protocol import Kernel
from devtensor_numpy.blocks import BLOCK, spans

LANES = 4
LIBRARY = arraylib.Library(np)


class Source(threading.local):
    """A bit generator per thread, set to a new place for every draw: making one costs ten times as much."""

    def __init__(self) -> None:
        self.generator = np.random.Philox(key=0)
        self.state = self.generator.state
        self.counter, self.key = self.state["state"]["counter"], self.state["state"]["key"]
        self.state["buffer_pos"] = LANES
        self.state["has_uint32"] = 0
        # Seed and offset of the word that the generator would give next.
        self.place = (0, -1)

    def words(self, seed: int, offset: int, count: int) -> ndarray:
        """`count` words from word number `offset` on.

        The generator increments its counter before it makes a block, hence the step back by one. A draw that
        begins where the last one ended needs no new place, which costs as much as a hundred words.
        """
        place, self.place = self.place, (seed, offset + count)
        if place == (seed, offset):
            return self.generator.random_raw(count)
        block, lane = divmod(offset, LANES)
        self.counter[1:] = 0 if block else WORD
        self.counter[0] = (block - 1) & WORD
        self.key[0], self.key[1] = seed, 0
        self.generator.state = self.state
        return self.generator.random_raw(count + lane)[lane:]


source = Source()


def words(state: ndarray, count: int) -> ndarray:
    """`count` words from the seed and offset in `state`."""
    seed, offset = state.view(np.uint64).tolist()
    return source.words(seed, offset, count)


def random_uniform(state: ndarray, shape: tuple[int, ...], dtype: str) -> ndarray:
    """The generic conversion; where half of a word suffices, from that half, which converts faster."""
    drawn = words(state, math.prod(shape))
    bits = UNIFORM_BITS[dtype]
    if bits > 32 or sys.byteorder != "little":
        return arraylib.random.uniform(LIBRARY, drawn, dtype).reshape(shape)
    top = drawn.view(np.uint32)[1::2] >> np.uint32(32 - bits)
    result = top.view(np.int32).astype(np.float32)
    result *= np.float32(2.0**-bits)
    return result.astype(LIBRARY.dtypes[dtype], copy=False).reshape(shape)


def random_kernels() -> dict[str, Kernel]:
    """The generic conversions over the fast words, large draws in blocks."""
    table = arraylib.random.kernels(LIBRARY, words) | {"random_uniform": random_uniform}
    return {name: drawn_in_blocks(kernel) for name, kernel in table.items()}


def drawn_in_blocks(kernel: Kernel) -> Kernel:
    """Element i depends on offset + i alone, so that a draw is the sum of its blocks."""

    def drawn(state: ndarray, shape: tuple[int, ...], *params: object) -> ndarray:
        count = math.prod(shape)
        if count <= BLOCK:
            return kernel(state, shape, *params)
        place = np.array(state)
        result = np.empty(count, kernel(state, (0,), *params).dtype)
        for span in spans(count):
            result[span] = kernel(place, (span.stop - span.start,), *params)
            place[1] += BLOCK
        return result.reshape(shape)

    return drawn
