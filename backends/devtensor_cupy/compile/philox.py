"""Philox words and uniform numbers, seed and offset read on the device: the bits of the generic kernels."""

from __future__ import annotations

from devtensor.backend.arraylib.random import KEY_STEPS, MULTIPLIERS, ROUNDS, UNIFORM_BITS
from devtensor_cupy.compile.prelude import PRELUDE, instance
from devtensor_cupy.compile.registry import ELEMENTS, source

WORDS = rf"""
const unsigned long long FIRST = {MULTIPLIERS[0]:#x}ull, SECOND = {MULTIPLIERS[1]:#x}ull;
__device__ void philox_block(unsigned long long block, unsigned long long seed, unsigned long long* c) {{
    unsigned long long key0 = seed, key1 = 0;
    c[0] = block;
    c[1] = c[2] = c[3] = 0;
    for (int round = 0; round < {ROUNDS}; ++round) {{
        unsigned long long high0 = __umul64hi(FIRST, c[0]), low0 = FIRST * c[0];
        unsigned long long high1 = __umul64hi(SECOND, c[2]), low1 = SECOND * c[2];
        c[0] = high1 ^ c[1] ^ key0;
        c[1] = low1;
        c[2] = high0 ^ c[3] ^ key1;
        c[3] = low0;
        key0 += {KEY_STEPS[0]:#x}ull;
        key1 += {KEY_STEPS[1]:#x}ull;
    }}
}}

// A thread per block of four words; the offset's lane says how many of the first block are past.
template <class Take> __device__ void each_word(const long long* state, long long count, Take take) {{
    unsigned long long offset = (unsigned long long)state[1];
    long long past = (long long)(offset & 3), blocks = (count + past + 3) / 4;
    for (long long block = global_thread(); block < blocks; block += all_threads()) {{
        unsigned long long lanes[4];
        philox_block((offset >> 2) + block, (unsigned long long)state[0], lanes);
        for (int lane = 0; lane < 4; ++lane) {{
            long long place = 4 * block + lane - past;
            if (place >= 0 && place < count) take(place, lanes[lane]);
        }}
    }}
}}

extern "C" __global__ void philox_words(const long long* state, unsigned long long* words, long long count) {{
    each_word(state, count, [=](long long place, unsigned long long word) {{ words[place] = word; }});
}}
"""

UNIFORM = r"""
// Numbers in [0, 1): as many of a word's first bits as T's significand holds.
extern "C" __global__ void philox_uniform_@dtype(const long long* state, @T* numbers, long long count) {
    typedef WideOf<@T>::type W;
    each_word(state, count, [=](long long place, unsigned long long word) {
        W top = (W)(long long)(word >> (64 - @bits));
        numbers[place] = rounded<@T>(top * (W)(1.0 / (1ull << @bits)));
    });
}
"""

UNIFORMS = "".join(
    instance(UNIFORM, dtype).replace("@bits", str(bits)) for dtype, bits in UNIFORM_BITS.items()
)
PHILOX = source("philox", PRELUDE + WORDS + UNIFORMS, {"philox_": ELEMENTS})
