"""Random kernels: Philox by the paper, the same bits from every implementation, and sound distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

import devtensor_numpy
from devtensor.backend import arraylib
from devtensor.testing import strict

WORD = 2**64 - 1
ALL_DTYPES = ("float16", "bfloat16", "float32", "float64")
DIGITS = int(
    "243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89452821e638d01377be5466cf34e90c6c", 16
)
PI = [DIGITS >> 64 * k & WORD for k in reversed(range(6))]
# The known answers that come with Random123: counter, key, block.
KNOWN = [
    ([0] * 4, [0] * 2, [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]),
    (
        [WORD] * 4,
        [WORD] * 2,
        [0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0],
    ),
    (PI[:4], PI[4:], [0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6]),
]
STATES = [(0, 0), (1, 1), (7, 5), (-1, 4), (2**63 - 1, 2**62 + 3), (12345, 4 * 10**9 + 2)]
GENERIC = arraylib.Library(np)


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox 4x64 with ten rounds in Python's own integers, as the paper writes it."""
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        product0, product1 = 0xD2E7470EE14C6C93 * c0, 0xCA5A826395121157 * c2
        c0, c1 = product1 >> 64 ^ c1 ^ k0, product1 & WORD
        c2, c3 = product0 >> 64 ^ c3 ^ k1, product0 & WORD
        k0, k1 = k0 + 0x9E3779B97F4A7C15 & WORD, k1 + 0xBB67AE8584CAA73B & WORD
    return [c0, c1, c2, c3]


def word(seed: int, number: int) -> int:
    """Word of that number in the stream of `seed`."""
    return philox([number // 4, 0, 0, 0], [seed & WORD, 0])[number % 4]


def state_of(seed: int, offset: int) -> np.ndarray:
    return np.array([seed, offset], np.int64)


@pytest.mark.parametrize(("counter", "key", "block"), KNOWN)
def test_known_answers(counter, key, block):
    assert philox(counter, key) == block
    lanes = arraylib.random.philox(
        GENERIC,
        tuple(np.array([c], np.uint64) for c in counter),
        tuple(np.array([k], np.uint64) for k in key),
    )
    assert [int(lane[0]) for lane in lanes] == block


@pytest.mark.parametrize(("seed", "offset"), STATES)
@pytest.mark.parametrize(
    "words", [devtensor_numpy.random.words, lambda s, n: arraylib.random.philox_words(GENERIC, s, n)]
)
def test_words_are_those_of_the_stream(words, seed, offset):
    assert words(state_of(seed, offset), 11).tolist() == [word(seed, offset + k) for k in range(11)]


@pytest.mark.parametrize("name", ["random_uniform", "random_normal"])
@pytest.mark.parametrize("dtype", ALL_DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (7,), (2, 3, 5), (70000,)])
def test_every_backend_draws_the_same(name, dtype, shape):
    state = state_of(42, 6)
    drawn = devtensor_numpy.backend.kernels[name](state, shape, dtype)
    generic = arraylib.kernels(np)[name](state, shape, dtype)
    walled = strict.backend.kernels[name](strict.StrictArray(state), shape, dtype)
    assert drawn.shape == shape and drawn.dtype.name == dtype
    assert drawn.tobytes() == generic.tobytes() == walled.held.tobytes()
    assert state.tolist() == [42, 6]


@pytest.mark.parametrize("low_high", [(0, 1), (-5, 9), (0, 2**63 - 1), (-(2**62), 2**62), (-(2**63), 0)])
def test_integers(low_high):
    low, high = low_high
    state = state_of(9, 2)
    drawn = devtensor_numpy.backend.kernels["random_integers"](state, (5, 8), low, high)
    expected = [low + (word(9, 2 + k) * (high - low) >> 64) for k in range(40)]
    assert drawn.dtype == np.int64 and drawn.reshape(-1).tolist() == expected
    walled = strict.backend.kernels["random_integers"](strict.StrictArray(state), (5, 8), low, high)
    assert walled.held.tobytes() == drawn.tobytes()


@pytest.mark.parametrize("low_high", [(3, 3), (4, 1), (-(2**63), 1)])
def test_integers_refuse_an_impossible_range(low_high):
    with pytest.raises(ValueError, match="high - low"):
        devtensor_numpy.backend.kernels["random_integers"](state_of(0, 0), (2,), *low_high)


@pytest.mark.parametrize(
    ("dtype", "bits"), [("float64", 53), ("float32", 24), ("float16", 11), ("bfloat16", 8)]
)
def test_uniform_is_the_top_bits(dtype, bits):
    drawn = devtensor_numpy.backend.kernels["random_uniform"](state_of(3, 1), (4000,), dtype).astype(
        np.float64
    )
    assert drawn[:50].tolist() == [(word(3, 1 + k) >> 64 - bits) * 2.0**-bits for k in range(50)]
    assert drawn.min() >= 0 and drawn.max() < 1


def test_normal_is_box_and_muller_of_one_word():
    drawn = devtensor_numpy.backend.kernels["random_normal"](state_of(3, 1), (200,), "float64")
    for k, value in enumerate(drawn.tolist()):
        high, low = divmod(word(3, 1 + k), 2**32)
        expected = math.sqrt(-2 * math.log((high + 1) * 2**-32)) * math.cos(2 * math.pi * low * 2**-32)
        assert value == pytest.approx(expected, rel=1e-13, abs=1e-14)


def test_a_draw_continues_where_another_ended():
    draw = devtensor_numpy.backend.kernels["random_uniform"]
    whole = draw(state_of(1, 10), (100000,), "float32")
    parts = [draw(state_of(1, 10), (33333,), "float32"), draw(state_of(1, 33343), (66667,), "float32")]
    assert np.array_equal(whole, np.concatenate(parts))


@pytest.mark.parametrize(
    ("name", "distribution"), [("random_uniform", stats.uniform), ("random_normal", stats.norm)]
)
def test_distributions(name, distribution):
    drawn = devtensor_numpy.backend.kernels[name](state_of(2024, 0), (200000,), "float64")
    assert stats.kstest(drawn, distribution.cdf).pvalue > 1e-3
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.01
