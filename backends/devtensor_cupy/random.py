"""Philox words by a CUDA kernel: the very bits of the generic one, in a single launch."""

from __future__ import annotations

from functools import cache
from typing import Any

import cupy

from devtensor.backend.arraylib.random import KEY_STEPS, MULTIPLIERS, ROUNDS

BODY = f"""
unsigned long long place = (unsigned long long)state[1] + (unsigned long long)i;
unsigned long long c0 = place >> 2, c1 = 0, c2 = 0, c3 = 0;
unsigned long long k0 = (unsigned long long)state[0], k1 = 0;
for (int round = 0; round < {ROUNDS}; ++round) {{
    unsigned long long high0 = __umul64hi({MULTIPLIERS[0]:#x}ull, c0), low0 = {MULTIPLIERS[0]:#x}ull * c0;
    unsigned long long high1 = __umul64hi({MULTIPLIERS[1]:#x}ull, c2), low1 = {MULTIPLIERS[1]:#x}ull * c2;
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 += {KEY_STEPS[0]:#x}ull;
    k1 += {KEY_STEPS[1]:#x}ull;
}}
int lane = (int)(place & 3);
word = lane == 0 ? c0 : lane == 1 ? c1 : lane == 2 ? c2 : c3;
"""


@cache
def philox_kernel() -> Any:
    """The kernel, compiled at its first launch."""
    return cupy.ElementwiseKernel("raw int64 state", "uint64 word", BODY, "devtensor_philox")


def philox_words(state: Any, count: int) -> Any:
    """`count` words from the seed and offset in `state`."""
    words = cupy.empty(count, cupy.uint64)
    if count:
        philox_kernel()(state, words)
    return words
