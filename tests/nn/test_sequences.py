"""nn.utils.rnn: sequences of different lengths padded, and taken apart again."""

from __future__ import annotations

import pytest

import devtensor as torch
from devtensor.nn.utils.rnn import pad_sequence, unpad_sequence

ONES, TWOS = torch.ones(2, 1), torch.full((3, 1), 2.0)


@pytest.mark.parametrize("batch_first", [False, True])
def test_padded_and_taken_apart(batch_first):
    made = pad_sequence([ONES, TWOS], batch_first, padding_value=-1)
    rows = made if batch_first else made.transpose(0, 1)
    assert rows.flatten(1).tolist() == [[1, 1, -1], [2, 2, 2]]
    first, second = unpad_sequence(made, torch.tensor([2, 3]), batch_first)
    assert first.equal(ONES) and second.equal(TWOS)


def test_padding_at_the_left_and_the_dtype_of_the_first():
    made = pad_sequence([ONES[:, 0].long(), TWOS[:, 0]], True, padding_side="left")
    assert made.tolist() == [[0, 1, 1], [2, 2, 2]] and made.dtype is torch.int64


def test_gradients_reach_the_sequences():
    x = torch.ones(2, requires_grad=True)
    (pad_sequence([x, torch.ones(4)]) * 3).sum().backward()
    assert x.grad.tolist() == [3, 3]


WRONG = {
    "nothing": (([],), {}, RuntimeError, "empty list of sequences"),
    "no list": ((5,), {}, RuntimeError, "Expected iterable"),
    "numbers": (([1],), {}, TypeError, "expected Tensor as element 0"),
    "other widths": (([ONES, torch.ones(2, 2)],), {}, RuntimeError, "may differ in nothing else"),
    "no length": (([torch.ones(())],), {}, RuntimeError, "must have a length"),
    "another side": (([ONES],), {"padding_side": "top"}, RuntimeError, "left or right, but got top"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_list_of_sequences_is_refused(name):
    arguments, options, error, words = WRONG[name]
    with pytest.raises(error, match=words):
        pad_sequence(*arguments, **options)
