"""Python numbers that a dtype holds, and those that it does not: written, filled, compared with."""

from __future__ import annotations

import math

import pytest

import devtensor as torch
from devtensor.core.holding import held

RANGES = {
    "uint8": (0, 255),
    "int8": (-128, 127),
    "int16": (-(2**15), 2**15 - 1),
    "int32": (-(2**31), 2**31 - 1),
}
LARGEST = {"float16": 65504.0, "bfloat16": 3.3895313892515355e38, "float32": 3.4028234663852886e38}
MASK = torch.tensor([True, False])

# Ways of putting a number into a tensor.
WRITES = {
    "full": lambda x, v: torch.full((2,), v, dtype=x.dtype),
    "fill_": lambda x, v: x.fill_(v),
    "new_full": lambda x, v: x.new_full((2,), v),
    "masked_fill": lambda x, v: x.masked_fill(MASK, v),
    "masked_fill_": lambda x, v: x.masked_fill_(MASK, v),
    "index_fill_": lambda x, v: x.index_fill_(0, torch.tensor([0]), v),
    "scatter_": lambda x, v: x.scatter_(0, torch.tensor([0]), v),
    "pad": lambda x, v: torch.nn.functional.pad(x, (1, 0), value=v),
    "clamp": lambda x, v: x.clamp(max=v),
}


@pytest.mark.parametrize("name", RANGES)
def test_integers_end_where_their_dtype_does(name):
    dtype, (least, most) = getattr(torch, name), RANGES[name]
    assert [held("op", value, dtype) for value in (least, most)] == [least, most]
    below = least - 1 if dtype.is_signed else -most - 1
    for value in (most + 1, below, math.nan, math.inf, 1j):
        with pytest.raises(RuntimeError, match="without overflow"):
            held("op", value, dtype)


def test_small_negative_numbers_count_from_the_end_of_an_unsigned_dtype():
    assert held("op", -1, torch.uint8) == 255
    assert torch.full((1,), -1, dtype=torch.uint8).item() == 255
    with pytest.raises(RuntimeError, match="without overflow"):
        held("op", -1.0, torch.uint8)


@pytest.mark.parametrize("name", LARGEST)
def test_floats_are_finite_or_given_as_infinite(name):
    dtype, most = getattr(torch, name), LARGEST[name]
    assert held("op", -most, dtype) == -most
    assert held("op", math.inf, dtype) == math.inf
    assert math.isnan(held("op", math.nan, dtype))
    with pytest.raises(RuntimeError, match="without overflow"):
        held("op", most * 1.01, dtype)


def test_complex_numbers_fit_by_their_parts():
    assert held("op", 2 + 0j, torch.float32) == 2
    assert held("op", 2 + 3j, torch.complex64) == 2 + 3j
    for value in (complex(1, 1e39), 1e39):
        with pytest.raises(RuntimeError, match="without overflow"):
            held("op", value, torch.complex64)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize(
    ("name", "value"), [("uint8", 300), ("int8", -129), ("float16", 1e9), ("float32", 1e300)]
)
def test_what_does_not_fit_is_refused_and_nothing_written(write, name, value):
    x = torch.zeros(2, dtype=getattr(torch, name))
    with pytest.raises(RuntimeError, match="cannot be converted to type"):
        write(x, value)
    assert x.tolist() == [0, 0]


def test_an_assignment_to_half_types_makes_infinities():
    x = torch.zeros(2, dtype=torch.float16)
    x[0] = 1e9
    assert x.tolist() == [math.inf, 0]
    assert torch.full_like(x, -1e300).tolist() == [-math.inf, -math.inf]
    with pytest.raises(RuntimeError, match="without overflow"):
        torch.zeros(2)[0] = 1e300


def test_integers_drawn_by_chance_stay_within_their_dtype():
    for call in (
        lambda: torch.randint(0, 300, (2,), dtype=torch.uint8),
        lambda: torch.randint(-1, 3, (2,), dtype=torch.uint8),
        lambda: torch.zeros(2, dtype=torch.uint8).random_(0, 300),
    ):
        with pytest.raises(RuntimeError, match="out of bounds"):
            call()
    assert torch.randint(0, 256, (8,), dtype=torch.uint8).max() <= 255
