"""Counter-based random numbers: the same seed and offset give the same bits on every device.

Source: J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011: Philox 4x64 with ten rounds.
Word n of a stream is lane n % 4 of the block whose counter is (n // 4, 0, 0, 0), under the key (seed, 0).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from devtensor.backend.arraylib.library import Library
from devtensor.backend.protocol import Array, Kernel

MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
KEY_STEPS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
ROUNDS = 10
LOW32 = 0xFFFFFFFF
WORD = 0xFFFFFFFFFFFFFFFF
UNIFORM_BITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
"""As many bits as the dtype's significand holds, so that no result rounds up to 1."""

Words = Callable[[Array, int], Array]
"""`words(state, count)`: that many uint64 words from the state's seed and offset on."""


def kernels(lib: Library, words: Words | None = None) -> dict[str, Kernel]:
    """The random kernels, over a library's own source of Philox words if it has one."""
    source = words or (lambda state, count: philox_words(lib, state, count))

    def random_uniform(state: Array, shape: tuple[int, ...], dtype: str) -> Array:
        return uniform(lib, source(state, math.prod(shape)), dtype).reshape(shape)

    def random_normal(state: Array, shape: tuple[int, ...], dtype: str) -> Array:
        return normal(lib, source(state, math.prod(shape))).astype(lib.dtypes[dtype]).reshape(shape)

    def random_integers(state: Array, shape: tuple[int, ...], low: int, high: int) -> Array:
        return integers(lib, source(state, math.prod(shape)), low, high).reshape(shape)

    return {
        "random_uniform": random_uniform,
        "random_normal": random_normal,
        "random_integers": random_integers,
    }


def philox_words(lib: Library, state: Array, count: int) -> Array:
    """`count` words from the offset on; one block to spare, as only the device knows the offset's lane."""
    xp, uint64 = lib.xp, lib.xp.uint64
    key, offset = state[0:1].astype(uint64), state[1:2].astype(uint64)
    first = xp.right_shift(offset, uint64(2))
    blocks = first + xp.arange(count // 4 + 2, dtype=uint64)
    zero = xp.zeros(blocks.shape, uint64)
    lanes = philox(lib, (blocks, zero, zero, zero), (key, xp.zeros(1, uint64)))
    words = xp.stack(lanes, axis=1).reshape(-1)
    lane = xp.bitwise_and(offset, uint64(3)).astype(lib.dtypes["int64"])
    return words[lane + xp.arange(count, dtype=lib.dtypes["int64"])]


def philox(lib: Library, counter: tuple[Array, ...], key: tuple[Array, Array]) -> tuple[Array, ...]:
    """Ten rounds on counters of four words under keys of two."""
    uint64 = lib.xp.uint64
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        high0, low0 = multiply_wide(lib, c0, MULTIPLIERS[0])
        high1, low1 = multiply_wide(lib, c2, MULTIPLIERS[1])
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = k0 + uint64(KEY_STEPS[0]), k1 + uint64(KEY_STEPS[1])
    return c0, c1, c2, c3


def multiply_wide(lib: Library, x: Array, factor: int) -> tuple[Array, Array]:
    """High and low word of the product of 64-bit words and a 64-bit constant."""
    uint64 = lib.xp.uint64
    shift, mask = uint64(32), uint64(LOW32)
    factor_high, factor_low = uint64(factor >> 32), uint64(factor & LOW32)
    x_high, x_low = x >> shift, x & mask
    cross = x_high * factor_low
    middle = ((x_low * factor_low) >> shift) + (cross & mask) + x_low * factor_high
    high = x_high * factor_high + (cross >> shift) + (middle >> shift)
    return high, x * uint64(factor)


def uniform(lib: Library, words: Array, dtype: str) -> Array:
    """Numbers in [0, 1): the top bits of each word, exactly."""
    bits = UNIFORM_BITS[dtype]
    top = words >> lib.xp.uint64(64 - bits)
    wide = lib.dtypes["float64" if bits > 24 else "float32"]
    return (top.astype(wide) * 2.0**-bits).astype(lib.dtypes[dtype], copy=False)


def normal(lib: Library, words: Array) -> Array:
    """Standard normals in float64 by Box and Muller's cosine, both uniforms taken from one word."""
    xp, uint64 = lib.xp, lib.xp.uint64
    float64 = lib.dtypes["float64"]
    first = ((words >> uint64(32)) + uint64(1)).astype(float64) * 2.0**-32
    second = (words & uint64(LOW32)).astype(float64) * 2.0**-32
    return xp.sqrt(-2 * xp.log(first)) * xp.cos(2 * math.pi * second)


def integers(lib: Library, words: Array, low: int, high: int) -> Array:
    """Integers in [low, high): the high word of word times span, whose bias is below span / 2**64."""
    span = high - low
    if not 0 < span <= 2**63:
        raise ValueError(f"[random_integers] low={low}, high={high}; needs 0 < high - low <= 2**63")
    scaled, _ = multiply_wide(lib, words, span)
    return (scaled + lib.xp.uint64(low & WORD)).astype(lib.dtypes["int64"])
