"""Promotion against PyTorch's own answers: tensors with and without dimensions, and Python numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import devtensor
from devtensor.core.dtype import DTYPES

HEAD, *LINES = [
    line
    for line in (Path(__file__).parents[1] / "data" / "promotion.txt").read_text().splitlines()
    if not line.startswith("# What")
]
COLUMNS = HEAD.removeprefix("# ").split()
FACTS = {
    (line.split()[0], column): answer
    for line in LINES
    for column, answer in zip(COLUMNS, line.split()[1:], strict=True)
}
SHORT = {dtype.short: dtype for dtype in DTYPES.values()}
# PyTorch's complex32, which devtensor does not have.
SHORT["c32"] = devtensor.complex64
NUMBERS = {"True": True, "1": 1, "1.0": 1.0, "1j": 1j}


def operand(text: str, shape: tuple[int, ...] = (2,)) -> Any:
    """What a fact's name stands for."""
    if text in NUMBERS:
        return NUMBERS[text]
    return devtensor.ones(() if text.endswith("()") else shape, dtype=text.removesuffix("()"))


@pytest.mark.parametrize("row", [line.split()[0] for line in LINES])
def test_result_type(row):
    for column in COLUMNS:
        found = devtensor.result_type(operand(row), operand(column))
        assert found is SHORT[FACTS[row, column]], f"{row} with {column}: {found}"


@settings(max_examples=300, deadline=None)
@given(
    pair=st.sampled_from(sorted(FACTS)),
    function=st.sampled_from(["add", "mul", "where", "eq", "cat"]),
    shapes=st.sampled_from([((2, 3), (3,)), ((1, 3), (2, 1)), ((0, 3), (1, 3)), ((3,), (2, 3))]),
    exchanged=st.booleans(),
)
def test_results_have_the_promoted_dtype(pair, function, shapes, exchanged):
    left, right = operand(pair[0], shapes[0]), operand(pair[1], shapes[1])
    wanted = SHORT[FACTS[pair]]
    if function == "cat":
        if pair[1] in NUMBERS:
            return
        left, right = left.reshape(-1), right.reshape(-1)
        categories = [t.dtype.category for t in (left, right)]
        wanted = devtensor.promote_types(left.dtype, right.dtype)
        assert wanted.category == max(categories)
        assert devtensor.cat([left, right]).dtype is wanted
        return
    if function == "where":
        mask = devtensor.tensor(True)
        found = devtensor.where(mask, *((right, left) if exchanged else (left, right)))
    elif exchanged and function != "eq":
        found = {"add": lambda a, b: b + a, "mul": lambda a, b: b * a}[function](left, right)
    else:
        found = getattr(devtensor, function)(left, right)
    assert found.dtype is (devtensor.bool if function == "eq" else wanted), pair
    if pair[1] not in NUMBERS:
        assert tuple(found.shape) == tuple(devtensor.broadcast_shapes(left.shape, right.shape))
