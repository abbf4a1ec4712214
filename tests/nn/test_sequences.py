"""nn.utils.rnn: sequences of different lengths padded or packed, and taken apart again."""

from __future__ import annotations

import pytest

import devtensor as torch
from devtensor.nn.utils.rnn import (
    PackedSequence,
    invert_permutation,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
    unpack_sequence,
    unpad_sequence,
)

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


# Sequences of 1, 3 and 2 steps of two numbers: sequence i has the numbers 10 i, 10 i + 1 and so on.
LETTERS = [torch.arange(2.0 * n).reshape(n, 2) + 10 * i for i, n in enumerate((1, 3, 2), 1)]
SORTED = [LETTERS[1], LETTERS[2], LETTERS[0]]
ROWS = [[20, 21], [30, 31], [10, 11], [22, 23], [32, 33], [24, 25]]


@pytest.mark.parametrize("batch_first", [False, True])
def test_packed_step_by_step(batch_first, device):
    padded = pad_sequence(LETTERS, batch_first).to(device)
    packed = pack_padded_sequence(padded, torch.tensor([1, 3, 2]), batch_first, enforce_sorted=False)
    assert packed.data.tolist() == ROWS and packed.data.device.type == device
    assert packed.batch_sizes.tolist() == [3, 2, 1] and packed.batch_sizes.device.type == "cpu"
    assert packed.sorted_indices.tolist() == [1, 2, 0] and packed.unsorted_indices.tolist() == [2, 0, 1]
    again, lengths = pad_packed_sequence(packed, batch_first)
    assert again.equal(padded) and lengths.tolist() == [1, 3, 2]


def test_sorted_sequences_need_no_order():
    packed = pack_sequence(SORTED)
    assert packed.data.tolist() == ROWS and packed.sorted_indices is packed.unsorted_indices is None
    for given in (pack_padded_sequence(pad_sequence(SORTED), [3, 2, 1]), PackedSequence(*packed)):
        assert given.data.equal(packed.data) and given.batch_sizes.equal(packed.batch_sizes)
    for found, wanted in zip(unpack_sequence(packed), SORTED, strict=True):
        assert found.equal(wanted)
    unsorted = pack_sequence(LETTERS, enforce_sorted=False)
    for found, wanted in zip(unpack_sequence(unsorted), LETTERS, strict=True):
        assert found.equal(wanted)


def test_padded_to_a_length_with_a_value():
    packed = pack_sequence([row[:, 0] for row in SORTED])
    padded, lengths = pad_packed_sequence(packed, True, -1.0, total_length=4)
    assert padded.tolist() == [[20, 22, 24, -1], [30, 32, -1, -1], [10, -1, -1, -1]]
    assert lengths.tolist() == [3, 2, 1] and lengths.dtype is torch.int64


def test_gradients_pass_through_packing():
    x = torch.ones(3, 2, requires_grad=True)
    padded, _ = pad_packed_sequence(pack_padded_sequence(x, [1, 3], enforce_sorted=False))
    (padded * torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])).sum().backward()
    assert x.grad.tolist() == [[1, 2], [0, 4], [0, 6]]


CONVERSIONS = {
    "double": torch.float64, "float": torch.float32, "half": torch.float16, "long": torch.int64,
    "int": torch.int32, "short": torch.int16, "char": torch.int8, "byte": torch.uint8,
}  # fmt: skip


@pytest.mark.parametrize("name", CONVERSIONS)
def test_converted_as_a_tensor(name):
    packed = pack_sequence(LETTERS, enforce_sorted=False)
    found = getattr(packed, name)()
    assert type(found) is PackedSequence and found.data.dtype is CONVERSIONS[name]
    assert found.data.tolist() == ROWS and found.sorted_indices.dtype is torch.int64
    assert found.batch_sizes is packed.batch_sizes and found.to(CONVERSIONS[name]) is found


def test_moved_as_a_tensor(device):
    packed = pack_sequence(LETTERS, enforce_sorted=False)
    moved = packed.to(device)
    assert moved.data.device.type == moved.sorted_indices.device.type == device
    assert moved.batch_sizes.device.type == "cpu" and (moved is packed) == (device == "cpu")
    assert moved.is_cuda == (device == "cuda") and not packed.is_cuda and not packed.is_pinned()
    assert moved.cpu().data.equal(packed.data) and packed.cpu() is packed
    assert packed.cpu(torch.float64).data.dtype is torch.float64


def test_the_fields_of_a_packed_sequence():
    data, sizes = torch.ones(3), torch.tensor([2, 1])
    packed = PackedSequence(data, sizes, torch.tensor([1, 0]))
    assert packed._fields == ("data", "batch_sizes", "sorted_indices", "unsorted_indices")
    assert packed.unsorted_indices.tolist() == [1, 0] and packed[0] is data
    assert PackedSequence((data, sizes))[:2] == (data, sizes)
    assert invert_permutation(None) is None
    assert invert_permutation(torch.tensor([2, 0, 1])).tolist() == [1, 2, 0]


PADDED = torch.ones(3, 2, 4)
UNFIT = {
    "not sorted": (lambda: pack_padded_sequence(PADDED, [2, 3]), RuntimeError, "decreasing order"),
    "not sorted, a list": (lambda: pack_sequence(LETTERS), RuntimeError, "decreasing order"),
    "a length of 0": (lambda: pack_padded_sequence(PADDED, [3, 0]), RuntimeError, "greater than 0"),
    "too many": (lambda: pack_padded_sequence(PADDED, [3, 2, 1]), RuntimeError, r"batch_size=2"),
    "none": (lambda: pack_padded_sequence(PADDED[:, :0], []), RuntimeError, "Cannot pack empty"),
    "too long": (lambda: pack_padded_sequence(PADDED, [4, 2]), RuntimeError, "no sequence is longer"),
    "a matrix of lengths": (
        lambda: pack_padded_sequence(PADDED, torch.ones(1, 2).long()),
        RuntimeError,
        "1D CPU int64",
    ),
    "one dim": (lambda: pack_padded_sequence(torch.ones(3), [3]), IndexError, "2 dims"),
    "too short a total": (
        lambda: pad_packed_sequence(pack_sequence(SORTED), total_length=2),
        ValueError,
        "total_length=2",
    ),
    "no pair": (lambda: PackedSequence(PADDED), AssertionError, "pair"),
    "no steps": (
        lambda: pad_packed_sequence(PackedSequence(PADDED, torch.ones(0).long())),
        RuntimeError,
        "can not be empty",
    ),
}


@pytest.mark.parametrize("name", UNFIT)
def test_what_cannot_be_packed_is_refused(name):
    call, error, words = UNFIT[name]
    with pytest.raises(error, match=words):
        call()
