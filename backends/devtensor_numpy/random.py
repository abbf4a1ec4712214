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
# Arrays of no dimensions, as NumPy makes one anew of every Python number: half a word's last place, the
# angle it stands for, and the factor of the logarithm.
UNIT, TURN, MINUS_TWO = np.array(2.0**-32), np.array(2 * math.pi * 2.0**-32), np.array(-2.0)


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
    seed, offset = state.tolist()
    return source.words(seed & WORD, offset & WORD, count)


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


def random_normal(state: ndarray, shape: tuple[int, ...], dtype: str) -> ndarray:
    """The generic formula, bit for bit: scaling by powers of two is exact, whenever it is done."""
    drawn = words(state, math.prod(shape))
    if sys.byteorder != "little":
        return arraylib.random.normal(LIBRARY, drawn).astype(LIBRARY.dtypes[dtype]).reshape(shape)
    halves = drawn.view(np.uint32)
    length = np.multiply(halves[1::2], UNIT)
    length += UNIT
    np.log(length, out=length)
    length *= MINUS_TWO
    np.sqrt(length, out=length)
    angle = np.multiply(halves[::2], TURN)
    length *= np.cos(angle, out=angle)
    return length.astype(LIBRARY.dtypes[dtype], copy=False).reshape(shape)


def random_kernels() -> dict[str, Kernel]:
    """The generic conversions over the fast words, large draws in blocks."""
    table = arraylib.random.kernels(LIBRARY, words)
    table |= {"random_uniform": random_uniform, "random_normal": random_normal}
    return {name: drawn_ahead(drawn_in_blocks(kernel)) for name, kernel in table.items()}


# Elements up to which a draw is a small one, and how many are drawn for several small ones at once.
FEW, AHEAD = 64, 512


class Held(threading.local):
    """What a kernel has drawn ahead, per thread: for which parameters and seed, from which offset on."""

    block: tuple[tuple, int, int, ndarray | None] = (), 0, 0, None
    # The parameters, the seed and the offset of a draw that would go on where the last one ended.
    next: tuple = ()


def drawn_ahead(kernel: Kernel) -> Kernel:
    """Small draws that follow one another, cut from one larger draw: the cost is all in the calls.

    Element i depends on offset + i alone, so that nobody can tell.
    """
    held = Held()

    def drawn(state: ndarray, shape: tuple[int, ...], *params: object) -> ndarray:
        count = math.prod(shape)
        if count > FEW:
            return kernel(state, shape, *params)
        seed, offset = state.tolist()
        of, known, start, block = held.block
        at = offset - start
        if block is None or seed != known or not 0 <= at <= AHEAD - count or of != params:
            follows = held.next == (params, seed, offset) and 0 <= offset < 1 << 62
            held.next = params, seed, offset + count
            if not follows:
                return kernel(state, shape, *params)
            at, block = 0, kernel(state, (AHEAD,), *params)
            held.block = params, seed, offset, block
        return block[at : at + count].copy().reshape(shape)

    return drawn


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
